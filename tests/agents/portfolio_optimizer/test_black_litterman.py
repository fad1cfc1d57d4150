from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.portfolio_optimizer.black_litterman import (
    View,
    analyst_view,
    implied_returns,
    posterior,
    stated_view,
)
from agents.portfolio_optimizer.estimation import Estimates
from domain.errors import InvalidValue

# He & Litterman (1999): Australia, Canada, France, Germany, Japan, UK, USA.
VOLATILITIES = np.array([0.16, 0.203, 0.248, 0.271, 0.21, 0.2, 0.187])
MARKET = np.array([0.016, 0.022, 0.052, 0.055, 0.116, 0.124, 0.615])
LOWER = [
    [0.488], [0.478, 0.664], [0.515, 0.655, 0.861], [0.439, 0.310, 0.355, 0.354],
    [0.512, 0.608, 0.783, 0.777, 0.405], [0.491, 0.779, 0.668, 0.653, 0.306, 0.652],
]  # fmt: skip


@pytest.fixture
def countries():
    correlations = np.eye(7)
    for i, row in enumerate(LOWER, 1):
        correlations[i, :i] = correlations[:i, i] = row
    sigma = correlations * np.outer(VOLATILITIES, VOLATILITIES)
    return Estimates(tuple("ABCDEFG"), np.zeros(7), sigma, np.zeros((3, 7)))


def test_he_and_littermans_tables(countries):
    sigma = countries.covariance
    prior = implied_returns(MARKET, sigma, 2.5)
    assert (100 * prior).round(1).tolist() == [3.9, 6.9, 8.4, 9.0, 4.3, 6.8, 7.6]
    # Germany earns 5 % more than the rest of Europe.
    pick = np.array([0, 0, -0.295, 1, 0, -0.705, 0])
    view = View(pick, 0.05, 0.05 * float(pick @ sigma @ pick))
    after = posterior(countries, prior, [view], 0.05)
    assert (100 * after.expected).round(1).tolist() == [4.3, 7.6, 9.3, 11.0, 4.5, 7.0, 8.1]
    weights = np.linalg.solve(2.5 * after.covariance, after.expected)
    published = [1.5, 2.1, -4.0, 35.4, 11.0, -9.5, 58.6]
    np.testing.assert_allclose(100 * weights, published, atol=0.11)


def test_two_views_of_pyportfolioopt(known):
    # PyPortfolioOpt 1.6.0, BlackLittermanModel(S, pi, P, Q, omega, tau=0.05)
    prior = np.array([0.001, 0.002, 0.0015, 0.0005, 0.001])
    views = [
        View(np.array([1.0, 0, 0, 0, 0]), 0.003, 1e-5),
        View(np.array([0, 1.0, -1.0, 0, 0]), 0.001, 2e-5),
    ]
    after = posterior(known, prior, views, 0.05)
    expected = [0.001718064, 0.002135853, 0.001539307, 0.000506751, 0.001126026]
    variances = [0.000119147, 0.000240403, 0.000086454, 0.000393943, 0.000172853]
    np.testing.assert_allclose(after.expected, expected, atol=1e-9)
    np.testing.assert_allclose(np.diagonal(after.covariance), variances, atol=1e-9)


@given(st.floats(0.01, 1.0))
def test_confidence_is_the_share_of_the_way_to_the_view(confidence):
    sigma = np.array([[0.04, 0.01], [0.01, 0.09]])
    known = Estimates(("A", "B"), np.zeros(2), sigma, np.zeros((3, 2)))
    prior = np.array([0.02, 0.03])
    view = stated_view(np.array([1.0, 0.0]), 0.10, confidence, sigma, 0.05)
    found = posterior(known, prior, [view], 0.05).expected[0]
    assert found == pytest.approx(0.02 + confidence * 0.08)


def test_without_views_the_prior_stays(known):
    prior = np.arange(5.0)
    assert posterior(known, prior, [], 0.05).expected.tolist() == prior.tolist()


def test_the_analysts_view_is_its_target_held_as_surely_as_it_is_likely(proposal_of, known):
    proposal = proposal_of(edge=0.05)
    sigma = known.covariance[:2, :2]
    view = analyst_view(proposal, ("AAA", "BBB"), sigma, 0.05)
    assert view.expected == pytest.approx(0.01, abs=1e-6)
    # Chance 0.55: a tenth of the way.
    assert view.variance == pytest.approx(0.05 * sigma[0, 0] * 9.0)
    assert analyst_view(proposal, ("BBB", "CCC"), sigma, 0.05) is None


def test_views_that_say_nothing_or_contradict_are_refused(known):
    with pytest.raises(InvalidValue, match="confidence"):
        stated_view(np.ones(5), 0.1, 0.0, known.covariance, 0.05)
    sure = View(np.eye(5)[0], 0.1, 0.0)
    with pytest.raises(InvalidValue, match="contradict"):
        posterior(known, np.zeros(5), [sure, replace(sure, expected=0.2)], 0.05)
    with pytest.raises(InvalidValue, match="uncertainty"):
        posterior(known, np.zeros(5), [], 0.0)
