"""The figures of a simulated life, on events made by hand."""

from datetime import UTC, datetime

import polars as pl
import pytest

from domain.worlds import SimulatedWorld
from orchestration.simulated_figures import Event, SimulatedLife, in_markdown, life_figures
from orchestration.simulated_market import SimulatedMarket

EVENTS = [
    Event(0, "2004-01-01", 1, "LIVE", "registration", "The first version."),
    Event(1, "2004-01-02", 2, "TRAINED", "routine", "The calendar asks for it."),
    Event(1, "2004-01-02", 2, "SHADOW", "rollout", "r"),
    Event(20, "2004-01-29", 2, "LIVE", "trial", "better"),
    Event(22, "2004-02-02", 3, "TRAINED", "routine", "The calendar asks for it."),
    Event(22, "2004-02-02", 3, "ABORTED", "rollout", "worse"),
    Event(41, "2004-02-27", 2, "ROLLED_BACK", "guard:market_analyst", "An edge has ended."),
]
LIFE = SimulatedLife(
    events=EVENTS, moves=(), equity=(100.0, 110.0, 99.0), equity_without=(100.0, 100.0, 101.0)
)


def market(world: SimulatedWorld, breaks: int | None = None) -> SimulatedMarket:
    return SimulatedMarket(world, pl.DataFrame(), [datetime(2004, 1, 1, tzinfo=UTC)], 100, breaks)


def test_what_happened_is_counted_and_the_rollback_is_timed_from_the_break():
    found = life_figures(market(SimulatedWorld.BREAK, 129), LIFE)
    assert (found.trainings, found.refused, found.promotions, found.rollbacks) == (2, 1, 1, 1)
    assert (found.breaks_on_day, found.days_to_rollback, found.false_promotions) == (30, 11, 0)


@pytest.mark.parametrize(
    ("world", "breaks", "false"),
    [
        (SimulatedWorld.NONE, None, 1),
        (SimulatedWorld.EDGE, None, 0),
        (SimulatedWorld.BREAK, 105, 1),  # learned on day 1, the edge turned on 6, live on 20
        (SimulatedWorld.BREAK, 100, 0),  # it had turned before it was learned
    ],
)
def test_a_promotion_is_false_where_what_was_learned_is_not_there(world, breaks, false):
    assert life_figures(market(world, breaks), LIFE).false_promotions == false


def test_before_a_break_a_rollback_is_none_of_it():
    assert life_figures(market(SimulatedWorld.BREAK, 145), LIFE).days_to_rollback is None


def test_earnings_are_those_of_the_equity():
    found = life_figures(market(SimulatedWorld.EDGE), LIFE)
    assert found.with_routine.total_return == pytest.approx(-0.01)
    assert found.with_routine.maximum_drawdown == pytest.approx(-0.1)
    assert found.without.total_return == pytest.approx(0.01)


def test_the_report_tells_truth_figures_and_every_event():
    made = market(SimulatedWorld.BREAK, 129)
    text = in_markdown(made, life_figures(made, LIFE), EVENTS)
    assert "turns into its opposite on day 30" in text
    assert "1 promoted (0 falsely), 1 rolled back, 11 trading days after the break" in text
    assert text.count("\n| ") == len(EVENTS) + 1 + 3
