from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.calibration import (
    brier_score,
    chance_at_most,
    constant,
    fit_slope,
    knots,
    log_losses,
    log_odds,
    logistic,
)


def test_knots_interpolate_and_hold_their_ends():
    line = knots([(0.0, 0.0), (1.0, 10.0)])
    assert [line(x) for x in (-1.0, 0.25, 2.0)] == [0.0, 2.5, 10.0]
    assert constant(0.3)(99.0) == 0.3


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=8))
def test_knots_rise_strictly_in_x(values):
    x = knots([(value, 0.0) for value in sorted(values)]).x
    assert all(a < b for a, b in pairwise(x))


def fitted(distances, outcomes, **changes):
    options = {"independent_share": 1.0, "prior": 1.0, "deviation": 0.5, "least": 0.25}
    return fit_slope(distances, outcomes, base=0.6, **(options | changes))


def planted(slope, count=20_000):
    random = np.random.default_rng(2)
    distances = random.standard_normal(count)
    return distances, random.random(count) < logistic(log_odds(0.6) + slope * distances)


def test_a_planted_slope_is_found():
    assert fitted(*planted(1.7)) == pytest.approx(1.7, abs=0.06)


def test_a_chance_never_falls_as_support_rises():
    assert fitted(*planted(-2.0)) == 0.25


def test_few_independent_samples_leave_the_prior():
    assert fitted(*planted(1.7), independent_share=1e-6) == pytest.approx(1.0, abs=0.01)


def test_log_odds_and_logistic_are_inverse():
    assert logistic(np.array([log_odds(0.3)])) == pytest.approx(0.3)


def test_the_chance_of_an_error_is_its_share_among_those_seen():
    errors = np.random.default_rng(4).standard_normal(50_000)
    chance = chance_at_most(errors)
    for x, share in ((0.0, 0.5), (1.0, 0.8413), (-1.0, 0.1587)):
        assert chance(x) == pytest.approx(share, abs=0.01)
    assert (chance(-99.0), chance(99.0)) == (0.01, 0.99)


def test_losses_are_those_of_the_definitions():
    chances, outcomes = np.array([0.8, 0.4]), np.array([True, False])
    assert brier_score(chances, outcomes) == pytest.approx((0.04 + 0.16) / 2)
    np.testing.assert_allclose(log_losses(chances, outcomes), -np.log([0.8, 0.6]))
