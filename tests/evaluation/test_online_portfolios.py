import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize

from evaluation.online_portfolios import (
    best_constant_weights,
    constant_rebalanced,
    exponentiated_gradient,
    onto_simplex,
    passive_aggressive_mean_reversion,
)

RELATIVES = arrays(np.float64, (12, 4), elements=st.floats(0.5, 2.0))
WAYS = (constant_rebalanced, exponentiated_gradient, passive_aggressive_mean_reversion)


def wealth(relatives, weights):
    return np.cumprod((relatives * weights).sum(axis=1))


@pytest.mark.parametrize("way", WAYS)
@given(relatives=RELATIVES)
@settings(max_examples=50)
def test_weights_are_on_the_simplex_and_know_nothing_of_the_day(way, relatives):
    weights = way(relatives)
    assert weights.min() >= 0.0
    assert weights.sum(axis=1) == pytest.approx(1.0)
    changed = relatives.copy()
    changed[6:] = 1.0 / changed[6:]
    assert np.array_equal(way(changed)[:7], weights[:7])


def test_half_a_bet_is_the_best_where_cash_stands_beside_a_stock_that_doubles_or_halves():
    # T. Cover, "Universal portfolios", 1991, section 2: growth of sqrt(9/8) a day.
    relatives = np.array([[1.0, 2.0], [1.0, 0.5]] * 50)
    best = best_constant_weights(relatives)
    assert best == pytest.approx([0.5, 0.5], abs=1e-6)
    assert wealth(relatives, best)[-1] == pytest.approx((9 / 8) ** 50)


@given(relatives=RELATIVES)
@settings(max_examples=25)
def test_no_constant_weights_that_a_general_optimiser_finds_are_better(relatives):
    def loss(weights):
        return -np.log(relatives @ weights).mean()

    found = minimize(
        loss,
        np.full(4, 0.25),
        bounds=[(0.0, 1.0)] * 4,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0},
        method="SLSQP",
    )
    assert loss(best_constant_weights(relatives)) <= found.fun + 1e-9


def test_the_exponentiated_gradient_of_one_day():
    # b' ∝ b·exp(η x / b·x) with x = (2, 1), b·x = 1.5, η = .05.
    weights = exponentiated_gradient(np.array([[2.0, 1.0], [1.0, 1.0]]))
    odds = np.exp(0.05 * (2.0 - 1.0) / 1.5)
    assert weights[1] == pytest.approx([odds / (1 + odds), 1 / (1 + odds)])


def test_mean_reversion_brings_the_last_day_down_to_what_it_bears():
    relatives = np.array([[1.1, 0.9, 1.0], [1.0, 1.0, 1.0]])
    weights = passive_aggressive_mean_reversion(relatives, sensitivity=0.98)
    assert weights[1] @ relatives[0] == pytest.approx(0.98)


@given(point=arrays(np.float64, 5, elements=st.floats(-3.0, 3.0)))
def test_the_nearest_point_of_the_simplex(point):
    nearest = onto_simplex(point)
    assert nearest.min() >= 0.0
    assert nearest.sum() == pytest.approx(1.0)
    # It is nearest if no corner lies within less than a right angle of the way to the point.
    assert ((np.eye(5) - nearest) @ (point - nearest)).max() <= 1e-9
