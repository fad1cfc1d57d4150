from datetime import timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from agents.assessment import Abstention, Case, to_vote
from agents.market_view import MarketView
from agents.risk_manager import judgement
from agents.risk_manager.judgement import assess
from agents.risk_manager.var_backtest import Zone, reliability
from consensus.rule import calculate_consensus
from domain.voting import Action, AgentId, Outcome
from tests.builders import vote


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
    tight = limits.model_copy(update={"maximum_value_at_risk": Decimal("0.002")})
    proposal = proposal_of(action=Action.SELL, fraction=0.05, held=(("AAA", 0.25),))
    verdict = assess(classics[AgentId.RISK_MANAGER].model, Case(view, proposal, until, tight))
    assert verdict.measures["risk_budget_used"] > 1
    assert verdict.chance > 0.5
    assert verdict.bound is None


def test_a_value_at_risk_beyond_its_limit_is_vetoed(classics, view, until, limits, proposal_of):
    tight = limits.model_copy(update={"maximum_value_at_risk": Decimal("0.0001")})
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
    ("setting", "value", "limit"),
    [
        ("maximum_expected_shortfall", "0.0001", "expected_shortfall"),
        ("maximum_liquidation_days", "0.00000001", "liquidation_days"),
        ("maximum_cluster_exposure", "0.01", "cluster_exposure"),
    ],
)
def test_every_limit_can_veto(classics, view, until, limits, proposal_of, setting, value, limit):
    tight = limits.model_copy(update={setting: Decimal(value)})
    proposal = proposal_of(fraction=0.1)
    verdict = assess(classics[AgentId.RISK_MANAGER].model, Case(view, proposal, until, tight))
    assert verdict.veto == limit


def test_sectors_and_beta_can_veto_where_they_are_set(classics, view, until, limits, proposal_of):
    model = classics[AgentId.RISK_MANAGER].model
    proposal = proposal_of(fraction=0.2, held=(("BBB", 0.2),))
    sectors = limits.model_copy(
        update={
            "sectors": {"AAA": "Energy", "BBB": "Energy"},
            "maximum_sector_exposure": Decimal("0.35"),
        }
    )
    assert assess(model, Case(view, proposal, until, sectors)).veto == "sector_exposure"
    beta = limits.model_copy(update={"market_symbol": "CCC", "maximum_beta": Decimal("0.01")})
    assert assess(model, Case(view, proposal, until, beta)).veto == "beta"
    assert assess(model, Case(view, proposal, until, limits)).veto == ""
    assert "beta_utilisation" not in assess(model, Case(view, proposal, until, limits)).measures


def test_no_score_of_the_others_outweighs_a_breach_and_the_rule_logs_it(
    classics, view, until, limits, proposal_of
):
    model = classics[AgentId.RISK_MANAGER].model
    proposal = proposal_of(fraction=0.35)
    refusal = to_vote(
        assess(model, Case(view, proposal, until, limits)), model, "v1", proposal, until
    )
    others = [
        vote(proposal.proposal_id, agent=agent, score=100, ppm=1_000_000)
        for agent in AgentId
        if agent is not AgentId.RISK_MANAGER
    ]
    tally = calculate_consensus([*others, refusal])
    assert (tally.outcome, tally.reason) == (Outcome.REJECT, "veto")
    assert {v.agent_id: v.veto for v in tally.counted if v.veto} == {
        "risk_manager": "position_fraction"
    }
    # A person can't be asked to let it pass either, however far the scores lie apart.
    assert refusal.score < 75
    assert calculate_consensus([refusal]).outcome is Outcome.REJECT


@pytest.fixture
def zone(monkeypatch):
    """Set the zone that the back-test finds."""
    found = judgement.backtest

    def fix(zone, exceptions):
        def tested(*arguments):
            real = found(*arguments)
            coverage = real.coverage._replace(breaches=exceptions)
            return real._replace(traffic_light=zone, coverage=coverage)

        monkeypatch.setattr(judgement, "backtest", tested)

    return fix


def test_a_bad_zone_lowers_the_confidence_by_its_rule(judged, zone):
    calm = judged(fraction=0.2)
    assert calm.measures["backtest_zone"] == Zone.GREEN
    for colour, exceptions in ((Zone.YELLOW, 5), (Zone.YELLOW, 9), (Zone.RED, 12)):
        zone(colour, exceptions)
        verdict = judged(fraction=0.2)
        expected = 0.5 + (calm.chance - 0.5) * reliability(colour, exceptions)
        assert verdict.chance == pytest.approx(expected)
        assert verdict.chance < calm.chance
        assert verdict.support == calm.support
        assert f"back-test {colour.name.lower()}: exceeded on {exceptions}" in verdict.rationale


def test_a_breach_is_vetoed_whatever_the_zone(judged, zone):
    zone(Zone.RED, 12)
    verdict = judged(fraction=0.35)
    assert (verdict.veto, verdict.chance) == ("position_fraction", 0.0)


def test_without_a_back_test_the_confidence_is_that_of_a_doubtful_zone(
    classics, view, limits, proposal_of, bars, judged
):
    at = bars["timestamp"].min() + timedelta(days=300)
    verdict = assess(
        classics[AgentId.RISK_MANAGER].model,
        Case(view, proposal_of(at=at, fraction=0.2), at, limits),
    )
    assert "history is too short" in verdict.rationale
    assert "backtest_zone" not in verdict.measures
    confidence = classics[AgentId.RISK_MANAGER].model.specification.confidence(verdict.support)
    assert verdict.chance == pytest.approx(0.5 + (confidence - 0.5) * 3 / 3.4)


def test_a_symbol_that_stopped_moving_is_judged_without_a_fault(
    classics, bars, until, limits, proposal_of
):
    still = bars.with_columns(
        pl.when(pl.col("symbol") == "BBB").then(50.0).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    view = MarketView()
    view.warm_up(still)
    proposal = proposal_of(fraction=0.1, held=(("BBB", 0.2),))
    verdict = assess(classics[AgentId.RISK_MANAGER].model, Case(view, proposal, until, limits))
    if isinstance(verdict, Abstention):
        assert "BBB" in verdict.reason
    else:
        assert np.isfinite(list(verdict.measures.values())).all()
