"""A gain has to last; what is worse somewhere is named."""

import numpy as np
import pytest

from evaluation import endurance
from evaluation.gate import CheckOutcome

PASS, FAIL, OPEN = CheckOutcome.PASS, CheckOutcome.FAIL, CheckOutcome.INCONCLUSIVE
NOISE = np.random.default_rng(1).normal(size=300)
THIRDS = np.repeat(endurance.REGIMES, 100)


def test_regimes_are_thirds_of_the_volatility():
    found = endurance.regimes([3.0, 1.0, 2.0, 9.0, 8.0, 7.0])
    assert found.tolist() == ["usual", "calm", "calm", "wild", "wild", "usual"]
    assert endurance.regimes([]).tolist() == []


def test_a_candidate_that_is_worse_when_markets_are_wild_fails():
    gains = NOISE + np.where(THIRDS == "wild", -1.0, 1.0)
    check = endurance.regime_check(gains, THIRDS, overlap=1)
    assert check.outcome is FAIL
    assert "In wild markets it is shown to be worse" in check.sentence
    assert check.value == pytest.approx(gains[200:].mean(), abs=1e-6)
    assert endurance.regime_check(NOISE + 1, THIRDS, overlap=5).outcome is PASS
    assert endurance.regime_check(NOISE[:60], THIRDS[::5], overlap=1).outcome is OPEN


@pytest.mark.parametrize(
    ("gains", "outcome"), [(NOISE + 1, PASS), (NOISE - 1, FAIL), (np.zeros(300), FAIL),
                           (NOISE[:29] + 9, OPEN)],
)  # fmt: skip
def test_something_of_the_gain_has_to_be_left(gains, outcome):
    assert endurance.lasting_check("x", gains, when="then", overlap=1).outcome is outcome


def test_an_input_that_is_not_missed_is_named():
    check = endurance.missing_check({"a": 0, "b": 3, "c": 7})
    assert (check.outcome, check.value) == (FAIL, 2)
    assert "Without b, and 1 others" in check.sentence
    assert endurance.missing_check({"a": 0}).outcome is PASS


def test_memory_and_labels_and_scaling():
    assert endurance.memory_check(2**20, 2**21).outcome is PASS
    assert endurance.memory_check(2**22, 2**21).outcome is FAIL
    assert endurance.purge_check(0, 10).outcome is PASS
    assert endurance.purge_check(1, 10).outcome is FAIL
    assert endurance.purge_check(0, 0).outcome is OPEN
    assert endurance.scale_check([1.0, 2.0], [1.0, 2.0]).outcome is PASS
    assert endurance.scale_check([1.0, 2.0], [1.0, 2.1]).value == 1


def test_every_path_has_to_gain():
    assert endurance.paths_check([0.1, 0.2]).outcome is PASS
    assert endurance.paths_check([0.1, -0.01, 0.3]).value == -0.01
    assert endurance.paths_check([0.1, -0.01, 0.3]).outcome is FAIL
    assert endurance.paths_check([]).outcome is OPEN


@pytest.mark.parametrize(
    ("differences", "outcome"),
    [(NOISE + 1, PASS), (NOISE, PASS), (np.zeros(40), PASS), (NOISE - 1, FAIL), (NOISE[:9], OPEN)],
)
def test_the_whole_may_not_be_shown_to_earn_less(differences, outcome):
    assert endurance.earnings_check("x", differences / 1e3, when="so").outcome is outcome


def test_what_was_not_measured_is_open_and_says_why():
    check = endurance.unmeasured("x", "y")
    assert (check.outcome, check.value) == (OPEN, None)
    assert "did not pass its own task" in check.sentence
