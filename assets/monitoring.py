"""Monitoring: whether what the champions learned is still true, what they claim, how old it is."""

from datetime import datetime
from pathlib import Path

import dagster as dg
import msgspec

from adapters.model_registry.deployed import DeployedModels
from assets.code_version import code_version
from assets.drift import drift
from assets.experience import experiences
from assets.features import features
from assets.metadata import table
from assets.records import ChampionHealth, Health
from assets.training import training_cutoff
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import Settings
from domain.voting import AgentId
from evaluation.claimed_edge import claimed_edge

RECENT_SESSIONS = 63


class _Specification(msgspec.Struct):
    trained_until: datetime


@dg.asset(
    group_name="monitoring",
    owners=["team:platform"],
    kinds={"polars"},
    tags={"stage": "monitoring"},
    io_manager_key="files",
    deps=[features, experiences, *(dg.AssetKey([agent.value, "promotion"]) for agent in AgentId)],
    code_version=code_version("assets.drift", "evaluation.claimed_edge"),
)
def monitoring(
    store: dg.ResourceParam[TimeSeriesStore],
    settings: dg.ResourceParam[Settings],
    deployed: dg.ResourceParam[DeployedModels],
) -> dg.MaterializeResult:
    """Drift of each feature since training; each champion's age, and what its claims came to."""
    from agents.learning.experiences import experiences_of  # noqa: PLC0415 - imports numpy late

    lived = experiences_of(store.read(Table.EXPERIENCES))
    known = store.read(Table.FEATURES)
    moved = drift(known, training_cutoff(settings, store), RECENT_SESSIONS)
    newest: datetime = known["timestamp"].max()  # type: ignore[assignment]
    champions = tuple(
        ChampionHealth(
            agent=agent,
            label=found.version.label,
            age_days=(newest - _trained_until(found.folder / "model.json")).days,
            edge=claimed_edge(agent, found.version.label, lived),
        )
        for agent in AgentId
        if (found := deployed.current(agent)) is not None
    )
    health = Health(drift=dict(moved.drop_nulls().iter_rows()), champions=champions)
    return dg.MaterializeResult(
        value=health,
        metadata={
            "drift": table(moved.head(10).to_dicts()),
            "champions": table(
                [
                    {"champion": c.label, "age in days": c.age_days, "edge": c.edge.reason}
                    for c in champions
                ]
            ),
        },
    )


@dg.asset_check(asset=monitoring, description="No feature has moved far since training.")
def features_stable(
    monitoring: Health, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Warn of features whose stability index is above the limit."""
    limit = settings.training.maximum_feature_drift
    moved = sorted(name for name, index in monitoring.drift.items() if index > limit)
    return dg.AssetCheckResult(
        passed=not moved,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(moved)} features are above {limit}: {', '.join(moved) or 'none'}.",
    )


@dg.asset_check(asset=monitoring, description="Every champion knows the recent past.")
def champions_fresh(
    monitoring: Health, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Warn of champions whose training data ended too long ago: they will abstain."""
    limit = settings.serving.maximum_model_age_days
    old = [c.label for c in monitoring.champions if c.age_days > limit]
    return dg.AssetCheckResult(
        passed=not old and len(monitoring.champions) == len(AgentId),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Older than {limit} days: {', '.join(old) or 'none'}.",
    )


@dg.asset_check(asset=monitoring, description="No champion's edge has ended.")
def edges_last(monitoring: Health) -> dg.AssetCheckResult:
    """Warn of champions whose verdicts fell short of what their confidence claims."""
    ended = [f"{c.label}: {c.edge.reason}" for c in monitoring.champions if c.edge.ended]
    return dg.AssetCheckResult(
        passed=not ended,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(ended) or "No edge that is claimed has ended.",
        metadata={c.agent.value: c.edge.statistic for c in monitoring.champions},
    )


def _trained_until(specification: Path) -> datetime:
    return msgspec.json.decode(specification.read_bytes(), type=_Specification).trained_until
