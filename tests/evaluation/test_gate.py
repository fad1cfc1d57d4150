"""The gate refuses by default and says why."""

import json

import numpy as np
import pytest

from domain.voting import AgentId
from evaluation import gate
from evaluation.gate import CheckOutcome, GateVerdict

RNG = np.random.default_rng(1)
NOISE = RNG.normal(size=300)


def _judge(*checks):
    return gate.judge(AgentId.MARKET_ANALYST, "candidate", "classic", checks)


@pytest.mark.parametrize(
    ("skill", "outcome", "says"),
    [
        (NOISE + 1, CheckOutcome.PASS, "is better"),
        (NOISE - 1, CheckOutcome.FAIL, "not better"),
        (NOISE - np.mean(NOISE) + 0.01, CheckOutcome.INCONCLUSIVE, "not shown to be better"),
        (np.zeros(300), CheckOutcome.FAIL, "not better"),
        (NOISE[:20] + 9, CheckOutcome.INCONCLUSIVE, "20 instants are fewer"),
        ([], CheckOutcome.INCONCLUSIVE, "0 instants"),
    ],
)
def test_skill_must_be_shown(skill, outcome, says):
    check = gate.skill_check(skill, metric="Brier")
    assert check.outcome is outcome
    assert says in check.sentence


def test_better_and_sound_is_accepted():
    report = _judge(
        gate.skill_check(NOISE + 1, metric="Brier"),
        gate.finite_check([0.5, 0.6]),
        gate.latency_check([0.001] * 100, 0.05),
        gate.look_ahead_check(0, 500),
    )
    assert report.accepted
    assert report.reason == "All 4 checks passed; candidate is better than classic."


def test_what_cannot_be_told_counts_against_the_candidate():
    for checks in (
        (),
        (gate.skill_check(NOISE[:5], metric="Brier"),),
        (gate.skill_check(NOISE + 1, metric="Brier"), gate.look_ahead_check(0, 0)),
        (gate.skill_check(NOISE + 1, metric="Brier"), gate.finite_check([np.nan])),
    ):
        report = _judge(*checks)
        assert report.verdict is GateVerdict.REFUSED
        assert report.reason.endswith("classic stays.")


@pytest.mark.parametrize(
    ("check", "outcome"),
    [
        (gate.finite_check([]), CheckOutcome.FAIL),
        (gate.finite_check([1.0, np.inf]), CheckOutcome.FAIL),
        (gate.latency_check([0.001, 0.2], 0.05), CheckOutcome.FAIL),
        (gate.latency_check([], 0.05), CheckOutcome.INCONCLUSIVE),
        (gate.look_ahead_check(3, 100), CheckOutcome.FAIL),
    ],
)
def test_sanity_checks(check, outcome):
    assert check.outcome is outcome


def test_calibration_must_not_be_worse():
    p = RNG.random(500)
    y = (RNG.random(500) < p).astype(float)
    good = gate.calibration_check(p, p, y, seed=1)
    bad = gate.calibration_check(1 - p, p, y, seed=1)
    assert (good.outcome, bad.outcome) == (CheckOutcome.PASS, CheckOutcome.FAIL)
    assert gate.calibration_check([], [], [], seed=1).outcome is CheckOutcome.INCONCLUSIVE


def test_report_is_json_without_nan():
    report = _judge(gate.skill_check([], metric="Brier"), gate.look_ahead_check(0, 9))
    read = json.loads(report.to_json())
    assert read["verdict"] == "refused"
    assert read["checks"][0]["value"] is None
    assert list(read["checks"][0]) == ["name", "value", "threshold", "outcome", "sentence"]


@pytest.mark.parametrize("overlap", [1, 5])
def test_no_skill_passes_in_at_most_5_percent_of_candidates(overlap):
    whole = np.random.default_rng(9).normal(size=(400, 250 + overlap - 1))
    streams = sum(whole[:, i : i + 250] for i in range(overlap))
    checks = [gate.skill_check(s, metric="x", overlap=overlap) for s in streams]
    assert np.mean([c.outcome is CheckOutcome.PASS for c in checks]) <= 0.05
