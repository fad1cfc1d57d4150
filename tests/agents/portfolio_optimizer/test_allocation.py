from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.portfolio_optimizer.allocation import Objective, Preferences, allocate
from agents.portfolio_optimizer.cardinality import Solved, best_subset
from agents.portfolio_optimizer.constraints import Constraints
from agents.portfolio_optimizer.estimation import Estimates
from domain.errors import InvalidValue

SEEDS = st.integers(0, 10_000)


@settings(max_examples=15)
@given(SEEDS, st.integers(1, 7))
def test_weights_sum_to_the_budget_and_are_long_only(drawn, seed, assets):
    known = drawn(seed, assets)
    for objective in Objective:
        weights = allocate(
            objective, replace(known, expected=np.abs(known.expected) + 1e-4)
        ).weights
        assert weights.sum() == pytest.approx(1.0, abs=1e-8)
        assert weights.min() >= -1e-9


@settings(max_examples=15)
@given(SEEDS, st.floats(0.1, 10.0))
def test_the_unit_of_risk_moves_no_weight_of_those_that_only_spread_it(drawn, seed, unit):
    known = drawn(seed, 5)
    other = Estimates(
        known.symbols, unit * known.expected, unit**2 * known.covariance, unit * known.scenarios
    )
    for objective in (
        Objective.INVERSE_VOLATILITY, Objective.RISK_PARITY, Objective.HIERARCHICAL_RISK_PARITY,
        Objective.MAXIMUM_DIVERSIFICATION, Objective.MINIMUM_VARIANCE,
        Objective.MEAN_EXPECTED_SHORTFALL,
    ):  # fmt: skip
        np.testing.assert_allclose(
            allocate(objective, known).weights, allocate(objective, other).weights, atol=1e-6
        )


def test_the_most_diversified_are_skfolios(known):
    # skfolio 1.12.2, MaximumDiversification().fit(scenarios).weights_
    expected = [0.339705136, 0.176164098, 0.211382102, 0.158633084, 0.114115581]
    found = allocate(Objective.MAXIMUM_DIVERSIFICATION, known).weights
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_without_uncertainty_the_robust_weights_are_the_mean_variance_ones(known):
    plain = allocate(Objective.MEAN_VARIANCE, known, None, Preferences(aversion=20.0)).weights
    sure = Preferences(aversion=20.0, uncertainty=0.0)
    np.testing.assert_allclose(allocate(Objective.ROBUST, known, None, sure).weights, plain)
    unsure = Preferences(aversion=20.0, uncertainty=1e4)
    np.testing.assert_allclose(
        allocate(Objective.ROBUST, known, None, unsure).weights,
        allocate(Objective.MINIMUM_VARIANCE, known).weights,
        atol=1e-3,
    )


def test_a_large_ridge_leads_to_equal_weights(known):
    weights = allocate(Objective.REGULARISED, known, None, Preferences(ridge=1e5)).weights
    np.testing.assert_allclose(weights, 0.2, atol=1e-3)


def test_costs_keep_weights_where_they_are(known):
    held = np.full(5, 0.2)
    dear = Constraints(held=held, trading_cost=1.0)
    np.testing.assert_allclose(
        allocate(Objective.MEAN_VARIANCE, known, dear).weights, held, atol=1e-7
    )


@settings(max_examples=10)
@given(SEEDS)
def test_few_assets_are_the_best_few_of_all(drawn, seed):
    known = drawn(seed, 6)
    found = allocate(Objective.MINIMUM_VARIANCE, known, Constraints(most_assets=2))
    assert found.gap == 0.0
    assert (found.weights > 0).sum() <= 2
    sigma = known.covariance
    best = min(
        float(w @ sigma[np.ix_(pair, pair)] @ w)
        for pair in map(list, combinations(range(6), 2))
        for w in [
            allocate(
                Objective.MINIMUM_VARIANCE,
                Estimates(("x", "y"), known.expected[pair], sigma[np.ix_(pair, pair)],
                          known.scenarios[:, pair]),
            ).weights
        ]
    )  # fmt: skip
    assert found.weights @ sigma @ found.weights == pytest.approx(best, rel=1e-7)


def test_a_proof_that_is_broken_off_tells_its_gap(monkeypatch):
    monkeypatch.setattr("agents.portfolio_optimizer.cardinality._NODES", 0)

    def equal(excluded):
        kept = np.ones(6) if excluded is None else (~excluded).astype(float)
        if not kept.any():
            raise InvalidValue("none", next_step="none")
        return Solved(kept / kept.sum(), 1.0 / kept.sum())

    found = best_subset(equal, 6, 2)
    assert found.gap == pytest.approx((1 / 2 - 1 / 6) / (1 / 2))


def test_nothing_above_the_risk_free_rate_has_no_largest_sharpe_ratio(known):
    losing = replace(known, expected=-np.abs(known.expected))
    for constraints in (Constraints(), Constraints(held=np.full(5, 0.2), trading_cost=1e-4)):
        with pytest.raises(InvalidValue, match="risk-free"):
            allocate(Objective.MAXIMUM_SHARPE, losing, constraints)
