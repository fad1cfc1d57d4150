from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest

from agents.realised import ALL, UNKNOWN, RealisedByRegime, RealisedCalibration
from domain.experience import Experience
from domain.voting import Action, AgentId, Outcome
from evaluation import calibration


def lived(number, *, score=80, ppm=800_000, reward="0.01", agent="market_analyst"):
    return Experience(
        message_id=str(number),
        correlation_id="",
        occurred_at=datetime(2020, 1, 1, tzinfo=UTC),
        decision_id="d",
        symbol="AAA",
        state={},
        action=Action.BUY,
        outcome=Outcome.EXECUTE,
        reward=Decimal(reward),
        next_state={},
        horizon_days=5,
        agent_contributions={},
        scores={agent: score},
        confidences_ppm={agent: ppm},
    )


def test_verdicts_are_counted_by_what_came_true():
    realised = RealisedCalibration(AgentId.MARKET_ANALYST)
    assert (realised.hit_rate, realised.mean_confidence, realised.brier) == (0.0, 0.0, 0.0)
    realised.add(lived(1))
    realised.add(lived(2, reward="-0.01"))
    realised.add(lived(3, score=60, reward="-0.01", ppm=600_000))
    assert realised.hit_rate == pytest.approx(2 / 3)
    assert realised.mean_confidence == pytest.approx((0.8 + 0.8 + 0.6) / 3)
    assert realised.brier == pytest.approx((0.04 + 0.64 + 0.16) / 3)


def test_an_experience_counts_once_and_only_where_the_agent_voted():
    realised = RealisedCalibration(AgentId.MARKET_ANALYST)
    assert realised.add(lived(1))
    assert not realised.add(lived(1))
    assert not realised.add(lived(2, agent="risk_manager"))
    assert realised.verdicts == 1


def test_a_vote_whose_claim_the_experience_cannot_judge_does_not_count():
    realised = RealisedCalibration(AgentId.EXECUTION)
    assert not realised.add(lived(1, agent="execution"))
    assert realised.verdicts == 0


def test_losses_are_those_that_the_report_computes():
    realised = RealisedCalibration(AgentId.MARKET_ANALYST)
    said = [0.51, 0.55, 0.62, 0.68, 0.97, 1.0, 0.5]
    came = [1, 0, 1, 1, 1, 0, 0]
    for number, (confidence, right) in enumerate(zip(said, came, strict=True)):
        reward = "0.01" if right else "-0.01"
        realised.add(lived(number, ppm=int(1e6 * confidence), reward=reward))
    assert realised.brier == pytest.approx(calibration.brier_score(said, came))
    assert realised.log_loss == pytest.approx(calibration.log_loss(said, came))
    assert realised.calibration_error == pytest.approx(
        calibration.expected_calibration_error(said, came)
    )


def test_each_regime_has_its_own_counts_and_the_whole_has_all():
    realised = RealisedByRegime(AgentId.MARKET_ANALYST)
    for bar, told in (("b1", "calm regime (97%"), ("b2", "turbulent regime (80%"), ("b3", "")):
        realised.proposed(SimpleNamespace(correlation_id=bar, rationale=told))
    lives = [("b1", "0.01"), ("b2", "-0.01"), ("b3", "0.01"), ("b4", "0.01")]
    changed = [
        realised.add(msgspec.structs.replace(lived(n, reward=reward), correlation_id=bar))
        for n, (bar, reward) in enumerate(lives)
    ]
    assert [set(each) for each in changed] == [
        {ALL, "calm"}, {ALL, "turbulent"}, {ALL, UNKNOWN}, {ALL, UNKNOWN}
    ]  # fmt: skip
    assert [each["calm"].hit_rate for each in changed[:1]] == [1.0]
    assert changed[1]["turbulent"].brier == pytest.approx(0.64)
    assert (changed[3][UNKNOWN].verdicts, realised.whole.verdicts) == (2, 4)
    assert realised.add(lived(0)) == {}
