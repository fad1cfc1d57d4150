"""Historical VaR and expected shortfall: coherence as properties, and an independent library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from agents.risk_manager.value_at_risk import historical, shortfall_contributions
from domain.errors import InvalidValue

LOSSES = nps.arrays(np.float64, st.integers(2, 80), elements=st.floats(-1, 1, width=32))
LEVELS = st.sampled_from([0.9, 0.95, 0.975, 0.99])
RETURNS = np.random.default_rng(4).standard_normal((400, 3)) * np.array([0.01, 0.02, 0.015])
WEIGHTS = nps.arrays(np.float64, 3, elements=st.floats(-1, 1, width=32))


def test_figures_of_another_library():
    losses = np.random.default_rng(11).standard_t(4, 750) * 0.01
    found = historical(losses, 0.99)
    # skfolio 1.12.2: measures.cvar(-losses, beta=0.99), which takes the same part of the last loss.
    assert found.expected_shortfall == pytest.approx(0.05589196657868275, abs=1e-12)
    assert found.value_at_risk == np.quantile(losses, 0.99, method="inverted_cdf")


def test_a_hundred_losses_by_hand():
    losses = np.arange(1.0, 101.0)
    assert historical(losses, 0.95) == pytest.approx((95.0, 98.0))
    # 1.5 of the 100: all of 100 and half of 99.
    assert historical(losses, 0.985) == pytest.approx((99.0, (100 + 0.5 * 99) / 1.5))


@given(st.data(), LEVELS)
def test_expected_shortfall_is_coherent(data, level):
    one = data.draw(LOSSES)
    other = data.draw(nps.arrays(np.float64, len(one), elements=st.floats(-1, 1, width=32)))
    worse = one + np.abs(other)
    first, second, both = (historical(x, level) for x in (one, other, one + other))
    near = 1e-9
    assert both.expected_shortfall <= first.expected_shortfall + second.expected_shortfall + near
    assert historical(worse, level).expected_shortfall >= first.expected_shortfall - near
    assert historical(worse, level).value_at_risk >= first.value_at_risk
    assert first.expected_shortfall >= first.value_at_risk


@given(LOSSES, LEVELS, st.floats(0.01, 100), st.floats(-1, 1))
def test_both_scale_and_shift_with_the_losses(losses, level, factor, amount):
    once, moved = historical(losses, level), historical(factor * losses + amount, level)
    assert moved == pytest.approx([factor * x + amount for x in once], abs=1e-9 * max(factor, 1))


@given(LOSSES, LEVELS)
def test_the_order_of_losses_does_not_matter(losses, level):
    assert historical(losses[::-1].copy(), level) == pytest.approx(historical(losses, level))


@given(WEIGHTS, LEVELS)
def test_components_sum_to_the_expected_shortfall(weights, level):
    whole = historical(-(RETURNS @ weights), level).expected_shortfall
    split = shortfall_contributions(weights, RETURNS, level)
    assert split.component.sum() == pytest.approx(whole, abs=1e-12)


def test_the_marginal_is_the_derivative_and_the_incremental_the_difference():
    weights, step = np.array([0.5, 0.3, 0.2]), 1e-7
    split = shortfall_contributions(weights, RETURNS)

    def shortfall(w):
        return historical(-(RETURNS @ w)).expected_shortfall

    for asset in range(3):
        moved = weights + step * (np.arange(3) == asset)
        slope = (shortfall(moved) - shortfall(weights)) / step
        assert split.marginal[asset] == pytest.approx(slope, rel=1e-4)
        without = np.where(np.arange(3) == asset, 0.0, weights)
        assert split.incremental[asset] == pytest.approx(shortfall(weights) - shortfall(without))


@pytest.mark.parametrize(
    ("losses", "level"),
    [
        ([0.1], 0.99),
        ([0.1, 0.2], 1.0),
        ([0.1, 0.2], 0.4),
        ([0.1, np.nan, 0.2], 0.99),
        ([0.1, np.inf], 0.99),
        ([0.1, -np.inf], 0.99),
    ],
)
def test_what_cannot_be_measured_is_a_typed_error(losses, level):
    with pytest.raises(InvalidValue):
        historical(np.array(losses), level)
