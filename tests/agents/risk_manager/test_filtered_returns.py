"""The exponential filter against its recursion, and what its scenarios keep."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.risk_manager.filtered_returns import START_DAYS, filter_returns, simulate_days
from domain.errors import InvalidValue

RETURNS = np.random.default_rng(8).standard_normal((300, 2)) * np.array([0.01, 0.02])


@pytest.mark.parametrize(("days", "decay"), [(60, 0.94), (300, 0.9), (9_000, 0.94)])
def test_the_filter_is_the_recursion_written_out(days, decay):
    returns = np.random.default_rng(days).standard_normal((days, 2)) * 0.01
    filtered = filter_returns(returns, decay)
    variance = (returns[:START_DAYS] ** 2).mean(axis=0)
    for day, moved in enumerate(returns[START_DAYS:]):
        assert filtered.expected[day] == pytest.approx(np.sqrt(variance), rel=1e-9)
        variance = decay * variance + (1 - decay) * moved**2
    assert filtered.next_volatility == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert filtered.standardised * filtered.expected == pytest.approx(returns[START_DAYS:])


def test_no_day_sees_itself_or_a_later_one():
    changed = RETURNS.copy()
    changed[200:] *= 3
    one, other = filter_returns(RETURNS), filter_returns(changed)
    seen = 200 - START_DAYS
    assert (one.expected[: seen + 1] == other.expected[: seen + 1]).all()
    assert (one.expected[seen + 1] != other.expected[seen + 1]).all()


@given(st.floats(0.01, 100))
def test_standardised_returns_have_no_scale(factor):
    scaled = filter_returns(RETURNS * factor)
    assert scaled.standardised == pytest.approx(filter_returns(RETURNS).standardised)
    assert scaled.scenarios() == pytest.approx(filter_returns(RETURNS).scenarios() * factor)


def test_scenarios_come_at_the_volatility_that_is_asked_for():
    filtered = filter_returns(RETURNS)
    twice = filtered.scenarios(2 * filtered.next_volatility)
    assert twice == pytest.approx(2 * filtered.scenarios())


def test_an_asset_that_never_moved_stays_at_zero():
    filtered = filter_returns(np.column_stack([RETURNS[:, 0], np.zeros(300)]))
    assert (filtered.standardised[:, 1] == 0).all()
    assert filtered.next_volatility[1] == 0


def test_days_of_independent_returns_widen_with_the_root_of_time():
    calm = filter_returns(np.random.default_rng(1).standard_normal((800, 1)) * 0.01)
    one, ten = (simulate_days(calm, days, paths=20_000, seed=3).std() for days in (1, 10))
    assert ten == pytest.approx(np.sqrt(10) * one, rel=0.1)
    again = simulate_days(calm, 10, paths=20_000, seed=3)
    assert again.std() == ten
    assert (again >= -1).all()


def test_assets_of_a_path_move_on_the_same_days():
    twin = filter_returns(np.column_stack([RETURNS[:, 0], 2 * RETURNS[:, 0]]))
    paths = simulate_days(twin, 1, paths=500, seed=1)
    assert paths[:, 1] == pytest.approx(2 * paths[:, 0])


@pytest.mark.parametrize("bad", [RETURNS[:2], np.where(RETURNS > 0.03, np.nan, RETURNS)])
def test_gaps_and_too_few_days_are_a_typed_error(bad):
    with pytest.raises(InvalidValue):
        filter_returns(bad)
