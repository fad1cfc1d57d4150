"""What a scenario did is counted against the portfolio that it met."""

from datetime import date

import polars as pl
import pytest

from adapters.clock import EventClock
from adapters.metrics import PrometheusMetrics
from domain.errors import DataQualityError
from domain.rules import Rules
from domain.settings import TradingSettings
from domain.voting import Action, AgentId
from evaluation.backtest import Backtest
from evaluation.report.stress_page import render_stress_page
from evaluation.stress import APPROACH, stress_table
from evaluation.stress_scenarios import Scenario
from evaluation.worlds import edge_world
from tests.evaluation.test_backtest import proposal_of, vote_of

BARS = edge_world(seed=3, days=130).bars
INSTANTS = BARS["timestamp"].unique().sort()
FIRST, SECOND = BARS["symbol"].unique().sort()[:2]
DAYS = 6
#: All parametric scenarios of this length start here.
START = INSTANTS[-DAYS]


def table(*scenarios, quantity=500, bars=BARS, **limits):
    """Run scenarios on a platform that buys two symbols when its approach begins, then waits."""

    def make(_view, disturb):
        bought = set()

        def propose(bar, portfolio):
            if bar.symbol in bought or bar.symbol not in {FIRST, SECOND}:
                return None
            bought.add(bar.symbol)
            wanted = quantity if bar.symbol == FIRST else quantity // 5
            return proposal_of(bar, Action.BUY, wanted, portfolio)

        return Backtest(
            *disturb(propose, vote_of),
            clock=EventClock(),
            metrics=PrometheusMetrics(),
            settings=TradingSettings(**limits),
            rules=Rules(),
        )

    return stress_table(bars, scenarios, make, gross_limit=1.5)


def test_a_portfolio_that_is_left_alone_loses_what_its_positions_lose():
    (row,) = table(Scenario(name="x", moves=(-0.04,) * DAYS))
    assert (row.start, row.end, row.historical) == (START, INSTANTS[-1], False)
    assert row.market == pytest.approx(0.96**DAYS - 1, abs=0.01)
    assert row.at_limit == 1.5 * row.market
    assert row.held < 0
    assert row.platform == pytest.approx(row.held, abs=2e-6)
    assert row.drawdown == pytest.approx(row.platform, abs=2e-6)
    assert row.worst_day < row.platform / DAYS
    assert row.orders == 0
    assert row.decisions == row.denials == {}


def test_the_gap_hits_the_largest_position():
    gapped, still = table(
        Scenario(name="gap", sessions=DAYS, gap=-0.4), Scenario(name="as it was", sessions=DAYS)
    )
    assert gapped.held < still.held - 0.01
    assert gapped.worst_day == pytest.approx(gapped.held - still.held, rel=0.2)


def test_days_that_are_stored_are_taken_as_they_were():
    days = [moment.date() for moment in INSTANTS]
    inside = Scenario(name="x", moves=(-0.5,), period=(days[-20], days[-15]))
    (row,) = table(inside)
    assert row.historical
    assert row.source == "stored bars"
    assert (row.start, row.end) == (INSTANTS[-20], INSTANTS[-15])
    closes = BARS.filter(pl.col("timestamp").is_in([INSTANTS[-21], INSTANTS[-15]])).sort(
        "timestamp"
    )
    changes = closes.group_by("symbol").agg(pl.col("close").last() / pl.col("close").first() - 1)
    assert row.market == pytest.approx(changes["close"].mean())


@pytest.mark.parametrize(
    "period",
    [
        (date(1987, 10, 14), date(1987, 10, 26)),
        (INSTANTS[APPROACH - 1].date(), INSTANTS[APPROACH].date()),
        (INSTANTS[-2].date(), date(2099, 1, 1)),
    ],
    ids=["not stored", "too little before", "not to the end"],
)
def test_days_that_are_not_wholly_stored_are_bent(period):
    (row,) = table(Scenario(name="x", source="s", moves=(-0.01,) * DAYS, period=period))
    assert not row.historical
    assert row.source == "s"


def test_one_mad_voter_is_not_enough_and_the_controls_stop_all_of_them():
    proposer = Scenario(name="proposer", sessions=DAYS, mad=(AgentId.MARKET_ANALYST,))
    everyone = Scenario(name="everyone", sessions=DAYS, mad=tuple(AgentId))
    small = Scenario(name="small", sessions=DAYS, mad=tuple(AgentId), mad_size=0.05)
    trusting, mad, many = table(proposer, everyone, small)
    symbols = BARS["symbol"].n_unique()
    # Scores of 100, 80, 80 and 80 disagree too much: a person is asked, and does not answer.
    assert trusting.decisions["MANUAL_REVIEW"] == DAYS * symbols
    assert trusting.orders == 0
    assert mad.denials == {"maximum_order_value": DAYS * symbols}
    assert mad.orders == DAYS * symbols
    assert mad.platform == pytest.approx(mad.held, abs=2e-6)
    assert mad.decisions == {"EXECUTE": DAYS * symbols}
    assert many.denials
    assert "maximum_order_value" not in many.denials
    assert many.orders > sum(many.denials.values())


def test_madness_waits_for_the_scenario():
    calm, mad = table(
        Scenario(name="calm", sessions=DAYS), Scenario(name="m", sessions=DAYS, mad=tuple(AgentId))
    )
    assert calm.exposure == mad.exposure > 0


def test_wide_spreads_cost_more():
    scenario = Scenario(name="x", sessions=DAYS, mad=tuple(AgentId), mad_size=0.02)
    wide = Scenario(name="y", sessions=DAYS, mad=tuple(AgentId), mad_size=0.02, spread_bps=100.0)
    usual, thin = table(scenario, wide)
    assert thin.platform < usual.platform


def test_without_enough_sessions_there_is_no_table():
    few = BARS.filter(pl.col("timestamp") < INSTANTS[APPROACH])
    with pytest.raises(DataQualityError, match="sessions"):
        table(Scenario(name="x", sessions=DAYS), bars=few)


def test_two_runs_give_the_same_page_and_it_says_what_the_controls_did():
    scenario = Scenario(name="All mad <b>", sessions=DAYS, mad=tuple(AgentId))
    one, other = (render_stress_page(table(scenario)) for _ in range(2))
    assert one == other
    assert "All mad &lt;b&gt;" in one
    assert "maximum order value" in one
    assert "No scenario was run" in render_stress_page([])
