import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from agents.assessment import Abstention, Case
from agents.portfolio_optimizer.judgement import (
    allocation_weights,
    assess,
    classic_weights,
    target_allocation,
)
from domain.voting import Action, AgentId


@pytest.fixture
def case_of(view, until, limits, proposal_of):
    return lambda **changes: Case(view, proposal_of(**changes), until, limits)


@given(nps.arrays(np.float64, st.integers(1, 30), elements=st.floats(-20, 20)))
def test_weights_are_long_only_and_within_exposure_and_cap(preferences):
    classic = np.full(len(preferences), 1.0 / len(preferences))
    weights = allocation_weights(classic, preferences, 0.9, 0.3)
    assert (weights >= 0).all()
    assert weights.max() <= 0.3
    assert weights.sum() <= 0.9 + 1e-12


def test_the_classic_allocation_is_the_most_diversified(classics, case_of):
    model = classics[AgentId.PORTFOLIO_OPTIMIZER].model
    allocation = target_allocation(model, case_of())
    sigma = allocation.covariance
    # The most diversified long-only weights are equally correlated with all that is held.
    weights = classic_weights(sigma)
    correlations = sigma @ weights / np.sqrt(np.diagonal(sigma))
    np.testing.assert_allclose(correlations[weights > 0], correlations.min(), rtol=1e-9)
    np.testing.assert_allclose(allocation.weights, np.minimum(0.9 * weights, 0.3), rtol=1e-9)


def test_a_trade_toward_the_target_gains_and_one_past_it_loses(classics, case_of):
    model = classics[AgentId.PORTFOLIO_OPTIMIZER].model
    toward = assess(model, case_of(fraction=0.05, edge=0.0))
    past = assess(model, case_of(fraction=0.2, edge=0.0, held=(("AAA", 0.6),)))
    back = assess(model, case_of(action=Action.SELL, fraction=0.2, edge=0.0, held=(("AAA", 0.6),)))
    assert toward.measures["toward_target_bps"] > 0 > past.measures["toward_target_bps"]
    assert back.measures["toward_target_bps"] > 0


def test_the_proposals_own_view_counts_in_its_direction(classics, case_of):
    model = classics[AgentId.PORTFOLIO_OPTIMIZER].model
    verdicts = [assess(model, case_of(edge=edge)) for edge in (-0.01, 0.0, 0.01)]
    utilities = [verdict.measures["marginal_utility_bps"] for verdict in verdicts]
    assert np.diff(utilities) == pytest.approx([100.0, 100.0], abs=0.1)
    supports = [verdict.support for verdict in verdicts]
    assert supports == sorted(supports)


def test_it_accepts_where_utility_is_positive_and_is_held_to_what_that_takes(classics, case_of):
    model = classics[AgentId.PORTFOLIO_OPTIMIZER].model
    for edge in (-0.03, -0.01, 0.0, 0.01, 0.03):
        verdict = assess(model, case_of(edge=edge))
        assert (verdict.chance > 0.5) == (verdict.support > 0.0)
        assert verdict.bound == pytest.approx(-verdict.measures["toward_target_bps"] / 1e4)


def test_a_symbol_without_history_is_an_abstention(classics, view, bars, limits, proposal_of):
    at = bars["timestamp"][10]
    verdict = assess(
        classics[AgentId.PORTFOLIO_OPTIMIZER].model, Case(view, proposal_of(at=at), at, limits)
    )
    assert isinstance(verdict, Abstention)
