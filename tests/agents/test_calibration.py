from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.calibration import brier_score, constant, fit_probability, knots, log_losses


def test_knots_interpolate_and_hold_their_ends():
    line = knots([(0.0, 0.0), (1.0, 10.0)])
    assert [line(x) for x in (-1.0, 0.25, 2.0)] == [0.0, 2.5, 10.0]
    assert constant(0.3)(99.0) == 0.3


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=8))
def test_knots_rise_strictly_in_x(values):
    x = knots([(value, 0.0) for value in sorted(values)]).x
    assert all(a < b for a, b in pairwise(x))


def test_a_planted_logistic_is_found():
    random = np.random.default_rng(2)
    values = random.standard_normal(20_000)
    outcomes = random.random(20_000) < 1 / (1 + np.exp(-(0.4 + 1.2 * values)))
    fitted = fit_probability(values, outcomes)
    for value in (-1.0, 0.0, 1.0):
        assert fitted(value) == pytest.approx(1 / (1 + np.exp(-(0.4 + 1.2 * value))), abs=0.02)


def test_a_probability_never_falls_as_support_rises():
    random = np.random.default_rng(2)
    values = random.standard_normal(2_000)
    outcomes = random.random(2_000) < 1 / (1 + np.exp(2 * values))
    assert fit_probability(values, outcomes).y == pytest.approx((outcomes.mean(),), abs=1e-3)


@pytest.mark.parametrize("values", [np.zeros(100), np.arange(5.0)])
def test_without_spread_or_samples_it_is_the_base_rate(values):
    assert len(fit_probability(values, values > 2).y) == 1


def test_losses_are_those_of_the_definitions():
    chances, outcomes = np.array([0.8, 0.4]), np.array([True, False])
    assert brier_score(chances, outcomes) == pytest.approx((0.04 + 0.16) / 2)
    np.testing.assert_allclose(log_losses(chances, outcomes), -np.log([0.8, 0.6]))
