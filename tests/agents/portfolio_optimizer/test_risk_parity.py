import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.portfolio_optimizer.risk_parity import hierarchical_risk_parity, risk_parity
from domain.errors import InvalidValue


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_every_asset_has_its_budget_of_risk(drawn, seed, assets):
    sigma = drawn(seed, assets).covariance
    budgets = np.random.default_rng(seed).uniform(0.1, 1.0, assets)
    weights = risk_parity(sigma, budgets)
    shares = weights * (sigma @ weights) / (weights @ sigma @ weights)
    np.testing.assert_allclose(shares, budgets / budgets.sum(), atol=1e-9)
    assert weights.sum() == pytest.approx(1.0)


def test_risk_parity_is_skfolios_as_far_as_its_solver_goes(known):
    # skfolio 1.12.2, RiskBudgeting().fit(scenarios).weights_
    expected = [0.274727616, 0.16306561, 0.252638364, 0.138904905, 0.170663505]
    np.testing.assert_allclose(risk_parity(known.covariance), expected, atol=5e-5)


def test_hierarchical_risk_parity_is_skfolios(known):
    # skfolio 1.12.2, HierarchicalRiskParity().fit(scenarios).weights_
    expected = [0.317341759, 0.158170318, 0.326807974, 0.060296903, 0.137383045]
    np.testing.assert_allclose(hierarchical_risk_parity(known.covariance), expected, atol=1e-9)


def test_two_assets_are_split_by_their_variance():
    np.testing.assert_allclose(hierarchical_risk_parity(np.diag([1.0, 4.0])), [0.8, 0.2])


def test_a_singular_covariance_does_for_the_hierarchy_only():
    copies = np.ones((3, 3))
    np.testing.assert_allclose(hierarchical_risk_parity(copies).sum(), 1.0)
    with pytest.raises(InvalidValue, match="singular"):
        risk_parity(copies)


@pytest.mark.parametrize("sigma", [np.full((2, 2), np.nan), np.zeros((2, 2))])
def test_covariances_that_mean_nothing_are_refused(sigma):
    for weigh in (risk_parity, hierarchical_risk_parity):
        with pytest.raises(InvalidValue):
            weigh(sigma)


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(InvalidValue, match="budgets"):
        risk_parity(np.eye(2), np.array([1.0, 0.0]))
