from datetime import UTC, datetime
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from domain.errors import InvalidValue
from domain.orders import PRICES, Order, OrderRole, OrderStatus, OrderType, Side
from trading.order_state import (
    PENDING,
    TERMINAL,
    TRANSITIONS,
    IllegalTransition,
    OrderState,
    Overfill,
    advance,
)

S = OrderStatus
D = Decimal


def an_order(quantity=100, **others):
    return Order(
        client_order_id="q-1",
        decision_id="d-1",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(quantity),
        arrival_price=Decimal(200),
        created_at=datetime(2012, 9, 4, 20, tzinfo=UTC),
        **others,
    )


def working(quantity=100, filled=0):
    status = S.PARTIALLY_FILLED if filled else S.ACCEPTED
    return OrderState(an_order(quantity), status, D(filled), int(filled > 0))


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


def test_nothing_becomes_unknown_but_what_was_just_sent():
    assert [s for s, following in TRANSITIONS.items() if S.UNKNOWN in following] == [S.SUBMITTED]


@pytest.mark.parametrize(
    "answer", [S.ACCEPTED, S.REJECTED, S.CANCELLED, S.EXPIRED, S.PARTIALLY_FILLED, S.FILLED]
)
def test_whatever_the_venue_answers_resolves_an_unknown_order(answer):
    filled = {S.PARTIALLY_FILLED: 40, S.FILLED: 100}.get(answer, 0)
    state = OrderState(an_order(), S.SUBMITTED)
    state.become(S.UNKNOWN)
    assert state.leaves == 100
    if filled:
        state.fill(D(filled))
    else:
        state.become(answer)
    assert state.status is answer


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
    state = working(filled=60)
    with pytest.raises(IllegalTransition, match="60 of 100"):
        state.become(S.FILLED)


@pytest.mark.parametrize("status", [S.ACCEPTED, S.REJECTED])
def test_what_has_filled_is_neither_untouched_nor_rejected(status):
    state = working(filled=60)
    state.become(S.PENDING_CANCEL)
    with pytest.raises(IllegalTransition, match="60 of 100"):
        state.become(status)


def test_a_cancel_that_the_venue_refuses_leaves_the_order_working():
    state = working()
    state.become(S.PENDING_CANCEL)
    state.fill(D(40))
    assert state.status is S.PENDING_CANCEL
    assert state.working is S.PARTIALLY_FILLED
    state.become(state.working)
    assert (state.status, state.leaves) == (S.PARTIALLY_FILLED, 60)


def test_a_fill_that_overtakes_the_cancel_counts():
    state = working()
    state.become(S.PENDING_CANCEL)
    state.fill(D(100))
    assert state.status is S.FILLED


def test_a_replacement_counts_at_its_larger_terms_until_it_is_answered():
    state = working(filled=60)
    larger = replace(state.order, quantity=D(150))
    state.ask_replacement(larger)
    assert (state.status, state.leaves) == (S.PENDING_REPLACE, 90)
    state.fill(D(40))
    assert (state.status, state.leaves) == (S.PENDING_REPLACE, 50)
    state.become(S.PARTIALLY_FILLED, larger)
    assert (state.order.quantity, state.leaves) == (150, 50)


def test_a_refused_replacement_leaves_the_old_terms():
    state = working()
    first = state.order
    state.ask_replacement(replace(first, quantity=D(50)))
    assert state.leaves == 100
    state.become(S.ACCEPTED, first)
    assert (state.order, state.replacement, state.leaves) == (first, None, 100)


def test_a_smaller_order_that_filled_meanwhile_is_over():
    state = working()
    smaller = replace(state.order, quantity=D(50))
    state.ask_replacement(smaller)
    state.fill(D(50))
    state.become(S.FILLED)
    assert (state.order, state.leaves) == (smaller, 0)


@pytest.mark.parametrize("terms", [{"side": Side.SELL}, {"symbol": "AAPL"}, {"quantity": D(60)}])
def test_a_replacement_changes_quantity_and_prices_alone(terms):
    state = working(filled=60)
    with pytest.raises(IllegalTransition, match="can't be replaced"):
        state.ask_replacement(replace(state.order, **terms))
    assert state.status is S.PARTIALLY_FILLED


def test_terms_that_nobody_asked_for_are_refused():
    state = working()
    state.ask_replacement(replace(state.order, quantity=D(50)))
    with pytest.raises(IllegalTransition, match="never asked"):
        state.become(S.ACCEPTED, replace(state.order, quantity=D(70)))
    assert state.status is S.PENDING_REPLACE


@pytest.mark.parametrize("kind", OrderType)
def test_each_type_has_exactly_its_prices(kind):
    prices = {name: D(5) for name in PRICES[kind]}
    assert an_order(order_type=kind, **prices).order_type is kind
    for name in ("limit_price", "stop_price", "trail"):
        others = {n: p for n, p in prices.items() if n != name}
        wrong = others if name in prices else {**prices, name: D(5)}
        with pytest.raises(InvalidValue, match=name):
            an_order(order_type=kind, **wrong)


def test_a_child_has_a_parent_and_no_other_order_has_one():
    with pytest.raises(InvalidValue, match="CHILD order can't have the parent ''"):
        an_order(role=OrderRole.CHILD)
    with pytest.raises(InvalidValue, match="SINGLE order can't have the parent 'q-0'"):
        an_order(parent_order_id="q-0")


@pytest.mark.parametrize("quantity", ["0", "-1", "NaN", "Infinity", "1e18", str(2**63)])
def test_no_order_of_an_impossible_quantity_can_be_made(quantity):
    with pytest.raises(InvalidValue):
        an_order(quantity)


class AnyVenue(RuleBasedStateMachine):
    """Whatever a venue says in whatever order, the order's state stays consistent."""

    def __init__(self):
        super().__init__()
        self.state = OrderState(an_order(10))
        self.path = [S.INITIALIZED]
        self.most = D(10)

    def _seen(self):
        state = self.state
        return state.status, state.filled, state.fills, state.order, state.replacement

    def _try(self, step):
        before = self._seen()
        try:
            step()
        except (IllegalTransition, Overfill):
            assert self._seen() == before
        else:
            self.path.append(self.state.status)

    @rule(status=st.sampled_from(OrderStatus))
    def become(self, status):
        if status is S.PENDING_REPLACE:
            return  # which `ask_replacement` alone brings about
        self._try(lambda: self.state.become(status))

    @rule()
    def send(self):
        self._try(lambda: self.state.become(S.SUBMITTED))

    @rule(quantity=st.integers(1, 16))
    def fill(self, quantity):
        self._try(lambda: self.state.fill(Decimal(quantity)))

    @rule(quantity=st.integers(1, 15))
    def ask_replacement(self, quantity):
        terms = replace(self.state.order, quantity=D(quantity))
        self._try(lambda: self.state.ask_replacement(terms))
        self.most = max(self.most, D(quantity))

    @rule(accepted=st.booleans(), quantity=st.integers(1, 15))
    def answer(self, accepted, quantity):
        state = self.state
        terms = state.replacement if accepted else state.order
        self._try(lambda: state.become(state.working, terms))
        stranger = replace(state.order, quantity=D(quantity))
        if stranger not in (state.order, state.replacement):
            with pytest.raises(IllegalTransition):
                state.become(state.working, stranger)

    @invariant()
    def every_step_was_legal(self):
        for status, following in zip(self.path, self.path[1:], strict=False):
            assert following in TRANSITIONS[status]
        assert self.path[-1] is self.state.status

    @invariant()
    def quantities_add_up(self):
        state = self.state
        assert 0 <= state.filled <= self.most
        assert (state.status is not S.FILLED) or state.filled == state.order.quantity
        assert state.is_over or state.filled + state.leaves >= state.order.quantity
        assert not state.is_over or state.leaves == 0
        assert state.is_over or state.leaves > 0
        assert (state.fills > 0) == (state.filled > 0)
        assert (state.replacement is not None) <= (state.status in PENDING)

    @invariant()
    def nothing_fills_that_was_not_sent(self):
        assert S.SUBMITTED in self.path or self.state.filled == 0


TestAnyVenue = AnyVenue.TestCase
