import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.portfolio_optimizer.frontier import efficient_frontier
from domain.errors import InvalidValue

CASES = st.tuples(st.integers(0, 10_000), st.integers(1, 12))


def estimate(seed, assets):
    random = np.random.default_rng(seed)
    loads = random.normal(size=(assets, 3))
    sigma = 1e-4 * (loads @ loads.T + np.diag(random.uniform(0.2, 2.0, assets)))
    return random.normal(5e-4, 5e-4, assets), sigma


def violation(frontier, low, high):
    """Return by how much the optimality conditions fail at any turning point."""
    worst = 0.0
    for weights, trade_off in zip(frontier.weights, frontier.trade_offs, strict=True):
        slope = frontier.covariance @ weights - trade_off * frontier.expected
        within = (weights > low + 1e-9) & (weights < high - 1e-9)
        # The price of the budget lies between those who may not fall and those who may not rise.
        floor = slope[weights < high - 1e-9]
        roof = slope[weights > low + 1e-9]
        worst = max(worst, (roof.max() - floor.min()) if within.size and floor.size else 0.0)
        worst = max(worst, abs(weights.sum() - 1.0), (low - weights).max(), (weights - high).max())
    return worst


@given(CASES, st.floats(0.0, 0.4), st.floats(0.05, 1.0))
def test_every_turning_point_is_optimal(case, short, room):
    mean, sigma = estimate(*case)
    low = np.full(len(mean), -short)
    high = np.full(len(mean), 1.0 / len(mean) + room)
    assert violation(efficient_frontier(mean, sigma, low, high), low, high) < 1e-9


@given(CASES)
def test_variance_is_convex_in_return_and_falls_to_the_least(case):
    frontier = efficient_frontier(*estimate(*case))
    assert (np.diff(frontier.returns) <= 1e-12).all()
    assert (np.diff(frontier.variances) <= 1e-15).all()
    steps = np.diff(frontier.returns)
    moves = steps < -1e-12  # two turning points may have one return
    if moves.sum() > 1:
        slopes = np.diff(frontier.variances)[moves] / steps[moves]
        assert (np.diff(slopes) <= 1e-9 * np.abs(slopes).max()).all()
    assert frontier.trade_offs[-1] == 0.0


@given(CASES, st.floats(0.1, 10.0))
def test_the_unit_of_return_moves_no_weight(case, unit):
    mean, sigma = estimate(*case)
    here, there = efficient_frontier(mean, sigma), efficient_frontier(unit * mean, unit**2 * sigma)
    np.testing.assert_allclose(here.minimum_variance, there.minimum_variance, atol=1e-9)
    target = 0.5 * (here.returns[0] + here.returns[-1])
    np.testing.assert_allclose(here.at_return(target), there.at_return(unit * target), atol=1e-7)


@given(CASES, st.floats(0.5, 50.0), st.floats(1.1, 10.0))
def test_more_risk_aversion_never_means_more_risk(case, aversion, times):
    frontier = efficient_frontier(*estimate(*case))
    bold, timid = (frontier.at_risk_aversion(a) for a in (aversion, times * aversion))
    assert timid @ frontier.covariance @ timid <= bold @ frontier.covariance @ bold + 1e-12


@given(CASES)
def test_no_other_portfolio_has_a_larger_sharpe_ratio(case):
    mean, sigma = estimate(*case)
    frontier = efficient_frontier(np.abs(mean), sigma)
    best = frontier.maximum_sharpe()
    others = np.random.default_rng(1).dirichlet(np.ones(len(mean)), 200)
    ratios = others @ np.abs(mean) / np.sqrt(np.einsum("ij,jk,ik->i", others, sigma, others))
    assert ratios.max() <= best @ np.abs(mean) / np.sqrt(best @ sigma @ best) + 1e-9


def test_two_assets_by_hand():
    frontier = efficient_frontier(np.array([0.02, 0.01]), np.diag([4.0, 1.0]))
    # Least variance: weights proportional to the inverse variances.
    np.testing.assert_allclose(frontier.weights, [[1.0, 0.0], [0.2, 0.8]], atol=1e-15)
    np.testing.assert_allclose(frontier.at_return(0.015), [0.5, 0.5], atol=1e-12)
    # Largest Sharpe ratio: proportional to mean over variance, 0.005 : 0.01.
    np.testing.assert_allclose(frontier.maximum_sharpe(), [1 / 3, 2 / 3], atol=1e-12)


def test_least_variance_of_skfolio(known):
    # skfolio 1.12.2, MeanRisk().fit(scenarios).weights_
    expected = [0.340055024, 0.104091229, 0.381666043, 0.081122044, 0.093065661]
    found = efficient_frontier(known.expected, known.covariance).minimum_variance
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_largest_sharpe_ratio_of_skfolio(known):
    # skfolio 1.12.2, MeanRisk(MAXIMIZE_RATIO, max_weights=0.4).fit(scenarios + 0.003).weights_
    expected = [0.271140559, 0.098028191, 0.399999733, 0.000000267, 0.23083125]
    frontier = efficient_frontier(known.expected + 0.003, known.covariance, 0.0, 0.4)
    np.testing.assert_allclose(frontier.maximum_sharpe(), expected, atol=5e-5)


def test_equal_expected_returns_still_have_a_frontier(known):
    frontier = efficient_frontier(np.full(5, 0.01), known.covariance)
    expected = efficient_frontier(known.expected, known.covariance).minimum_variance
    np.testing.assert_allclose(frontier.minimum_variance, expected, atol=1e-9)


def test_upper_bounds_that_fill_up_exactly_do_not_cycle():
    mean, sigma = estimate(3, 20)
    high = np.full(20, 0.1)
    assert violation(efficient_frontier(mean, sigma, 0.0, 0.1), np.zeros(20), high) < 1e-9


def test_one_asset_is_its_own_frontier():
    assert efficient_frontier(np.array([0.1]), np.array([[2.0]])).weights.tolist() == [[1.0]]


def test_a_return_beyond_reach_is_refused(known):
    frontier = efficient_frontier(known.expected, known.covariance)
    with pytest.raises(InvalidValue, match="expected to earn"):
        frontier.at_return(1.0)
    with pytest.raises(InvalidValue, match="risk-free"):
        frontier.maximum_sharpe(1.0)


@pytest.mark.parametrize(
    ("mean", "sigma", "says"),
    [
        ([0.1, np.nan], np.eye(2), "finite number per asset"),
        ([0.1, 0.2], [[1.0, np.nan], [np.nan, 1.0]], "finite numbers"),
        ([0.1, 0.2], np.ones((2, 2)), "singular"),
        ([0.1, 0.2], [[1.0, 0.5], [0.1, 1.0]], "symmetric"),
        ([0.1, 0.2], np.eye(3), "2 × 2"),
        ([], np.zeros((0, 0)), "finite number per asset"),
    ],
)
def test_estimates_that_mean_nothing_are_refused(mean, sigma, says):
    with pytest.raises(InvalidValue, match=says):
        efficient_frontier(np.array(mean), np.array(sigma))


def test_bounds_without_a_portfolio_are_refused(known):
    with pytest.raises(InvalidValue, match="sum to 1"):
        efficient_frontier(known.expected, known.covariance, 0.0, 0.1)
