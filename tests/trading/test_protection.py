"""The ways out of what a decision opened: real orders at the venue, kept over restarts."""

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.orders import (
    EXITS,
    ExecutionReport,
    OrderRole,
    OrderStatus,
    OrderType,
    OrderUpdated,
    TradingState,
    TradingStateRequested,
)
from domain.voting import Action
from tests.trading.lives import bracketed
from trading.book import OrderBook
from trading.gateway import Gateway
from trading.paper_venue import PaperVenue

D = Decimal
S = OrderStatus
R = OrderRole


class Life:
    """A gateway whose entries are kept under brackets."""

    def __init__(self, make, **settings):
        self.make, self.settings = make, make.settings(brackets=True, **settings)
        self.log = []
        self.start()

    def start(self):
        self.venue = PaperVenue(self.settings)
        self.gateway = Gateway(self.venue, self.make.clock(), self.make.metrics(), self.settings)

    def restart(self):
        """Another process: all it knows is the log."""
        self.start()
        self.gateway.recover(self.log)
        book = self.gateway.book
        self.venue.restore(book.orders.values(), book.ledger.quantities(), book.market)

    async def bar(self, day, price="100", **prices):
        self.log += await self.gateway.on_market_data(self.make.bar(day, price, **prices))
        self.log += await self.gateway.dispatch()

    async def decide(self, day, action=Action.BUY, quantity="100", price="100", **bracket):
        made = self.make.decision(
            self.make.bar(day, price),
            action,
            quantity,
            votes=bracketed(D(price), action, **bracket),
        )
        made = replace(made, message_id=f"decision-{day}-{action}-{quantity}")
        self.log += await self.gateway.on_decision(made)
        self.log += await self.gateway.dispatch()

    async def entered(self):
        await self.bar(0)
        await self.decide(0)
        await self.bar(1)

    @property
    def book(self):
        return self.gateway.book

    def resting(self):
        return {s.order.role: s for s in self.book.open_orders() if s.order.role in EXITS}

    @property
    def held(self):
        return self.book.ledger.quantity("IBM")


async def test_an_entry_that_filled_gets_a_trailing_stop_and_a_target_at_the_venue(make):
    life = Life(make)
    await life.entered()
    stop, target = life.resting()[R.STOP_LOSS].order, life.resting()[R.TAKE_PROFIT].order
    assert (stop.order_type, stop.stop_price, stop.trail) == (OrderType.TRAILING_STOP, 94, 6)
    assert (target.order_type, target.limit_price) == (OrderType.LIMIT, 109)
    assert stop.quantity == target.quantity == life.held == 100
    assert {o.client_order_id for o in await life.venue.open_orders()} == {
        stop.client_order_id,
        target.client_order_id,
    }


async def test_nothing_is_bracketed_unless_the_setting_says_so(make):
    life = Life(make)
    life.settings = make.settings()
    life.start()
    await life.entered()
    assert life.held == 100
    assert life.resting() == {}


@pytest.mark.parametrize(
    ("prices", "role"),
    [({"price": "93", "low": "92"}, R.STOP_LOSS), ({"price": "110"}, R.TAKE_PROFIT)],
)
async def test_the_one_that_fills_closes_the_position_and_ends_the_other(make, prices, role):
    life = Life(make)
    await life.entered()
    await life.bar(2, **prices)
    (out,) = [e for e in life.log if isinstance(e, ExecutionReport)][1:]
    assert life.book.orders[out.client_order_id].order.role is role
    assert life.held == 0
    assert life.resting() == {}
    assert await life.venue.open_orders() == []
    assert life.book.guards.of("IBM") == {}
    assert life.gateway.portfolio.reserved == 0


async def test_the_stop_follows_the_price(make):
    life = Life(make)
    await life.entered()
    await life.bar(2, "108", open="101")
    await life.bar(3, "101", open="107")  # 108 - 6 = 102 is above it
    (out,) = [e for e in life.log if isinstance(e, ExecutionReport)][1:]
    assert 101 < out.price <= 102


async def test_the_time_stop_closes_what_came_to_nothing(make):
    life = Life(make)
    await life.bar(0)
    await life.decide(0, days=2)
    for day in range(1, 4):
        await life.bar(day)
    (closing,) = life.resting().values()
    assert (closing.order.role, closing.order.order_type) == (R.TIME_STOP, OrderType.MARKET)
    await life.bar(4)
    assert life.held == 0
    assert life.book.open_orders() == []


async def test_a_sale_takes_its_shares_from_under_the_ways_out(make):
    life = Life(make)
    await life.entered()
    await life.decide(1, Action.SELL, "40")
    assert {s.order.quantity for s in life.resting().values()} == {60}
    await life.bar(2)
    assert life.held == 60
    assert {s.order.quantity for s in life.resting().values()} == {60}


async def test_a_second_entry_has_its_own_ways_out(make):
    life = Life(make)
    await life.entered()
    await life.decide(1, quantity="50")
    await life.bar(2)
    assert life.held == 150
    stops = [s for s in life.book.open_orders() if s.order.role is R.STOP_LOSS]
    assert sorted(s.order.quantity for s in stops) == [50, 100]


async def test_ways_out_count_once_against_the_limits(make):
    life = Life(make)
    await life.entered()
    assert life.book.exposures.quantity("IBM", life.resting()[R.STOP_LOSS].order.side) == 100
    denied = [e for e in life.log if isinstance(e, OrderUpdated) and e.denial]
    assert denied == []


async def test_a_way_out_passes_the_controls_and_is_not_tried_again(make):
    life = Life(make)
    await life.bar(0)
    await life.decide(0)
    life.log += await life.gateway.on_request(
        TradingStateRequested(
            message_id="halt",
            correlation_id="halt",
            occurred_at=make.at(0),
            state=TradingState.REDUCING,
            actor="ada",
            reason="drill",
        )
    )
    await life.bar(1)  # ways out only reduce, so they leave
    assert set(life.resting()) == {R.STOP_LOSS, R.TAKE_PROFIT}
    life.log += await life.gateway.on_request(
        TradingStateRequested(
            message_id="halt-2",
            correlation_id="halt",
            occurred_at=make.at(1),
            state=TradingState.HALTED,
            actor="ada",
            reason="drill",
        )
    )
    for day in range(2, 5):
        await life.bar(day)
    assert life.resting() == {}
    denied = [e for e in life.log if isinstance(e, OrderUpdated) and e.denial]
    assert [(e.order.role, e.denial.control) for e in denied] == [(R.STOP_LOSS, "trading_state")]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("bar"), st.integers(88, 112)),
        st.tuples(st.just("buy"), st.integers(1, 200)),
        st.tuples(st.just("sell"), st.integers(1, 300)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=15,
)


@settings(max_examples=30, deadline=None)
@given(steps=steps)
def test_what_is_open_never_closes_more_than_is_held_and_a_restart_changes_nothing(make, steps):
    """Σ of the shares that ways out and sales may sell ≤ what is held; book = fold of its log."""

    async def live(steps, *, restarts):
        life = Life(make, maximum_position_fraction=D(1))
        await life.bar(0)
        for day, (kind, number) in enumerate(steps, 1):
            if kind == "bar":
                await life.bar(day, str(number), volume="4000")
            elif kind == "restart":
                if restarts:
                    life.restart()
            else:
                last = life.book.market.last("IBM")
                source = make.bar(day, str(last.price))
                action = Action.BUY if kind == "buy" else Action.SELL
                made = make.decision(
                    source, action, str(number), votes=bracketed(last.price, action)
                )
                life.log += await life.gateway.on_decision(made)
                life.log += await life.gateway.dispatch()
            book = life.book
            stops = [s for s in book.open_orders() if s.order.role is R.STOP_LOSS]
            others = [
                s
                for s in book.open_orders()
                if s.order.side.value == "SELL" and s.order.role not in EXITS
            ]
            assert sum(s.leaves for s in (*stops, *others)) <= life.held or life.held <= 0
            assert life.held >= 0
            again = OrderBook.from_bytes(book.to_bytes(), life.settings)
            assert again.to_bytes() == book.to_bytes()
        return life

    unbroken = asyncio.run(live(steps, restarts=False))
    broken = asyncio.run(live(steps, restarts=True))
    assert broken.log == unbroken.log
    folded = OrderBook(unbroken.settings)
    for event in unbroken.log:
        folded.apply(event)
    assert folded.to_bytes() == unbroken.book.to_bytes()
