"""What the rule made of proposals: counted by hand, and told apart from chance only where it is."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from evaluation import decisions as dc
from evaluation.report.inputs import SCHEMAS

FIRST = datetime(2020, 1, 6, 21, tzinfo=UTC)


def decided(rows):
    """Decisions of (day, outcome, reward)."""
    return pl.DataFrame(
        [
            {
                "decision_id": str(number),
                "decided_at": FIRST + timedelta(days=day),
                "outcome": outcome,
                "reward": reward,
            }
            for number, (day, outcome, reward) in enumerate(rows)
        ],
        schema=SCHEMAS["decisions"],
    )


def voted(scores):
    """Votes of {decision: [scores of agents a, b, c, d]}; None was not counted."""
    return pl.DataFrame(
        [
            {"decision_id": decision, "agent_id": agent, "score": score or 50,
             "counted": score is not None}
            for decision, given in scores.items()
            for agent, score in zip("abcd", given, strict=False)
        ],
        schema=SCHEMAS["votes"],
    )  # fmt: skip


def test_outcomes_are_counted():
    found = dc.shares(decided([(0, "EXECUTE", 0.1), (0, "REJECT", None), (1, "EXECUTE", None)]))
    assert found == (2, 1, 0)
    assert found.share(found.executed) == pytest.approx(2 / 3)
    assert math.isnan(dc.shares(decided([])).share(0))


def test_dissent_by_hand():
    decisions = decided(
        [(0, "EXECUTE", None), (0, "MANUAL_REVIEW", None), (0, "REJECT", None), (0, "REJECT", None)]
    )
    votes = voted(
        {
            "0": [80, 78, 76, 70],  # d alone against all three
            "1": [84, 65, 80, 60],  # a tie: each has two of three others against it; d is farthest
            "2": [70, 80, None, None],  # one other: against most, but alone only among three
            "3": [80, None, None, None],  # nobody to disagree with
        }
    )
    found = {d.agent_id: d[1:] for d in dc.dissents(decisions, votes)}
    assert found == {"a": (3, 2, 0, 0), "b": (3, 2, 0, 0), "c": (2, 1, 0, 0), "d": (2, 2, 1, 1)}


def test_a_difference_is_taken_over_known_rewards_of_executed_and_rejected():
    rows = [(day, o, r) for day in range(12) for o, r in (("EXECUTE", 0.02), ("REJECT", -0.01))]
    rows += [(0, "MANUAL_REVIEW", 9.0), (1, "EXECUTE", None)]
    found = dc.executed_less_rejected(decided(rows), seed=1, horizon_days=5)
    assert found[:3] == pytest.approx((0.03, 0.03, 0.03))


def test_too_few_days_of_an_outcome_have_no_interval():
    rows = [(day, "EXECUTE", 0.01) for day in range(50)] + [(3, "REJECT", 0.0)] * 40
    found = dc.executed_less_rejected(decided(rows), seed=1, horizon_days=5)
    assert found.estimate == pytest.approx(0.01)
    assert math.isnan(found.lower)
    assert math.isnan(found.upper)
    alone = dc.executed_less_rejected(decided(rows[:50]), seed=1, horizon_days=5)
    assert math.isnan(alone.estimate)


def _market(seed, edge):
    """Eight proposals a day that share the day's market; days differ in how many are rejected."""
    random = np.random.default_rng(seed)
    rows = []
    for day in range(160):
        shared, mood = random.normal(0.0, 0.03), random.uniform(0.1, 0.9)
        for _ in range(8):
            executed = bool(random.random() < mood)
            reward = shared + random.normal(0.0, 0.01) + (edge if executed else 0.0)
            rows.append((day, "EXECUTE" if executed else "REJECT", reward))
    return decided(rows)


def test_days_not_proposals_are_the_observations():
    """Where days move together the interval misses the truth as seldom as it says.

    Proposals taken for independent ones would miss it on every second seed of this world.
    """
    missed = 0
    for seed in range(60):
        low, high = dc.executed_less_rejected(
            _market(seed, 0.0), seed=seed, horizon_days=1, resamples=200
        )[1:3]
        missed += not low <= 0.0 <= high
    assert missed <= 9  # of 60; 3 expected, more than 9 once in a thousand


def test_an_edge_of_the_rule_is_found():
    low = [
        dc.executed_less_rejected(_market(seed, 0.02), seed=seed, horizon_days=5).lower
        for seed in range(10)
    ]
    assert min(low) > 0.0
