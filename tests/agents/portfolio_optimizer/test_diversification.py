import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.portfolio_optimizer.diversification import diversification, minimum_torsion
from domain.errors import InvalidValue


@given(st.integers(0, 10_000), st.integers(1, 10))
def test_contributions_sum_to_one_and_bets_lie_between_one_and_all(drawn, seed, assets):
    weights = np.random.default_rng(seed).dirichlet(np.ones(assets))
    found = diversification(weights, drawn(seed, assets).covariance)
    assert found.risk_contributions.sum() == pytest.approx(1.0)
    assert 1.0 - 1e-9 <= found.effective_bets <= assets + 1e-9
    assert found.ratio >= 1.0 - 1e-12


@given(st.integers(0, 10_000), st.integers(2, 10))
def test_the_torsion_leaves_no_correlation(drawn, seed, assets):
    sigma = drawn(seed, assets).covariance
    torsion = minimum_torsion(sigma)
    bets = torsion @ sigma @ torsion.T
    assert np.abs(bets - np.diag(np.diagonal(bets))).max() < 1e-9 * np.diagonal(bets).max()


def test_equal_uncorrelated_assets_are_as_many_bets():
    found = diversification(np.full(4, 0.25), np.diag([2.0, 2.0, 2.0, 2.0]))
    assert found.effective_bets == pytest.approx(4.0)
    assert found.effective_assets == pytest.approx(4.0)
    assert found.ratio == pytest.approx(2.0)


def test_one_asset_is_one_bet():
    found = diversification(np.array([1.0, 0.0]), np.eye(2))
    assert (found.effective_bets, found.ratio) == (pytest.approx(1.0), pytest.approx(1.0))


@pytest.mark.parametrize("weights", [np.zeros(2), np.array([1.0, np.nan])])
def test_a_portfolio_of_nothing_has_no_measures(weights):
    with pytest.raises(InvalidValue, match="other than 0"):
        diversification(weights, np.eye(2))
