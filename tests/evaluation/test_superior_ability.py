"""Against `arch` 8.0.0, by literal numbers, and against the promised error rate.

``SPA(zeros, -gains, block_size=8, reps=2000, seed=seed)`` of `arch` draws the same positions for
the same seed, so that its p-values come out equal to the last digit. It does not divide by the
standard errors, whatever its `studentize` says; Hansen (2005, section 2.3) does.
"""

import numpy as np
import pytest

from domain.errors import InvalidValue
from evaluation.superior_ability import bootstrap_variance, superior_ability


def _gains(seed):
    gains = np.random.default_rng(seed).normal(0.03 * seed - 0.03, 1, (250, 6)) * np.arange(1, 7)
    gains[:, 5] -= 1.5
    return gains


@pytest.mark.parametrize(
    ("seed", "p_values"),
    [(1, (0.2985, 0.3930, 0.5625)), (2, (0.0920, 0.0935, 0.1480)), (3, (0.0120, 0.0125, 0.0175))],
)
def test_p_values_equal_arch(seed, p_values):
    found = superior_ability(_gains(seed), seed=seed, block=8, resamples=2_000, studentised=False)
    assert found[:3] == pytest.approx(p_values, abs=1e-12)


@pytest.mark.parametrize(
    ("seed", "variances"),
    [(1, (0.90552936, 2.72563314)), (2, (1.04789267, 2.5687167)), (3, (0.77336542, 3.36843225))],
)
def test_variance_equals_arch(seed, variances):
    assert bootstrap_variance(_gains(seed), 8)[:2] == pytest.approx(variances, abs=1e-8)


def test_variance_of_independent_numbers_is_the_plain_one():
    values = np.random.default_rng(4).normal(size=(400, 3))
    assert bootstrap_variance(values, 1) == pytest.approx(values.var(axis=0))


def test_p_values_are_in_order_and_a_worse_crowd_costs_little():
    rng = np.random.default_rng(5)
    good, bad = rng.normal(0.12, 1, (400, 1)), rng.normal(-2, 1, (400, 30))
    alone = superior_ability(good, seed=1, block=5)
    crowded = superior_ability(np.hstack([good, bad]), seed=1, block=5)
    assert crowded.lower <= crowded.consistent <= crowded.upper
    # Hansen's point: models that are plainly worse don't hide one that is better.
    assert crowded.consistent == pytest.approx(alone.consistent, abs=0.01)
    assert crowded.upper > crowded.consistent


def test_each_models_p_value_counts_all_the_others():
    found = superior_ability(_gains(3), seed=3, block=8, studentised=False)
    assert found.model_p_values.min() == pytest.approx(found.consistent, abs=2e-3)
    assert found.model_p_values.argmin() == found.statistics.argmax()


def test_equal_models_are_called_better_in_about_one_case_of_twenty():
    rng = np.random.default_rng(6)
    p_values = [
        superior_ability(rng.normal(size=(150, 10)), seed=i, block=2, resamples=200).consistent
        for i in range(300)
    ]
    # The binomial error of 300 cases is 1.3 points.
    assert np.mean(np.array(p_values) <= 0.05) <= 0.09


def test_a_model_that_equals_the_benchmark_is_not_better():
    found = superior_ability(np.zeros((50, 2)), seed=1, block=3, resamples=100)
    assert found.model_p_values.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "gains", [np.zeros((2, 3)), np.zeros((10, 0)), np.zeros(10), np.full((10, 1), np.inf)]
)
def test_what_cannot_be_tested_is_refused(gains):
    with pytest.raises(InvalidValue):
        superior_ability(gains, seed=1, block=2)
