from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.assessment import Case
from agents.execution.judgement import COST_SHARE, Liquidity, assess, expected_cost, room
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


@given(st.floats(0.01, 1000), st.floats(-1000, 1000), st.floats(0, 1000))
def test_room_falls_with_cost_and_rises_with_edge(cost, edge, more):
    assert room(cost + more, edge) <= room(cost, edge) <= room(cost, edge + more)


def test_there_is_just_room_where_the_cost_is_its_share_of_the_edge():
    assert room(COST_SHARE * 12.0, 12.0) == pytest.approx(0.0)


def test_a_larger_trade_has_less_room_and_a_larger_edge_more(classics, case_of):
    model = classics[AgentId.EXECUTION].model
    small, large = (assess(model, case_of(fraction=f, edge=0.002)).support for f in (0.02, 0.9))
    assert small > large
    assert assess(model, case_of(edge=0.002)).support > assess(model, case_of(edge=0.001)).support


def test_the_bound_is_the_share_of_the_edge_that_may_go(classics, case_of):
    verdict = assess(classics[AgentId.EXECUTION].model, case_of(edge=0.01))
    assert verdict.bound == pytest.approx(COST_SHARE * 0.01, abs=1e-8)


def test_no_edge_is_refused_for_sure(classics, case_of):
    verdict = assess(classics[AgentId.EXECUTION].model, case_of(edge=-0.01))
    assert verdict.chance < 0.05
    assert verdict.bound == 0.0
