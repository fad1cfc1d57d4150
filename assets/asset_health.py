"""The health of every asset, told by one asset, a page and a metric."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import dagster as dg

from adapters.files import write_atomically
from adapters.metrics import PrometheusMetrics
from assets.code_version import code_version
from assets.metadata import table
from domain.metrics import Metric
from domain.settings import Settings
from evaluation.asset_health import AssetFacts, AssetHealth, Health, health_of, write_health

#: Groups that have to be made again as time goes on, where the data does.
_FRESH_GROUPS = ("ingestion", "features", "data_quality")
_VALUES = {Health.HEALTHY: 0, Health.WARNING: 1, Health.DEGRADED: 2, Health.UNKNOWN: 3}


class Entry(NamedTuple):
    """An asset of the graph: its key, its group, and the names of its checks."""

    key: dg.AssetKey
    group: str
    checks: tuple[str, ...]


#: All assets of the graph; a resource, because an asset can't see the graph that it is in.
Catalogue = Callable[[], Sequence[Entry]]


@dg.asset(
    group_name="monitoring",
    owners=["team:platform"],
    kinds={"html"},
    tags={"stage": "monitoring"},
    code_version=code_version("evaluation.asset_health"),
)
def asset_health(
    context: dg.AssetExecutionContext,
    catalogue: dg.ResourceParam[Catalogue],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Healthy, Warning, Degraded or Unknown for every asset, from what Dagster knows of it.

    The metric is written as a file for node_exporter's textfile collector, because no process of
    the batch plane listens.
    """
    now = datetime.now(UTC)
    found = health_of_all(context.instance, catalogue(), settings, now)
    page = write_health(found, now, settings.home / "reports" / "asset-health.html")
    metrics = PrometheusMetrics()
    for each in found:
        metrics.gauge(Metric.ASSET_HEALTH, _VALUES[each.health], asset=each.facts.asset)
    write_atomically(settings.home / "metrics" / "asset_health.prom", metrics.exposition())
    rows = [
        {"asset": a.facts.asset, "health": a.health.value, "why": a.reason}
        for a in found
        if a.health is not Health.HEALTHY
    ]
    counts = {each.value: sum(a.health is each for a in found) for each in Health}
    return dg.MaterializeResult(
        metadata={
            **counts,
            "page": dg.MetadataValue.url(page.as_uri()),
            "not_healthy": table(rows),
        }
    )


def health_of_all(
    instance: dg.DagsterInstance, catalogue: Sequence[Entry], settings: Settings, now: datetime
) -> list[AssetHealth]:
    """Return every asset's health, in the catalogue's order."""
    return [health_of(_facts(instance, entry, settings), now) for entry in catalogue]


def _facts(instance: dg.DagsterInstance, entry: Entry, settings: Settings) -> AssetFacts:
    due = entry.group in _FRESH_GROUPS and settings.data_folder is not None
    checks = _failed_checks(instance, entry)
    errors = [name for name, severity in checks if severity is dg.AssetCheckSeverity.ERROR]
    warnings = [name for name, severity in checks if severity is dg.AssetCheckSeverity.WARN]
    return AssetFacts(
        asset=entry.key.to_user_string(),
        group=entry.group,
        materialized_at=_latest(instance, entry.key, dg.DagsterEventType.ASSET_MATERIALIZATION),
        failed_at=_latest(instance, entry.key, dg.DagsterEventType.ASSET_FAILED_TO_MATERIALIZE),
        due_after=timedelta(days=settings.quality.stale_after_days) if due else None,
        checks=len(entry.checks),
        failed_checks=tuple(errors),
        warned_checks=tuple(warnings),
    )


def _latest(
    instance: dg.DagsterInstance, key: dg.AssetKey, kind: dg.DagsterEventType
) -> datetime | None:
    if kind is dg.DagsterEventType.ASSET_MATERIALIZATION:
        event = instance.get_latest_materialization_event(key)
        return None if event is None else datetime.fromtimestamp(event.timestamp, UTC)
    records = instance.event_log_storage.get_event_records(
        dg.EventRecordsFilter(event_type=kind, asset_key=key), limit=1
    )
    return datetime.fromtimestamp(records[0].timestamp, UTC) if records else None


def _failed_checks(
    instance: dg.DagsterInstance, entry: Entry
) -> list[tuple[str, dg.AssetCheckSeverity]]:
    """Return the checks whose latest evaluation did not pass; one that crashed is an error."""
    keys = [dg.AssetCheckKey(entry.key, name) for name in entry.checks]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    found: list[tuple[str, dg.AssetCheckSeverity]] = []
    for key in keys:
        event = latest[key].event if key in latest else None
        if event is None or event.dagster_event is None:
            continue
        if event.dagster_event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        evaluation = event.dagster_event.asset_check_evaluation_data
        if not evaluation.passed:
            found.append((key.name, evaluation.severity))
    return found
