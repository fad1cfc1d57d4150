"""On planted truth the gate accepts what is better and refuses what is not."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from domain.voting import AgentId
from evaluation import agent_gates, worlds
from evaluation.gate import CheckOutcome, judge

DAYS = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=i) for i in range(600)]
RNG = np.random.default_rng(11)


def _names(checks):
    return {check.name: check.outcome for check in checks}


def _analyst(world):
    """Probability of an up day from the planted rule, against a coin."""
    closes = world.bars.pivot(on="symbol", index="timestamp", values="close")
    stamps, prices = closes["timestamp"].to_list(), closes.drop("timestamp").to_numpy()
    trend = np.sign(prices[10:-1] - prices[:-11])
    went_up = (prices[11:] > prices[10:-1]).astype(float)
    times = [t for t in stamps[10:-1] for _ in range(prices.shape[1])]
    return agent_gates.market_analyst_checks(
        times,
        went_up.ravel(),
        candidate=(0.5 + 0.06 * trend).ravel(),
        incumbent=np.full(trend.size, 0.5),
        seed=1,
    )


def test_analyst_that_knows_the_edge_is_accepted():
    report = judge(AgentId.MARKET_ANALYST, "new", "classic", _analyst(worlds.edge_world(seed=1)))
    assert report.accepted


@pytest.mark.parametrize("seed", range(5))
def test_the_same_analyst_is_refused_where_there_is_no_edge(seed):
    report = judge(
        AgentId.MARKET_ANALYST, "new", "classic", _analyst(worlds.no_edge_world(seed=seed))
    )
    assert not report.accepted
    assert report.reason.endswith("classic stays.")


def test_analyst_is_refused_where_the_edge_has_turned():
    world = worlds.break_world(seed=2, break_day=20, reverses=True)
    assert _names(_analyst(world))["task skill"] is CheckOutcome.FAIL


def _risk(value_at_risk_factor):
    variance = 1e-4 * (1 + 0.8 * np.sin(np.arange(600) / 40))
    returns = RNG.normal(0, np.sqrt(variance))
    return agent_gates.risk_manager_checks(
        DAYS,
        variance * RNG.chisquare(20, 600) / 20,
        candidate=variance,
        incumbent=np.full(600, 1e-4),
        returns=returns,
        value_at_risk=value_at_risk_factor * 1.645 * np.sqrt(variance),
        level=0.05,
    )


def test_risk_manager_needs_a_better_variance_and_an_honest_value_at_risk():
    honest, boastful = _names(_risk(1.0)), _names(_risk(0.5))
    assert set(honest.values()) == {CheckOutcome.PASS}
    assert boastful["task skill"] is CheckOutcome.PASS
    assert boastful["coverage"] is CheckOutcome.FAIL


def test_portfolio_is_judged_by_growth_and_execution_by_its_forecast():
    market = RNG.normal(0, 0.01, 600)
    grown = agent_gates.portfolio_optimizer_checks(
        DAYS, candidate=market + 0.001, incumbent=market + RNG.normal(0, 0.001, 600)
    )
    cost = RNG.gamma(2, 2, 600)
    forecast = agent_gates.execution_checks(
        DAYS, cost, candidate=cost + RNG.normal(0, 1, 600), incumbent=np.full(600, 9.0)
    )
    for checks in (grown, forecast):
        assert set(_names(checks).values()) == {CheckOutcome.PASS}


def test_an_output_that_is_not_finite_ends_the_judgement():
    broken = np.full(600, np.nan)
    for checks in (
        agent_gates.market_analyst_checks(
            DAYS, np.ones(600), candidate=broken, incumbent=broken, seed=1
        ),
        agent_gates.risk_manager_checks(
            DAYS, np.ones(600), candidate=broken, incumbent=broken, returns=broken,
            value_at_risk=broken, level=0.05,
        ),
        agent_gates.portfolio_optimizer_checks(DAYS, candidate=broken, incumbent=broken),
        agent_gates.execution_checks(DAYS, broken, candidate=broken, incumbent=broken),
    ):  # fmt: skip
        assert _names(checks) == {"finite outputs": CheckOutcome.FAIL}
