"""Simulation inside its own stated error of closed forms, over many seeds."""

from math import inf

import numpy as np
import pytest
from scipy import stats

from agents.risk_manager.monte_carlo_value_at_risk import (
    correlation_root,
    simulate_losses,
    simulated,
)
from agents.risk_manager.parametric_value_at_risk import normal, student_t
from domain.errors import InvalidValue

CORRELATION = np.array([[1, 0.6, 0.2], [0.6, 1, -0.1], [0.2, -0.1, 1]])
EXPOSURES = np.array([0.01, 0.02, -0.005])
DEVIATION = float(np.sqrt(EXPOSURES @ CORRELATION @ EXPOSURES))
SEEDS = range(40)


def draws(seed, scenarios=10_000, **changes):
    return simulate_losses(EXPOSURES, CORRELATION, scenarios=scenarios, seed=seed, **changes)


@pytest.mark.parametrize(
    ("changes", "closed"),
    [
        ({}, normal(0, DEVIATION)),
        # Margins and copula of one tail make a multivariate t: a portfolio of it is a t.
        (
            {"copula_degrees": 5.0, "marginal_degrees": np.full(3, 5.0)},
            student_t(0, DEVIATION, 5.0),
        ),
    ],
)
def test_the_stated_interval_holds_the_closed_form(changes, closed):
    found = [simulated(draws(seed, **changes)) for seed in SEEDS]
    for place, error in ((0, "value_at_risk_error"), (1, "expected_shortfall_error")):
        inside = [abs(each[place] - closed[place]) <= getattr(each, error) for each in found]
        assert np.mean(inside) >= 0.9
    # And it isn't wide by caution alone: 10,000 scenarios tell VaR to some 5 %.
    assert np.mean([each.value_at_risk_error for each in found]) < 0.08 * closed.value_at_risk


def test_margins_of_another_tail_than_the_copula_keep_their_own():
    degrees = np.array([3.0, 8.0, inf])
    for asset in range(3):
        alone = np.zeros(3)
        alone[asset] = 1.0
        losses = simulate_losses(
            alone, CORRELATION, copula_degrees=4.0, marginal_degrees=degrees,
            scenarios=100_000, seed=1,
        )  # fmt: skip
        margin = stats.t(degrees[asset]) if degrees[asset] < inf else stats.norm()
        scale = margin.std()
        for level in (0.6, 0.9, 0.99):
            assert np.quantile(losses, level) == pytest.approx(margin.ppf(level) / scale, rel=0.03)


def test_a_t_copula_brings_extremes_together():
    def both_beyond(**changes):
        x, y = (
            simulate_losses(w, CORRELATION, scenarios=100_000, seed=2, **changes)
            for w in (np.array([1.0, 0, 0]), np.array([0, 0, 1.0]))
        )
        return np.mean((x > np.quantile(x, 0.99)) & (y > np.quantile(y, 0.99)))

    same = {"marginal_degrees": np.full(3, inf)}
    assert both_beyond(copula_degrees=3.0, **same) > 3 * both_beyond(**same)


def test_the_same_seed_gives_the_same_losses_in_antithetic_pairs():
    losses = draws(7, scenarios=5_001)
    assert len(losses) == 5_002
    assert (losses == draws(7, scenarios=5_001)).all()
    assert (losses[:2_501] == -losses[2_501:]).all()
    assert (losses != draws(8, scenarios=5_001)).any()


def test_a_singular_correlation_is_simulated():
    one = np.ones((3, 3))
    found = simulated(simulate_losses(EXPOSURES, one, seed=1))
    assert abs(found.value_at_risk - normal(0, 0.025).value_at_risk) <= found.value_at_risk_error
    root = correlation_root(one)
    assert root @ root.T == pytest.approx(one)


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]),
        np.diag([1.0, 2.0, 1.0]),
        np.full((3, 3), np.nan),
        np.array([[1, 0.5, 0], [0.4, 1, 0], [0, 0, 1]]),
    ],
)
def test_a_matrix_that_is_no_correlation_is_refused(matrix):
    with pytest.raises(InvalidValue):
        simulate_losses(EXPOSURES, matrix, seed=1)


def test_a_tail_without_deviation_is_refused():
    with pytest.raises(InvalidValue):
        draws(1, copula_degrees=2.0)
    with pytest.raises(InvalidValue):
        draws(1, marginal_degrees=np.array([2.0, 3.0, 3.0]))
