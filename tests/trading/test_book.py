"""The state that is kept: read back it is the one that was written, and goes on alike."""

from collections import deque
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.orders import TradingState
from domain.voting import Action, Outcome
from tests.trading.lives import LIMITS, events_of
from trading.book import OrderBook

SYMBOLS = ("IBM", "MSFT")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("bar"), st.sampled_from(SYMBOLS), st.integers(60, 140)),
        st.tuples(
            st.just("decision"),
            st.sampled_from(SYMBOLS),
            st.sampled_from(Action),
            st.sampled_from(Outcome),
            st.integers(1, 900),
            st.integers(1, 4),
        ),
        st.tuples(st.just("request"), st.sampled_from(TradingState)),
    ),
    max_size=40,
)


def book_of(events, book=None):
    book = book or OrderBook(LIMITS)
    for event in events:
        book.apply(event)
    return book


def laid_open(value):
    """Return everything that an object holds, whatever its class calls it."""
    if isinstance(value, msgspec.Struct | str | Decimal | TradingState):
        return value
    if isinstance(value, dict):
        return [(key, laid_open(item)) for key, item in value.items()]
    if isinstance(value, list | tuple | deque):
        return [laid_open(item) for item in value]
    names = getattr(value, "__slots__", None) or getattr(value, "__dict__", ())
    return {name: laid_open(getattr(value, name)) for name in names} if names else value


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, data=st.data())
async def test_snapshot_and_tail_give_the_state_of_the_whole_log(steps, data):
    gateway, events = await events_of(steps)
    whole = book_of(events)
    assert whole.to_bytes() == gateway.book.to_bytes()
    cut = data.draw(st.integers(0, len(events)), label="events before the snapshot")
    kept = book_of(events[:cut]).to_bytes()
    resumed = book_of(events[cut:], OrderBook.from_bytes(kept, LIMITS))
    assert resumed.to_bytes() == whole.to_bytes()
    # What changed since the last commit is the batch's, not the state's: recovery takes it away.
    for book in (resumed, whole):
        book.ledger.take_changed()
    # Every attribute, that of tomorrow's release too: what the bytes leave out shows here.
    assert laid_open(resumed) == laid_open(whole)


async def test_a_long_walk_has_something_of_everything():
    """What the property would not notice to be empty."""
    steps = [("bar", symbol, 100) for symbol in SYMBOLS]
    steps += [("decision", "IBM", Action.BUY, Outcome.EXECUTE, 400, 4)]
    steps += [("bar", "IBM", 100), ("decision", "IBM", Action.BUY, Outcome.EXECUTE, 9, 1)]
    steps += [("bar", "IBM", 101), ("decision", "IBM", Action.SELL, Outcome.EXECUTE, 90, 4)]
    steps += [("bar", "MSFT", 99), ("decision", "MSFT", Action.BUY, Outcome.EXECUTE, 7, 4)]
    steps += [("request", TradingState.REDUCING)]
    gateway, _ = await events_of(steps)
    state = msgspec.json.decode(gateway.book.to_bytes())
    assert [name for name, value in state.items() if not value] == []
    assert all(state["portfolio"].values()), state["portfolio"]
    assert all(state["experiences"].values()), state["experiences"]


def test_bytes_of_another_release_are_not_guessed_at():
    book = OrderBook(LIMITS)
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        OrderBook.from_bytes(book.to_bytes()[:-1] + b',"of_tomorrow":1}', LIMITS)
