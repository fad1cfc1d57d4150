from datetime import UTC, datetime
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domain.orders import Order, OrderStatus, Side
from trading.order_state import (
    TERMINAL,
    TRANSITIONS,
    IllegalTransition,
    OrderState,
    Overfill,
    advance,
)

S = OrderStatus


def an_order(quantity=100):
    return Order(
        client_order_id="q-1",
        decision_id="d-1",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(quantity),
        arrival_price=Decimal(200),
        created_at=datetime(2012, 9, 4, 20, tzinfo=UTC),
    )


def test_every_status_is_in_the_table():
    assert set(TRANSITIONS) == set(OrderStatus)


def test_what_is_over_stays_over():
    assert {S.DENIED, S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED} == TERMINAL


@pytest.mark.parametrize(("status", "following"), list(product(OrderStatus, OrderStatus)))
def test_each_pair_is_either_in_the_table_or_refused(status, following):
    if following in TRANSITIONS[status]:
        assert advance(status, following) is following
    else:
        with pytest.raises(IllegalTransition, match=f"{status} can't become {following}"):
            advance(status, following)


def test_a_denied_order_was_never_sent():
    assert [s for s, following in TRANSITIONS.items() if S.DENIED in following] == [S.INITIALIZED]


def test_leaves_shrink_with_each_fill():
    state = OrderState(an_order(100))
    state.become(S.SUBMITTED)
    state.become(S.ACCEPTED)
    state.fill(Decimal(30))
    assert (state.status, state.leaves, state.fills) == (S.PARTIALLY_FILLED, Decimal(70), 1)
    state.fill(Decimal(70))
    assert (state.status, state.leaves, state.fills) == (S.FILLED, Decimal(0), 2)


def test_more_than_ordered_is_refused_and_changes_nothing():
    state = OrderState(an_order(100), S.ACCEPTED, Decimal(60), 1)
    with pytest.raises(Overfill, match=r"for 100, but 101"):
        state.fill(Decimal(41))
    assert (state.filled, state.fills, state.status) == (Decimal(60), 1, S.ACCEPTED)


def test_filled_is_said_only_when_the_quantities_say_so():
    state = OrderState(an_order(100), S.PARTIALLY_FILLED, Decimal(60), 1)
    with pytest.raises(IllegalTransition, match="60 of 100"):
        state.become(S.FILLED)


class AnyVenue(RuleBasedStateMachine):
    """Whatever a venue says in whatever order, the order's state stays consistent."""

    def __init__(self):
        super().__init__()
        self.state = OrderState(an_order(10))
        self.path = [S.INITIALIZED]

    def _try(self, step, reached):
        before = (self.state.status, self.state.filled, self.state.fills)
        try:
            step()
        except (IllegalTransition, Overfill):
            assert (self.state.status, self.state.filled, self.state.fills) == before
        else:
            self.path.append(reached())

    @rule(status=st.sampled_from(OrderStatus))
    def become(self, status):
        self._try(lambda: self.state.become(status), lambda: status)

    @precondition(lambda self: self.state.status is S.INITIALIZED)
    @rule()
    def send(self):
        self._try(lambda: self.state.become(S.SUBMITTED), lambda: S.SUBMITTED)

    @rule(quantity=st.integers(1, 11))
    def fill(self, quantity):
        self._try(lambda: self.state.fill(Decimal(quantity)), lambda: self.state.status)

    @invariant()
    def every_step_was_legal(self):
        for status, following in zip(self.path, self.path[1:], strict=False):
            assert following in TRANSITIONS[status]
        assert self.path[-1] is self.state.status

    @invariant()
    def quantities_add_up(self):
        state = self.state
        assert 0 <= state.filled <= state.order.quantity
        assert (state.status is S.FILLED) == (state.filled == state.order.quantity)
        assert state.is_over or state.filled + state.leaves == state.order.quantity
        assert not state.is_over or state.leaves == 0
        assert (state.fills > 0) == (state.filled > 0)

    @invariant()
    def nothing_fills_that_was_not_sent(self):
        assert S.SUBMITTED in self.path or self.state.filled == 0


TestAnyVenue = AnyVenue.TestCase
