"""Value at risk is held to what it promises; a lie about it is found."""

import numpy as np
import pytest

from evaluation.coverage import coverage_check, independence_check, zone_check
from evaluation.gate import CheckOutcome

PASS, FAIL, OPEN = CheckOutcome.PASS, CheckOutcome.FAIL, CheckOutcome.INCONCLUSIVE
RETURNS = np.random.default_rng(1).normal(0, 0.01, 1_000)


def days(breaches, count=250):
    found = np.zeros(count)
    found[np.linspace(0, count - 1, breaches).astype(int)] = 1.0
    return found


def test_coverage_of_value_at_risk():
    honest = coverage_check({"A": RETURNS < -0.01645}, 0.05)
    boastful = coverage_check({"A": RETURNS < -0.01645, "B": RETURNS < -0.01}, 0.05)
    assert "Worst is B" in boastful.sentence
    assert (honest.outcome, boastful.outcome) == (PASS, FAIL)
    assert coverage_check({"A": []}, 0.05).outcome is OPEN


def test_breaches_that_follow_each_other_are_found():
    clustered = np.zeros(500)
    clustered[100:120] = 1.0
    assert independence_check({"A": RETURNS < -0.01645}).outcome is PASS
    found = independence_check({"A": RETURNS < -0.01645, "B": clustered})
    assert found.outcome is FAIL
    assert "Worst is B" in found.sentence
    assert independence_check({"A": [1.0]}).outcome is OPEN


@pytest.mark.parametrize(
    ("now", "before", "outcome", "zone"),
    [
        # BCBS (1996), table 2: up to 4 breaches of 250 are green, up to 9 yellow, 10 red.
        (4, 4, PASS, 0),
        (5, 4, FAIL, 1),
        (9, 6, PASS, 1),
        (10, 12, FAIL, 2),
    ],
)
def test_the_traffic_light(now, before, outcome, zone):
    check = zone_check({"A": days(now), "B": days(0)}, {"A": days(before)})
    assert (check.outcome, check.value) == (outcome, zone)


def test_no_days_settle_nothing():
    assert zone_check({}, {}).outcome is OPEN
