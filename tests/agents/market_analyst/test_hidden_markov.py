from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.market_analyst.hidden_markov import MarkovModel, filtered, fit

MODEL = MarkovModel(
    initial=np.array([0.5, 0.5]),
    transitions=np.array([[0.9, 0.1], [0.3, 0.7]]),
    means=np.array([[0.2, -0.5], [-0.1, 0.8]]),
    covariances=np.array([[[0.5, 0.1], [0.1, 0.4]], [[2.0, -0.3], [-0.3, 0.6]]]),
)

#: GaussianHMM(2, "full", n_iter=500, tol=1e-9, init_params="", params="tmc", min_covar=1e-3,
#: covars_prior=0) of hmmlearn 0.3.3, begun where the first guess below begins.
HMMLEARN = {
    "log_likelihood": -1463.747564,
    "transitions": np.array([[0.883244, 0.116756], [0.384549, 0.615451]]),
    "means": np.array([[0.1668, -0.554703], [-0.139413, 0.917272]]),
}


def densities(model, observations):
    """The normal density by its definition, one observation and state at a time."""
    result = np.empty((len(observations), model.states))
    for (t, x), k in product(enumerate(observations), range(model.states)):
        gap, covariance = x - model.means[k], model.covariances[k]
        exponent = -0.5 * gap @ np.linalg.inv(covariance) @ gap
        result[t, k] = np.exp(exponent) / np.sqrt(np.linalg.det(2 * np.pi * covariance))
    return result


def by_every_path(model, observations):
    """Likelihood and last-state probabilities, summed over all state paths."""
    density = densities(model, observations)
    joint = np.zeros(model.states)
    for path in product(range(model.states), repeat=len(observations)):
        likely = model.initial[path[0]] * density[0, path[0]]
        for t in range(1, len(path)):
            likely *= model.transitions[path[t - 1], path[t]] * density[t, path[t]]
        joint[path[-1]] += likely
    return joint.sum(), joint / joint.sum()


def sample(steps, seed, model=MODEL):
    random = np.random.default_rng(seed)
    states = [0]
    for _ in range(1, steps):
        states.append(int(random.random() < model.transitions[states[-1], 1]))
    shocks = [random.multivariate_normal(model.means[s], model.covariances[s]) for s in states]
    return np.array(states), np.array(shocks)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(0, 10**6))
def test_filtering_is_the_sum_over_all_paths(steps, seed):
    _, observations = sample(steps, seed)
    likelihood, last = by_every_path(MODEL, observations)
    found = filtered(MODEL, observations)
    assert found.log_densities.sum() == pytest.approx(np.log(likelihood), abs=1e-9)
    assert found.probabilities[-1] == pytest.approx(last, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 200), st.integers(1, 200), st.integers(0, 10**6))
def test_the_future_changes_nothing(steps, more, seed):
    _, observations = sample(steps + more, seed)
    whole, cut = filtered(MODEL, observations), filtered(MODEL, observations[:steps])
    assert whole.probabilities[:steps] == pytest.approx(cut.probabilities, abs=1e-9)
    assert whole.log_densities[:steps] == pytest.approx(cut.log_densities, abs=1e-9)


@pytest.mark.parametrize("steps", [5, 8, 10])
def test_an_iteration_counts_moves_as_the_sum_over_all_paths(steps):
    _, observations = sample(steps, 12)
    starts = np.random.default_rng(1).dirichlet(np.ones(2), (1, steps))
    before = fit(observations, starts, most=1).model
    after = fit(observations, starts, most=2, tolerance=-1.0).model
    density, moves = densities(before, observations), np.zeros((2, 2))
    for path in product(range(2), repeat=steps):
        steps_taken = list(pairwise(path))
        likely = before.initial[path[0]] * density[range(steps), path].prod()
        likely *= np.prod([before.transitions[step] for step in steps_taken])
        for step in steps_taken:
            moves[step] += likely
    expected = moves / moves.sum(axis=1, keepdims=True)
    assert after.transitions == pytest.approx(expected, abs=1e-5)


def test_fit_equals_hmmlearn():
    # Up to the variance floor, which we add.
    _, observations = sample(600, 4)
    starts = np.where(observations[:, 1:] > 0.2, [0.1, 0.9], [0.9, 0.1])[None]
    found = fit(observations, starts, tolerance=1e-12, most=500)
    assert found.log_likelihood == pytest.approx(HMMLEARN["log_likelihood"], abs=0.01)
    assert found.model.transitions == pytest.approx(HMMLEARN["transitions"], abs=2e-3)
    assert found.model.means == pytest.approx(HMMLEARN["means"], abs=2e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(20, 300), st.integers(2, 3), st.integers(0, 10**6))
def test_no_iteration_lowers_the_likelihood(steps, states, seed):
    random = np.random.default_rng(seed)
    observations = random.standard_normal((steps, 2)) * np.where(
        random.random((steps, 1)) < 0.3, 3, 1
    )
    starts = random.dirichlet(np.ones(states), (2, steps))
    likelihoods = [
        fit(observations, starts, tolerance=-1.0, most=n).log_likelihoods for n in (1, 2, 5, 9)
    ]
    # The variance floor is added after the maximisation: what it costs is far below this.
    assert (np.diff(likelihoods, axis=0) > -0.02 * steps).all()


def test_the_best_of_several_starts_is_returned():
    _, observations = sample(400, 2)
    good = np.where(observations[:, 1:] > 0.2, [0.1, 0.9], [0.9, 0.1])
    alike = np.full_like(good, 0.5)
    found = fit(observations, np.stack([alike, good]))
    assert found.log_likelihood == found.log_likelihoods.max() == found.log_likelihoods[1]
    assert found.log_likelihoods[1] > found.log_likelihoods[0] + 10
