import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from agents.portfolio_optimizer.frontier import efficient_frontier
from agents.portfolio_optimizer.quadratic_programming import minimise_quadratic
from domain.errors import InvalidValue


def program(seed, n):
    random = np.random.default_rng(seed)
    root = random.normal(size=(n, n))
    return root @ root.T / n + 0.1 * np.eye(n), random.normal(size=n)


@given(st.integers(0, 10_000), st.integers(2, 8))
def test_it_agrees_with_the_critical_line(seed, n):
    sigma, mean = program(seed, n)
    equal = np.ones((1, n)), np.ones(1)
    within = np.vstack([np.eye(n), -np.eye(n)]), np.concatenate([np.full(n, 0.7), np.zeros(n)])
    found = minimise_quadratic(sigma, -mean, equal, within)
    exact = efficient_frontier(mean, sigma, 0.0, 0.7).at_risk_aversion(1.0)
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_it_agrees_with_scipys_slsqp_beyond_bounds():
    sigma, linear = program(4, 6)
    g, h = np.vstack([-np.eye(6), [[1, 1, 0, 0, 0, 0]]]), np.append(np.full(6, 0.2), 0.1)
    found = minimise_quadratic(sigma, linear, (np.ones((1, 6)), np.ones(1)), (g, h))
    peer = minimize(
        lambda x: 0.5 * x @ sigma @ x + linear @ x,
        np.full(6, 1 / 6),
        jac=lambda x: sigma @ x + linear,
        method="SLSQP",
        constraints=[
            {"type": "eq", "fun": lambda x: x.sum() - 1.0},
            {"type": "ineq", "fun": lambda x: h - g @ x},
        ],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    np.testing.assert_allclose(found, peer.x, atol=1e-6)


def test_a_program_without_a_bound_is_refused():
    with pytest.raises(InvalidValue, match="did not converge"):
        minimise_quadratic(
            np.zeros((2, 2)),
            np.array([-1.0, 0.0]),
            (np.zeros((0, 2)), np.zeros(0)),
            (np.array([[-1.0, 0.0]]), np.zeros(1)),
        )
