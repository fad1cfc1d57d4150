from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.assessment import Case
from agents.execution.judgement import Liquidity, assess, edge_kept, expected_cost
from domain.voting import AgentId


@pytest.fixture
def case_of(view, until, limits, proposal_of):
    return lambda **changes: Case(view, proposal_of(**changes), until, limits)


def test_cost_is_half_spread_fee_and_square_root_impact(case_of, limits):
    case = case_of(fraction=0.1)
    price, quantity = (float(x) for x in (case.proposal.reference_price, case.proposal.quantity))
    cost = expected_cost(case, Liquidity(volume=quantity * 25, volatility=0.02))
    impact = 0.1 * 0.02 * sqrt(1 / 25) * 1e4
    assert cost == pytest.approx(2.0 + 0.0035 / price * 1e4 + impact)


@given(st.floats(0, 1000), st.floats(-1000, 1000))
def test_the_edge_kept_is_at_most_all_and_at_least_minus_one(cost, edge):
    assert -1.0 <= edge_kept(cost, edge) <= 1.0


def test_a_larger_trade_keeps_less_and_a_larger_edge_more(classics, case_of):
    model = classics[AgentId.EXECUTION].model
    small, large = (assess(model, case_of(fraction=f)).support for f in (0.02, 0.9))
    assert small > large
    assert assess(model, case_of(edge=0.02)).support > assess(model, case_of(edge=0.01)).support


def test_no_edge_is_no_support(classics, case_of):
    assert assess(classics[AgentId.EXECUTION].model, case_of(edge=-0.01)).support == -1.0
