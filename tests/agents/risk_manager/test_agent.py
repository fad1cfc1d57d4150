"""The Risk Manager's own answers, as the live plane asks for them."""

import msgspec
import numpy as np
import pytest

from agents.risk_manager.agent import RiskManager
from agents.risk_manager.exposure_limits import Limit
from agents.risk_manager.portfolio_risk import risk_inputs
from agents.risk_manager.risk_report import Method
from agents.risk_manager.var_backtest import Zone
from domain.errors import InvalidValue
from domain.metrics import Metric
from domain.voting import Action


@pytest.fixture
def proposal(proposal_of):
    return proposal_of(fraction=0.1, held=(("BBB", 0.2),))


async def test_value_at_risk_by_every_method(agent, proposal):
    report = await agent.calculate_var_and_cvar(proposal)
    assert report.symbols == ("AAA", "BBB")
    assert set(report.one_day) >= set(Method) - {Method.CORNISH_FISHER}
    assert all(
        0 < risk.value_at_risk <= risk.expected_shortfall for risk in report.one_day.values()
    )
    assert report.incremental.value_at_risk > 0
    looser = await agent.calculate_var_and_cvar(proposal, level=0.95)
    for method, risk in looser.one_day.items():
        assert risk.value_at_risk < report.one_day[method].value_at_risk


async def test_exposures_after_the_trade(agent, proposal):
    report = await agent.monitor_portfolio_exposure(proposal)
    risk = (await agent.calculate_var_and_cvar(proposal)).one_day
    used = report.limits
    assert report.gross == pytest.approx(0.3, abs=1e-3)
    assert used[Limit.GROSS_EXPOSURE].figure == pytest.approx(report.gross)
    assert used[Limit.VALUE_AT_RISK].figure == pytest.approx(
        max(risk[m].value_at_risk for m in (Method.NORMAL, Method.FILTERED_HISTORICAL))
    )
    assert report.binding in used
    assert sum(factor.variance_share for factor in report.factors) == pytest.approx(1)
    assert set(report.liquidation_days) == {"AAA", "BBB"}
    assert report.stress.days >= 50


async def test_what_the_vote_tells_is_what_the_report_measures(agent, proposal):
    cast = await agent.vote_on_decision(proposal)
    report = await agent.monitor_portfolio_exposure(proposal)
    for limit, used in report.limits.items():
        told = float(cast.risk_assessment[f"{limit}_utilisation"])
        assert told == pytest.approx(used.share, abs=1e-6)


async def test_the_zone_of_the_back_test_is_a_metric(agent, proposal, gauges):
    cast = await agent.vote_on_decision(proposal)
    zone = Zone(int(cast.risk_assessment["backtest_zone"]))
    assert gauges[(Metric.RISK_BACKTEST_ZONE,)] == zone
    gauges.clear()
    await agent.vote_on_decision(msgspec.structs.replace(proposal, action=Action.HOLD))
    assert (Metric.RISK_BACKTEST_ZONE,) not in gauges


@pytest.mark.parametrize("action", [Action.BUY, Action.SELL])
async def test_stops_lie_on_the_losing_side(agent, proposal_of, action):
    proposal = proposal_of(action=action)
    found = await agent.set_risk_parameters(proposal)
    price, sign = float(proposal.reference_price), 1 if action is Action.BUY else -1
    assert sign * found.stop < sign * price < sign * found.take_profit
    assert 1 <= found.time_stop_days <= proposal.horizon_days
    assert found.basis == "excursions"


async def test_the_size_is_the_least_of_seven_bounds(agent, proposal):
    size = await agent.calculate_position_size(proposal)
    stop = await agent.set_risk_parameters(proposal)
    bounds = size.bounds
    assert set(bounds) == {
        "fixed_fraction", "volatility_target", "kelly", "expected_shortfall", "liquidity",
        "position_fraction", "gross_exposure",
    }  # fmt: skip
    assert size.fraction == bounds[size.binding] == min(bounds.values())
    assert bounds["fixed_fraction"] == pytest.approx(0.01 / stop.stop_distance)
    assert bounds["gross_exposure"] == pytest.approx(0.8, abs=1e-3)
    inputs = risk_inputs(agent.model, await agent.case(proposal), {"BBB": 0.2})
    annual = inputs.volatilities[0] * np.sqrt(252)
    assert bounds["volatility_target"] == pytest.approx(0.06 / annual)


async def test_without_an_edge_kelly_holds_nothing(agent, proposal_of):
    hopeless = msgspec.structs.replace(proposal_of(), confidence_ppm=400_000)
    size = await agent.calculate_position_size(hopeless)
    assert (size.fraction, size.binding) == (0.0, "kelly")


async def test_correlations_by_three_estimators(agent, proposal):
    found = await agent.analyze_correlations(proposal)
    assert found.symbols == ("AAA", "BBB")
    for matrix in (found.shrunk.correlation, found.denoised.correlation, found.weighted):
        assert matrix.shape == (2, 2)
        assert 0 < matrix[0, 1] < 1


QUESTIONS = (
    RiskManager.calculate_var_and_cvar,
    RiskManager.monitor_portfolio_exposure,
    RiskManager.calculate_position_size,
    RiskManager.set_risk_parameters,
    RiskManager.analyze_correlations,
)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_without_the_bar_nothing_is_measured(agent, proposal, question):
    missing = msgspec.structs.replace(proposal, correlation_id="unknown")
    with pytest.raises(InvalidValue, match="bar is missing"):
        await question(agent, missing)


async def test_to_hold_has_neither_size_nor_stop(agent, proposal):
    hold = msgspec.structs.replace(proposal, action=Action.HOLD)
    with pytest.raises(InvalidValue):
        await agent.calculate_position_size(hold)
    with pytest.raises(InvalidValue):
        await agent.set_risk_parameters(hold)
