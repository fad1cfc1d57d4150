"""The data-quality report of a run: gathered from the run's events, written as a page."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import polars as pl

from assets.code_version import code_version
from assets.features import features
from assets.ingestion import assessed_bars, bars, news, order_books, quarantine, raw_bars
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import Settings
from evaluation.data_quality_report import (
    Expectation,
    Kept,
    Outcome,
    QualityCheck,
    QualityReport,
    Quarantined,
    write_report,
)

#: Metadata of a check that holds its suite's findings.
FINDINGS = "findings"
_LONGEST_EXAMPLE = 160
_COUNTED = (Table.BARS, Table.NEWS, Table.QUOTES, Table.FEATURES)


def report_folder(settings: Settings) -> Path:
    """Return where the reports are."""
    return settings.home / "reports" / "data-quality"


def report_of_run(
    instance: dg.DagsterInstance, run_id: str, store: TimeSeriesStore
) -> QualityReport | None:
    """Return what the checks of a run found so far; None if it evaluated none."""
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [e.dagster_event.asset_check_evaluation_data for e in entries if e.dagster_event]
    if not found:
        return None
    return QualityReport(
        run_id=run_id,
        started_at=datetime.fromtimestamp(int(entries[0].timestamp), UTC),
        checks=tuple(sorted(map(_check, found), key=_worst_first)),
        quarantined=tuple(_quarantined(store.read(Table.QUARANTINE))),
        tables=tuple(_kept(store, _COUNTED)),
    )


@dg.asset(
    group_name="data_quality",
    owners=["team:market-data"],
    kinds={"html"},
    tags={"stage": "data_quality"},
    deps=[raw_bars, assessed_bars, quarantine, bars, news, order_books, features],
    code_version=code_version("evaluation.data_quality_report"),
)
def data_quality_report(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[TimeSeriesStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Page of what this run's checks found; it opens offline and links to all earlier ones."""
    report = report_of_run(context.instance, context.run.run_id, store)
    if report is None:
        return dg.MaterializeResult(metadata={"checks": 0})
    path = write_report(report, report_folder(settings))
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.url(path.as_uri()),
            "history": dg.MetadataValue.url(path.with_name("index.html").as_uri()),
            "outcome": report.outcome.value,
            "checks": len(report.checks),
            "warned": report.count(Outcome.WARNED),
            "rows_quarantined": report.rows_quarantined,
        }
    )


def report_failed_run(
    instance: dg.DagsterInstance, run_id: str, store: TimeSeriesStore, settings: Settings
) -> Path | None:
    """Write the report of a run that a check stopped before it came to its report."""
    report = report_of_run(instance, run_id, store)
    return None if report is None else write_report(report, report_folder(settings))


def _check(found: Any) -> QualityCheck:  # noqa: ANN401 - Dagster's evaluation
    failed = found.severity is dg.AssetCheckSeverity.ERROR
    outcome = Outcome.FAILED if failed else Outcome.WARNED
    findings = found.metadata.get(FINDINGS)
    return QualityCheck(
        asset=found.asset_key.to_user_string(),
        name=found.check_name,
        outcome=Outcome.PASSED if found.passed else outcome,
        sentence=found.description or "",
        expectations=msgspec.convert(findings.value if findings else [], tuple[Expectation, ...]),
    )


def _worst_first(check: QualityCheck) -> tuple[int, str, str]:
    order = (Outcome.FAILED, Outcome.WARNED, Outcome.PASSED)
    return order.index(check.outcome), check.asset, check.name


def _quarantined(rows: pl.DataFrame) -> Iterable[Quarantined]:
    if rows.is_empty():
        return
    counted = rows.group_by("dataset", "reason").agg(
        rows=pl.len(), example=pl.concat_str("source", pl.lit(": "), "record").first()
    )
    for row in counted.sort(
        "dataset", "rows", "reason", descending=[False, True, False]
    ).to_dicts():
        example = row["example"]
        short = example if len(example) <= _LONGEST_EXAMPLE else f"{example[:_LONGEST_EXAMPLE]}…"
        yield Quarantined(**{**row, "example": short})


def _kept(store: TimeSeriesStore, tables: Sequence[Table]) -> Iterable[Kept]:
    for name in tables:
        frame = store.read(name)
        if frame.height:
            yield Kept(
                table=name.value,
                rows=frame.height,
                symbols=frame["symbol"].n_unique(),
                first=f"{frame['timestamp'].min():%Y-%m-%d}",
                last=f"{frame['timestamp'].max():%Y-%m-%d}",
                version=store.version(name),
            )
