"""Every bound by hand; the least of them binds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.risk_manager.position_size import (
    error_of_mean,
    expected_of,
    fixed_fraction,
    fractional_kelly,
    liquidity_cap,
    position_size,
    shortfall_budget,
    volatility_target,
)
from domain.errors import InvalidValue

POSITIVE = st.floats(1e-4, 1e4)


def test_bounds_by_hand():
    # 1 % of equity lost at a stop 5 % away; 6 % a year with a stock at 30 %.
    assert fixed_fraction(0.01, 0.05) == pytest.approx(0.2)
    assert volatility_target(0.06, 0.30) == pytest.approx(0.2)
    assert shortfall_budget(0.015, 0.06) == pytest.approx(0.25)
    # 5 % of 10 million a day, five days, on one million.
    assert liquidity_cap(1e7, 0.05, 5, 1e6) == pytest.approx(2.5)


def test_kelly_of_a_known_edge_is_the_textbook_one():
    # Thorp (2006): μ / σ²; half of it.
    assert fractional_kelly(0.08, 0.0, 0.2, 1.0) == pytest.approx(2.0)
    assert fractional_kelly(0.08, 0.0, 0.2) == pytest.approx(1.0)


def test_shrunk_kelly_grows_best_among_multiples_of_the_plug_in():
    mean, error, deviation = 0.05, 0.04, 0.2
    estimates = mean + error * np.random.default_rng(3).standard_normal(400_000)
    multiples = np.linspace(0, 1.5, 151)
    plug_in = estimates / deviation**2
    growth = [(k * plug_in * mean - 0.5 * (k * plug_in * deviation) ** 2).mean() for k in multiples]
    best = multiples[int(np.argmax(growth))]
    shrunk = fractional_kelly(mean, error, deviation, 1.0) / (mean / deviation**2)
    assert shrunk == pytest.approx(best, abs=0.02)


@given(POSITIVE, st.floats(0, 1e4), POSITIVE)
def test_the_less_is_known_the_less_is_held(expected, error, deviation):
    held = fractional_kelly(expected, error, deviation)
    assert 0 <= held <= fractional_kelly(expected, 0.0, deviation)
    assert fractional_kelly(expected, 2 * error, deviation) <= held
    assert fractional_kelly(-expected, error, deviation) == 0.0


@given(st.floats(0.01, 0.99), POSITIVE)
def test_what_a_chance_is_worth_gains_with_that_chance(chance, deviation):
    expected = expected_of(chance, deviation)
    reached = 0.5 * math.erfc(-expected / deviation / math.sqrt(2))
    assert reached == pytest.approx(chance)


def test_the_error_of_a_mean_over_a_period():
    # Mean of 5-day returns from 500 days: 100 periods of deviation 2 % · √5.
    assert error_of_mean(0.02, 5, 500) == pytest.approx(0.02 * math.sqrt(5) / math.sqrt(100))


@given(st.dictionaries(st.sampled_from("abcdefg"), st.floats(-1, 5), min_size=1))
def test_the_least_bound_binds_and_is_named(bounds):
    found = position_size(bounds)
    assert found.fraction == max(min(bounds.values()), 0.0)
    assert max(bounds[found.binding], 0.0) == found.fraction
    assert all(found.fraction <= bound for bound in found.bounds.values())


def test_what_gives_no_size_is_a_typed_error():
    for call in (
        lambda: position_size({}),
        lambda: position_size({"kelly": math.nan}),
        lambda: fixed_fraction(0.01, 0.0),
        lambda: volatility_target(0.06, 0.0),
        lambda: shortfall_budget(0.01, math.inf),
        lambda: liquidity_cap(0.0, 0.05, 5, 1e6),
        lambda: liquidity_cap(1e7, 0.05, 5, -1.0),
        lambda: fractional_kelly(0.1, -1.0, 0.2),
        lambda: fractional_kelly(0.1, 0.0, 0.2, 1.5),
        lambda: expected_of(1.0, 0.2),
        lambda: error_of_mean(0.2, 0, 10),
    ):
        with pytest.raises(InvalidValue):
            call()
