"""The one switch to real money: what must have happened before it can be turned."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.errors import LiveTradingRefused
from domain.messages import Value
from domain.settings import VenueSettings


class PaperRun(Value, frozen=True, kw_only=True):
    """What `quorum gap` found of a paper session.

    Parameters
    ----------
    session
        Its name; "platform" is the platform's own record.
    unexplained
        Differences from the backtest of the same days that nothing explains.
    software
        What ran and measured it (`adapters.processes.software`).
    """

    session: str
    decisions: int
    trades: int
    unexplained: int
    software: str
    measured_at: datetime


class LiveTrading(Value, frozen=True, kw_only=True):
    """A person's word that an account's real money may be traded, and what it stands on."""

    venue: str
    account: str
    actor: str
    reason: str
    enabled_at: datetime
    paper_run: PaperRun


def passed_run(
    runs: Sequence[PaperRun], at: datetime, software: str, rules: VenueSettings
) -> PaperRun:
    """Return the newest paper run that lets real money be traded by this software.

    Raises
    ------
    LiveTradingRefused
        If there is none; it says what the newest one lacks.
    """
    newest_first = sorted(runs, key=lambda run: run.measured_at, reverse=True)
    lacks = [what_it_lacks(run, at, software, rules) for run in newest_first]
    for run, lack in zip(newest_first, lacks, strict=True):
        if not lack:
            return run
    raise LiveTradingRefused(
        f"The paper run {newest_first[0].session!r} {lacks[0]}."
        if lacks
        else "No paper run was ever measured here.",
        next_step="Run `quorum paper --name rehearsal`, then `quorum gap --session rehearsal`.",
    )


def what_it_lacks(run: PaperRun, at: datetime, software: str, rules: VenueSettings) -> str:
    """Return why a paper run lets no real money be traded; empty if it does."""
    if run.unexplained:
        return f"left {run.unexplained} differences unexplained"
    if run.trades < rules.paper_run_trades:
        return f"has {run.trades} trades, fewer than {rules.paper_run_trades}"
    if run.software != software:
        return "was of other software or settings"
    if not run.measured_at <= at <= run.measured_at + timedelta(days=rules.paper_run_days):
        return f"was not measured within {rules.paper_run_days:g} days"
    return ""
