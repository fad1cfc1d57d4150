"""What a simulated life says: figures against the planted truth, and a report in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from domain.messages import Value
from domain.model_life import FALLEN, ModelMove
from domain.models import DeploymentStatus
from domain.worlds import SimulatedWorld
from evaluation.performance import (
    annualised_sharpe_ratio,
    maximum_drawdown,
    simple_returns,
    total_return,
)
from orchestration.simulated_market import SimulatedMarket

_PLACES = 6


class Event(NamedTuple):
    """Something that happened in a model's life.

    Parameters
    ----------
    day
        Simulated trading day, from 1.
    what
        ``TRAINED``, or the status that the version came to.
    """

    day: int
    date: str
    version: int
    what: str
    by: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SimulatedLife:
    """What some months came to.

    Parameters
    ----------
    events
        Everything that happened to the agent's versions, in order.
    moves
        The registry's record of it.
    equity, equity_without
        Equity (USD) after each day with the routine, and with version 1 throughout.
    """

    events: Sequence[Event]
    moves: Sequence[ModelMove]
    equity: Sequence[float]
    equity_without: Sequence[float]


class Earned(Value, frozen=True, kw_only=True):
    """Total return and largest drawdown (fractions), and the Sharpe ratio a year."""

    total_return: float
    sharpe_ratio: float
    maximum_drawdown: float


class LifeFigures(Value, frozen=True, kw_only=True):
    """What some simulated months came to.

    Parameters
    ----------
    refused
        Trained versions that the gate or their trial refused.
    false_promotions
        Versions that went live although what they had learned was not there (any more): all of
        them where nothing is planted, and who learned before the break and went live after it.
    breaks_on_day, days_to_rollback
        Simulated day on which the edge turns, and days from there to the rollback; None where
        there was no such thing.
    with_routine, without
        What was earned, and what version 1 throughout would have earned.
    """

    trainings: int
    refused: int
    promotions: int
    false_promotions: int
    rollbacks: int
    breaks_on_day: int | None
    days_to_rollback: int | None
    with_routine: Earned
    without: Earned


def life_figures(market: SimulatedMarket, life: SimulatedLife) -> LifeFigures:
    """Return the figures of a life on its market."""
    breaks = None if market.breaks is None else market.breaks - market.first + 1
    trained = {e.version: e.day for e in life.events if e.what == "TRAINED"}
    promoted = [e for e in life.events if e.what == DeploymentStatus.LIVE and e.version in trained]
    fell = [e.day for e in life.events if e.what in FALLEN]
    after = [day - breaks for day in fell if breaks is not None and day >= breaks]
    return LifeFigures(
        trainings=len(trained),
        refused=sum(e.what == DeploymentStatus.ABORTED for e in life.events),
        promotions=len(promoted),
        false_promotions=sum(
            market.world is SimulatedWorld.NONE
            or (breaks is not None and trained[e.version] < breaks <= e.day)
            for e in promoted
        ),
        rollbacks=len(fell),
        breaks_on_day=breaks,
        days_to_rollback=min(after, default=None),
        with_routine=_earned(life.equity),
        without=_earned(life.equity_without),
    )


def in_markdown(market: SimulatedMarket, figures: LifeFigures, events: Sequence[Event]) -> str:
    """Return a report: the figures, then what happened day by day."""
    turns = figures.breaks_on_day
    truth = {
        SimulatedWorld.NONE: "Nothing is planted: no version is better than another.",
        SimulatedWorld.EDGE: "A trend is planted that lasts to the end.",
        SimulatedWorld.BREAK: f"A trend is planted that turns into its opposite on day {turns}.",
    }[market.world]
    lines = [
        "# A simulated life",
        "",
        truth,
        "",
        "| | return | Sharpe ratio a year | largest drawdown |",
        "|---|---|---|---|",
        *(
            f"| {name} | {e.total_return:+.2%} | {e.sharpe_ratio:+.2f} | {e.maximum_drawdown:.2%} |"
            for name, e in (
                ("with the routine", figures.with_routine),
                ("version 1 throughout", figures.without),
            )
        ),
        "",
        _in_words(figures),
        "",
        "| day | date | version | what | by | reason |",
        "|---|---|---|---|---|---|",
        *(f"| {e.day} | {e.date} | {e.version} | {e.what} | {e.by} | {e.reason} |" for e in events),
    ]
    return "\n".join(lines) + "\n"


def _in_words(figures: LifeFigures) -> str:
    days = figures.days_to_rollback
    when = "" if days is None else f", {days} trading days after the break"
    return (
        f"{figures.trainings} trainings, {figures.refused} versions refused, "
        f"{figures.promotions} promoted ({figures.false_promotions} falsely), "
        f"{figures.rollbacks} rolled back{when}."
    )


def _earned(equity: Sequence[float]) -> Earned:
    returns = simple_returns(equity)
    return Earned(
        total_return=round(total_return(returns), _PLACES),
        sharpe_ratio=round(annualised_sharpe_ratio(returns), _PLACES),
        maximum_drawdown=round(maximum_drawdown(equity), _PLACES),
    )
