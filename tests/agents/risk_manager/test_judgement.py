from datetime import timedelta

import pytest

from agents.assessment import Abstention, Case
from agents.risk_manager.exposure_limits import position_size
from agents.risk_manager.judgement import assess
from domain.voting import Action, AgentId


@pytest.fixture
def judged(classics, view, until, limits, proposal_of):
    model = classics[AgentId.RISK_MANAGER].model

    def judge(**changes):
        proposal = proposal_of(**changes)
        return assess(model, Case(view, proposal, until, limits))

    return judge


def test_support_falls_as_the_trade_grows(judged):
    supports = [judged(fraction=share).support for share in (0.05, 0.15, 0.25)]
    assert supports == sorted(supports, reverse=True)


def test_a_breach_that_the_trade_causes_is_vetoed_by_name(judged):
    assert judged(fraction=0.35).veto == "position_fraction"
    assert judged(fraction=0.2, held=(("BBB", 0.3), ("CCC", 0.55))).veto == "gross_exposure"
    assert judged(fraction=0.29).veto == ""


def test_a_sale_out_of_a_breach_is_never_vetoed(judged):
    verdict = judged(action=Action.SELL, fraction=0.1, held=(("AAA", 0.5),))
    assert verdict.veto == ""
    assert verdict.support > judged(fraction=0.29).support


def test_room_is_what_the_forecast_may_be_multiplied_with(judged):
    verdict = judged(fraction=0.2)
    measures = verdict.measures
    assert verdict.bound == pytest.approx(
        measures["forecast_volatility"] / measures["risk_budget_used"]
    )
    assert verdict.chance > 0.5


def test_taking_risk_off_is_accepted_as_a_fact(classics, view, until, limits, proposal_of):
    tight = limits.model_copy(update={"maximum_value_at_risk": type(limits.price_collar)("0.002")})
    proposal = proposal_of(action=Action.SELL, fraction=0.05, held=(("AAA", 0.25),))
    verdict = assess(classics[AgentId.RISK_MANAGER].model, Case(view, proposal, until, tight))
    assert verdict.measures["risk_budget_used"] > 1
    assert verdict.chance > 0.5
    assert verdict.bound is None


def test_a_value_at_risk_beyond_its_limit_is_vetoed(classics, view, until, limits, proposal_of):
    tight = limits.model_copy(update={"maximum_value_at_risk": type(limits.price_collar)("0.0001")})
    proposal = proposal_of(fraction=0.1)
    verdict = assess(classics[AgentId.RISK_MANAGER].model, Case(view, proposal, until, tight))
    assert verdict.veto == "value_at_risk"
    assert "value_at_risk" in verdict.rationale


def test_too_little_history_is_an_abstention(classics, view, limits, proposal_of, bars):
    at = bars["timestamp"].min() + timedelta(days=20)
    proposal = proposal_of(at=at)
    verdict = assess(classics[AgentId.RISK_MANAGER].model, Case(view, proposal, at, limits))
    assert isinstance(verdict, Abstention)
    assert "AAA" in verdict.reason


@pytest.mark.parametrize(
    ("changes", "binding"),
    [
        ({}, "position_fraction"),
        ({"weights": {"BBB": 0.9}}, "gross_exposure"),
        ({"daily_volatility": 0.2}, "value_at_risk"),
        ({"daily_volume_value": 1e6}, "liquidity"),
    ],
)
def test_the_binding_limit_is_named(limits, changes, binding):
    usual = {
        "weights": {"AAA": 0.1},
        "daily_volatility": 0.02,
        "daily_volume_value": 1e9,
    }
    arguments = usual | changes
    size = position_size(arguments.pop("weights"), "AAA", equity=1e6, limits=limits, **arguments)
    assert size.binding == binding
    assert size.fraction >= 0
