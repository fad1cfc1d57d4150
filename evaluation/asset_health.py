"""How an asset is: one word from its materialization, its freshness and its checks."""

from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from domain.messages import Value
from evaluation.report.page import page, write_whole


class Health(StrEnum):
    """From best to worst, but for what nothing is known of."""

    HEALTHY = "Healthy"
    WARNING = "Warning"
    DEGRADED = "Degraded"
    UNKNOWN = "Unknown"


class AssetFacts(Value, frozen=True, kw_only=True):
    """What is known of an asset.

    Parameters
    ----------
    materialized_at
        None if it never was.
    failed_at
        When it was last tried in vain; None if never.
    due_after
        Age from which it is stale; None where it need not be fresh.
    failed_checks, warned_checks
        Names of checks whose latest evaluation failed as an error, or as a warning.
    """

    asset: str
    group: str
    materialized_at: datetime | None = None
    failed_at: datetime | None = None
    due_after: timedelta | None = None
    checks: int = 0
    failed_checks: tuple[str, ...] = ()
    warned_checks: tuple[str, ...] = ()


class AssetHealth(Value, frozen=True, kw_only=True):
    """An asset's health and why."""

    facts: AssetFacts
    health: Health
    reason: str


def health_of(facts: AssetFacts, now: datetime) -> AssetHealth:
    """Judge one asset.

    Degraded: its last attempt failed, a check failed as an error, or it is twice as old as it may
    be. Warning: a check warned, or it is stale. Unknown: it was never materialized.
    """
    health, reason = _judged(facts, now)
    return AssetHealth(facts=facts, health=health, reason=reason)


def _judged(facts: AssetFacts, now: datetime) -> tuple[Health, str]:
    made, failed, due = facts.materialized_at, facts.failed_at, facts.due_after
    degraded: list[str] = []
    warnings = [f"warned: {', '.join(facts.warned_checks)}"] if facts.warned_checks else []
    if facts.failed_checks:
        degraded.append(f"failed: {', '.join(facts.failed_checks)}")
    if failed is not None and (made is None or failed > made):
        degraded.append("its last materialization failed")
    if made is not None and due is not None and now - made > due:
        told = f"{(now - made).days} days old, {due.days} are allowed"
        (degraded if now - made > 2 * due else warnings).append(told)
    if degraded:
        return Health.DEGRADED, "; ".join(degraded + warnings)
    if made is None:
        return Health.UNKNOWN, "never materialized"
    if warnings:
        return Health.WARNING, "; ".join(warnings)
    return Health.HEALTHY, f"{facts.checks} checks passed" if facts.checks else "materialized"


def write_health(assets: list[AssetHealth], now: datetime, path: Path) -> Path:
    """Write the page of all assets' health, the worst first, and return its path."""
    order = [Health.DEGRADED, Health.WARNING, Health.UNKNOWN, Health.HEALTHY]
    ranked = sorted(assets, key=lambda a: (order.index(a.health), a.facts.group, a.facts.asset))
    counts = {each: sum(a.health is each for a in assets) for each in Health}
    text = page("asset_health.html.j2", with_charts=False, assets=ranked, counts=counts, now=now)
    return write_whole(text, path)
