from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from agents.portfolio_optimizer.conflicts import ConflictingConstraints
from agents.portfolio_optimizer.constraints import Constraints
from agents.portfolio_optimizer.expected_shortfall import (
    expected_shortfall,
    mean_expected_shortfall,
)
from domain.errors import InvalidValue

SEEDS = st.integers(0, 10_000)
TAILS = st.sampled_from([0.01, 0.05, 0.1, 0.33])


@given(SEEDS, TAILS)
def test_it_is_subadditive(drawn, seed, tail):
    first, second = drawn(seed, 2).scenarios.T
    whole = expected_shortfall(first + second, tail)
    assert whole <= expected_shortfall(first, tail) + expected_shortfall(second, tail) + 1e-12


def test_it_is_the_mean_of_the_worst():
    returns = np.arange(-10.0, 10.0)
    assert expected_shortfall(returns, 0.1) == pytest.approx(9.5)
    # 1.5 of 20 scenarios: all of the worst, half of the next.
    assert expected_shortfall(returns, 0.075) == pytest.approx((10 + 0.5 * 9) / 1.5)


def test_weights_are_skfolios(known):
    # skfolio 1.12.2, MeanRisk(risk_measure=CVAR, cvar_beta=0.95).fit(scenarios).weights_
    expected = [0.326957703, 0.11624268, 0.484931664, 0.071867953, 0.0]
    found = mean_expected_shortfall(known, Constraints()).weights
    np.testing.assert_allclose(found, expected, atol=1e-7)


@given(SEEDS)
def test_no_other_weights_have_less(drawn, seed):
    known = drawn(seed, 4)
    best = mean_expected_shortfall(known, Constraints()).weights
    least = expected_shortfall(known.scenarios @ best)
    for other in np.random.default_rng(seed).dirichlet(np.ones(4), 50):
        assert least <= expected_shortfall(known.scenarios @ other) + 1e-10


def _least_by_rockafellar_and_uryasev(scenarios, tail):
    """Least expected shortfall by SciPy's linear program over all scenarios and their excesses."""
    periods, assets = scenarios.shape
    found = linprog(
        np.concatenate([np.zeros(assets), [1.0], np.full(periods, 1.0 / (tail * periods))]),
        A_ub=np.hstack([-scenarios, -np.ones((periods, 1)), -np.eye(periods)]),
        b_ub=np.zeros(periods),
        A_eq=np.concatenate([np.ones(assets), [0.0], np.zeros(periods)])[None, :],
        b_eq=[1.0],
        bounds=[(0, None)] * assets + [(None, None)] + [(0, None)] * periods,
    )
    return found.fun


@given(SEEDS, TAILS)
@settings(max_examples=25)
def test_the_optimum_is_that_over_all_scenarios_though_it_begins_with_few(drawn, seed, tail):
    known = drawn(seed, 4)
    # The first asset alone makes the worst of equal weights, and is hardly held.
    scenarios = known.scenarios * np.array([30.0, 1.0, 1.0, 1.0])
    best = mean_expected_shortfall(replace(known, scenarios=scenarios), Constraints(), tail=tail)
    assert expected_shortfall(scenarios @ best.weights, tail) == pytest.approx(
        _least_by_rockafellar_and_uryasev(scenarios, tail), abs=1e-9
    )


def test_few_assets_and_constraints_are_kept(known):
    found = mean_expected_shortfall(known, Constraints(most_assets=2, upper=0.7)).weights
    assert (found > 1e-9).sum() == 2
    with pytest.raises(ConflictingConstraints, match="each asset at most"):
        mean_expected_shortfall(known, Constraints(upper=0.1))


def test_scenarios_that_are_not_finite_are_refused(known):
    with pytest.raises(InvalidValue, match="finite scenarios"):
        mean_expected_shortfall(replace(known, scenarios=known.scenarios * np.nan), Constraints())
    with pytest.raises(InvalidValue, match="tail"):
        mean_expected_shortfall(known, Constraints(), tail=0.0)
