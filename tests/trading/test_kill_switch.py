"""The kill switch beside the record: obeyed before each order, and while the record is away."""

import asyncio
from itertools import product

import pytest
from msgspec.structs import replace

from adapters.kill_switch import FileKillSwitch
from domain.errors import VenueUnavailable
from domain.metrics import Metric
from domain.orders import (
    EVERYTHING,
    OrderStatus,
    OrderUpdated,
    Scope,
    ScopeKind,
    TradingState,
    TradingStateChanged,
)
from tests.trading.remote_venue import RemoteVenue
from trading.gateway import Gateway
from trading.kill_switch import cancel_halted, watch, with_requests
from trading.trading_states import state_of, strictest

S = OrderStatus
HALTED, ACTIVE, REDUCING = TradingState.HALTED, TradingState.ACTIVE, TradingState.REDUCING
SCOPES = [
    EVERYTHING,
    Scope(kind=ScopeKind.STRATEGY, name="market_analyst"),
    Scope(kind=ScopeKind.SYMBOL, name="IBM"),
    Scope(kind=ScopeKind.VENUE, name="paper"),
]
OTHERS = [Scope(kind=kind, name="other") for kind in list(ScopeKind)[1:]]


@pytest.fixture
def switch(tmp_path):
    return FileKillSwitch(tmp_path)


@pytest.fixture
def venue(make):
    return RemoteVenue(make.settings())


@pytest.fixture
def gateway(make, switch, venue):
    return Gateway(venue, make.clock(), make.metrics(), make.settings(), switch=switch)


async def decided(make, gateway, number=0):
    decision = replace(make.decision(make.bar(0)), message_id=f"decision-{number}")
    return [e for e in await gateway.on_decision(decision) if isinstance(e, OrderUpdated)]


@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_no_new_order_passes_once_it_is_pressed(make, gateway, switch, scope):
    await gateway.on_market_data(make.bar(0))
    switch.press(HALTED, "ada", "looks wrong", scope)
    (update,) = await decided(make, gateway)
    assert (update.status, update.denial.control) == (S.DENIED, "trading_state")


@pytest.mark.parametrize("scope", OTHERS, ids=str)
async def test_what_it_is_not_about_goes_on(make, gateway, switch, scope):
    await gateway.on_market_data(make.bar(0))
    switch.press(HALTED, "ada", "looks wrong", scope)
    (update,) = await decided(make, gateway)
    assert update.status is S.SUBMITTED


async def test_what_was_decided_and_not_yet_sent_stays_here(make, gateway, switch, venue):
    await gateway.on_market_data(make.bar(0))
    await decided(make, gateway)
    switch.press(HALTED, "ada", "looks wrong")
    (update,) = await gateway.dispatch()
    assert (update.status, update.reason) == (S.CANCELLED, "halted before it was sent")
    assert venue.sent() == []
    assert gateway.portfolio.reserved == 0


async def test_cancels_are_sent_while_the_record_is_away(make, gateway, switch, venue):
    """Neither the book nor any database is asked: the switch and the venue alone."""
    await gateway.on_market_data(make.bar(0))
    await decided(make, gateway)
    await gateway.dispatch()
    assert await cancel_halted(switch, venue, "paper") == []
    switch.press(REDUCING, "ada", "slower")
    assert await cancel_halted(switch, venue, "paper") == []
    switch.press(HALTED, "ada", "looks wrong")
    cancelled = await cancel_halted(switch, venue, "paper")
    assert [order.symbol for order in cancelled] == ["IBM"]
    assert await venue.open_orders() == []
    events = await gateway.obey()  # the record is back
    assert [e.status for e in events if isinstance(e, OrderUpdated)] == [
        S.PENDING_CANCEL,
        S.CANCELLED,
    ]


async def test_only_what_the_scope_names_is_cancelled(make, switch, venue):
    for number, symbol in enumerate(("IBM", "AAPL")):
        await venue.submit(make.order(number=number, symbol=symbol))
    switch.press(HALTED, "ada", "looks wrong", SCOPES[2])
    assert [o.symbol for o in await cancel_halted(switch, venue, "paper")] == ["IBM"]
    assert [o.symbol for o in await venue.open_orders()] == ["AAPL"]


async def test_it_comes_on_record_once_and_outlives_a_restart(make, gateway, switch, venue):
    switch.press(HALTED, "ada", "looks wrong")
    (changed,) = await gateway.obey()
    assert isinstance(changed, TradingStateChanged)
    assert (changed.actor, changed.reason) == ("ada", "looks wrong")
    assert await gateway.obey() == []
    again = Gateway(venue, make.clock(), make.metrics(), make.settings())
    again.recover([changed])
    assert again.book.trading_state is HALTED


async def test_resuming_holds_once_it_is_on_record(make, gateway, switch):
    await gateway.on_market_data(make.bar(0))
    switch.press(HALTED, "ada", "looks wrong")
    await gateway.obey()
    switch.press(ACTIVE, "bob", "was nothing")
    (denied,) = await decided(make, gateway)
    assert denied.status is S.DENIED
    await gateway.obey()
    (sent,) = await decided(make, gateway, 1)
    assert sent.status is S.SUBMITTED


async def test_the_watch_goes_on_where_the_venue_does_not_answer(make, switch, venue):
    silent = ["once"]
    venue.lose = lambda operation, _done: operation == "open_orders" and bool(silent)
    await venue.submit(make.order())
    switch.press(HALTED, "ada", "looks wrong")
    with pytest.raises(VenueUnavailable):
        await cancel_halted(switch, venue, "paper")
    cancelled = asyncio.Event()

    class Metrics:
        def count(self, metric):
            assert metric is Metric.EMERGENCY_CANCELS
            cancelled.set()

    watching = asyncio.create_task(watch(switch, venue, Metrics(), "paper"))
    await asyncio.sleep(0)
    assert await venue.venue.open_orders() != []
    silent.clear()
    await asyncio.wait_for(cancelled.wait(), timeout=10)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert await venue.open_orders() == []


@pytest.mark.parametrize(("one", "other"), list(product(TradingState, TradingState)))
def test_the_strictest_state_holds(make, one, other):
    severity = list(TradingState)
    order = make.order(strategy="market_analyst")
    states = {EVERYTHING: one, SCOPES[2]: other}
    found, _ = state_of(order, "paper", states)
    assert severity.index(found) == max(severity.index(one), severity.index(other))
    assert strictest((one, other)) is found


def test_a_request_makes_nothing_looser(switch):
    switch.press(ACTIVE, "ada", "go on")
    assert with_requests({EVERYTHING: HALTED}, switch.requests()) == {EVERYTHING: HALTED}
