"""Knight Capital, 1 August 2012, played again.

Seven of eight workers got the new software; the eighth kept code that read a reused flag as its
own and forgot how much of each parent order was done. It sent millions of children for 212
parents in 45 minutes (SEC release 34-70694). Here the first excess child is refused.
"""

from decimal import Decimal
from itertools import count

import pytest

from domain.identity import client_order_id
from domain.orders import (
    Order,
    OrderRole,
    OrderStatus,
    OrderUpdated,
    Origin,
    Scope,
    ScopeKind,
    Side,
    TradingState,
    TradingStateChanged,
    TradingStateRequested,
)
from trading.gateway import Gateway
from trading.order_context import Surroundings
from trading.paper_venue import PaperVenue

D = Decimal
FLAG = "retail_liquidity"
STRATEGY = Scope(kind=ScopeKind.STRATEGY, name="router")
PARENT, SLICE = 1000, 10


class Floor:
    """A gateway and eight workers that cut one parent into children."""

    def __init__(self, make, *, versions=("2.0",), flags=(FLAG,)):
        self.make = make
        self.settings = make.settings()
        self.venue = PaperVenue(self.settings)
        around = Surroundings(versions=lambda: versions, flags=flags)
        self.clock = make.clock()
        self.gateway = Gateway(self.venue, self.clock, make.metrics(), self.settings, around)
        self.numbers = count(1)
        self.log = []

    async def open(self):
        bar = self.make.bar(0)
        self.log += await self.gateway.on_market_data(bar)
        self.cause = self.make.decision(bar, quantity=str(PARENT))
        self.parent = self.order(PARENT, role=OrderRole.PARENT)
        self.log += await self.gateway.on_order(self.parent, self.cause)

    def order(self, quantity, number=0, **others):
        return Order(
            client_order_id=client_order_id(self.cause.decision_id, number),
            decision_id=self.cause.decision_id,
            symbol="IBM",
            side=Side.BUY,
            quantity=D(quantity),
            arrival_price=D(100),
            created_at=self.make.at(0),
            strategy="router",
            **others,
        )

    async def child(self, worker, *, version="2.0", flags=(FLAG,)):
        """One child of a worker; returns the control that refused it, or None."""
        origin = Origin(worker=str(worker), software_version=version, flags=flags)
        child = self.order(
            SLICE,
            next(self.numbers),
            role=OrderRole.CHILD,
            parent_order_id=self.parent.client_order_id,
            origin=origin,
        )
        events = await self.gateway.on_order(child, self.cause)
        events += await self.gateway.dispatch()
        self.log += events
        denial = next(e.denial for e in events if isinstance(e, OrderUpdated))
        return denial and denial.control

    @property
    def at_the_venue(self):
        working = self.gateway.book.open_orders("IBM")
        return sum(s.order.quantity for s in working if s.order.role is OrderRole.CHILD)

    @property
    def halted(self):
        return [e.scope for e in self.log if isinstance(e, TradingStateChanged)]


@pytest.fixture
async def floor(make):
    floor = Floor(make)
    await floor.open()
    return floor


async def test_old_code_that_counts_nothing_and_says_nothing(floor):
    """The eighth worker claims the new version: what stops it is the sum at the last hop."""
    allowed = 0
    while (refused := await floor.child(worker=allowed % 8)) is None:
        allowed += SLICE
    assert (allowed, refused) == (PARENT, "parent_quantity")
    assert floor.halted == [STRATEGY]
    for _ in range(2_000):  # it goes on and on
        assert await floor.child(worker=7) == "trading_state"
    assert floor.at_the_venue <= PARENT


async def test_the_excess_is_refused_also_after_a_restart(make, floor):
    for _ in range(PARENT // SLICE):
        assert await floor.child(worker=1) is None
    again = Floor(make)
    again.cause, again.parent, again.numbers = floor.cause, floor.parent, floor.numbers
    again.gateway.recover(floor.log)
    book = again.gateway.book
    again.venue.restore(book.orders.values(), book.ledger.quantities(), book.market)
    assert await again.child(worker=7) == "parent_quantity"


async def test_a_stopped_strategy_goes_on_only_when_a_person_resumes_it(make, floor):
    while await floor.child(worker=7) is None:
        pass
    assert floor.at_the_venue == 0  # what was open is cancelled with it
    book = floor.gateway.book
    assert book.states[STRATEGY] is TradingState.HALTED
    resume = TradingStateRequested(
        message_id="resume",
        correlation_id="resume",
        occurred_at=make.at(0),
        state=TradingState.ACTIVE,
        actor="ada",
        reason="the old code is gone",
        scope=STRATEGY,
    )
    await floor.gateway.on_request(resume)
    assert await floor.child(worker=1) is None  # what the cancelled children had free again
    assert floor.at_the_venue <= PARENT


async def test_old_code_that_says_so_stops_everything_at_its_first_child(floor):
    assert await floor.child(worker=1) is None
    assert await floor.child(worker=7, version="1.0") == "other_version"
    assert await floor.child(worker=1) == "trading_state"
    assert floor.gateway.book.trading_state is TradingState.HALTED


async def test_a_retired_flag_is_never_known_again(floor):
    assert await floor.child(worker=7, flags=("power_peg",)) == "unknown_flag"
    assert floor.gateway.book.trading_state is TradingState.HALTED


async def test_while_one_worker_of_eight_is_old_nothing_leaves_until_all_are_equal(make):
    fleet = ["2.0"] * 7 + ["1.0"]
    floor = Floor(make, versions=fleet)
    await floor.open()
    (update,) = [e for e in floor.log if isinstance(e, OrderUpdated)]
    assert (update.status, update.denial.control) == (OrderStatus.DENIED, "mixed_versions")
    assert "1.0; 2.0" in update.denial.reason
    assert await floor.child(worker=0) == "mixed_versions"
    fleet[7] = "2.0"
    floor.parent = floor.order(PARENT, next(floor.numbers), role=OrderRole.PARENT)
    floor.log += await floor.gateway.on_order(floor.parent, floor.cause)
    assert await floor.child(worker=0) is None
    assert floor.halted == []


async def test_a_child_of_nobody_is_refused(floor):
    floor.parent = floor.order(PARENT, 999_999)
    assert await floor.child(worker=7) == "parent_quantity"


async def test_children_and_their_parent_hold_the_cash_once(floor):
    ledger = floor.gateway.book.ledger
    whole = ledger.reserved
    for _ in range(5):
        await floor.child(worker=1)
        assert ledger.reserved == whole
    floor.log += await floor.gateway.on_market_data(floor.make.bar(1))
    parent = floor.gateway.book.orders[floor.parent.client_order_id]
    assert (parent.filled, parent.status) == (50, OrderStatus.PARTIALLY_FILLED)
    assert ledger.quantity("IBM") == 50
    assert ledger.reserved == whole * (PARENT - 50) / PARENT
