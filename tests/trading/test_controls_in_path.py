"""Each control refuses in the order path: what it needs to know reaches it, and it is counted."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from domain.errors import VenueUnavailable
from domain.limits import LimitChangeRequested
from domain.metrics import Metric
from domain.orders import (
    OrderRole,
    OrderStatus,
    OrderType,
    OrderUpdated,
    Origin,
    Scope,
    ScopeKind,
    Side,
    TimeInForce,
    TradingState,
    TradingStateRequested,
)
from tests.trading.conftest import CountingMetrics, EventClock, at, bar, order
from trading.controls import CONTROLS
from trading.gateway import Gateway
from trading.order_context import Surroundings
from trading.paper_venue import PaperVenue

D = Decimal
BUY, SELL = Side
LIMIT = {"order_type": OrderType.LIMIT}
CLOSED = SimpleNamespace(cover=lambda _: True, is_open=lambda _: False)


class Desk:
    """A gateway that has seen IBM at 100 on day 0."""

    def __init__(self, make, around=(), **limits):
        self.metrics = CountingMetrics()
        self.settings = make.settings(**limits)
        self.venue = PaperVenue(self.settings)
        self.gateway = Gateway(
            self.venue, EventClock(), self.metrics, self.settings, Surroundings(**dict(around))
        )
        self.day = 0

    async def bar(self, price="100"):
        """The next day's bar."""
        self.day += 1
        await self.gateway.on_market_data(bar(self.day, price))

    async def order(self, quantity="100", side=BUY, **terms):
        """What the controls say of an order; what they let out is sent."""
        terms = {"day": self.day, "number": terms.get("number", self.day), **terms}
        intent, before = order(quantity, side, **terms), await self.venue.open_orders()
        events = await self.gateway.on_order(intent, bar(self.day, str(intent.arrival_price)))
        await self.gateway.dispatch()
        update = next(event for event in events if isinstance(event, OrderUpdated))
        if update.denial is None:
            return None
        assert update.status is OrderStatus.DENIED
        assert all(order_ in before for order_ in await self.venue.open_orders())
        return update.denial.control

    def ask(self, kind, **said):
        at_now = {"message_id": "m", "correlation_id": "m", "occurred_at": at(self.day)}
        return kind(**at_now, actor="ada", reason="because", **said)


async def halted(desk):
    request = desk.ask(TradingStateRequested, state=TradingState.HALTED)
    await desk.gateway.on_request(request)
    return await desk.order()


async def silent(desk):
    async def submit(_order):
        raise VenueUnavailable("It is silent.", next_step="Wait.")

    desk.venue.submit = submit
    await desk.order(number=1)
    return await desk.order(number=2)


async def twice(desk):
    await desk.order("100", number=1)
    return await desk.order("101", number=1)


async def alike(desk):
    await desk.order("100", number=1)
    return await desk.order("100", number=2)


async def several(desk):
    await desk.order("100", number=1)
    return await desk.order("101", number=2)


async def a_week_later(desk):
    desk.day = 6
    return await desk.order()


async def after_a_leap(desk):
    for _ in range(21):
        await desk.bar()
    await desk.bar("160")
    return await desk.order(price="160")


async def against_an_own_one(desk):
    await desk.order(**LIMIT, limit_price=D(100), number=1)
    return await desk.order("50", SELL, **LIMIT, limit_price=D(100), locate_id="L-1", number=2)


async def after_a_loss(desk):
    await desk.order("1000", number=1)
    await desk.bar()
    await desk.bar("95")
    return await desk.order(price="95", number=2)


async def below_a_limit_just_lowered(desk):
    await after_a_loss(desk)
    lowered = desk.ask(LimitChangeRequested, limit="maximum_drawdown", value=D("0.001"))
    desk.gateway.on_limit_request(lowered)
    return await desk.order("99", price="95", number=3)


async def after_a_stop(desk):
    await desk.order("100", number=1)
    await desk.bar()
    stop = {"order_type": OrderType.STOP, "stop_price": D(95)}
    await desk.order("100", SELL, **stop, time_in_force=TimeInForce.GTC, number=2)
    await desk.bar("94")
    return await desk.order(price="94", number=3)


async def after_a_bad_trade(desk):
    await desk.order("100", number=1)
    await desk.bar()
    await desk.bar("75")
    await desk.order("100", SELL, price="75", number=2)
    await desk.bar("75")
    return await desk.order(price="75", number=3)


async def too_much_of_one(desk):
    await desk.order("2000", number=1)
    return await desk.order("1500", number=2)


def once(*what, **terms):
    async def scenario(desk):
        return await desk.order(*what, **terms)

    return scenario


CHILD = {"role": OrderRole.CHILD, "parent_order_id": "q-nobody"}
ONE_RELEASE = {"versions": lambda: ("2.0",), "flags": ("retail",)}
WIDE = dict.fromkeys(
    ("maximum_gross_exposure", "maximum_net_exposure", "maximum_position_fraction"), 10
)
SCENARIOS = {
    # control: what happens, limits, surroundings
    "trading_state": (halted, {}, {}),
    "venue_connection": (silent, {"duplicate_window_seconds": 0}, {}),
    "mixed_versions": (once(), {}, {"versions": lambda: ("1.0", "2.0")}),
    "other_version": (once(origin=Origin(software_version="1.0")), {}, ONE_RELEASE),
    "unknown_flag": (
        once(origin=Origin(software_version="2.0", flags=("power_peg",))),
        {},
        ONE_RELEASE,
    ),
    "duplicate_order": (twice, {}, {}),
    "parent_quantity": (once(**CHILD), {}, {}),
    "restricted_list": (once(), {"restricted_symbols": ("IBM",)}, {}),
    "unknown_symbol": (once(symbol="NOBODY"), {}, {}),
    "market_closed": (
        once(time_in_force=TimeInForce.IOC),
        {"exchange": "XNYS"},
        {"sessions": CLOSED},
    ),
    "stale_price": (a_week_later, {}, {}),
    "tick_size": (once(**LIMIT, limit_price=D("99.995")), {}, {}),
    "lot_size": (once("0.5"), {}, {}),
    "price_collar": (once(price="120"), {}, {}),
    "price_band": (after_a_leap, {}, {}),
    "maximum_order_quantity": (once(), {"maximum_order_quantity": 99}, {}),
    "maximum_order_value": (once(), {"maximum_order_value": 9_999}, {}),
    "repeated_execution": (several, {"maximum_executions": 1}, {}),
    "message_rate": (several, {"maximum_messages_per_second": 1}, {}),
    "short_sale": (once("100", SELL), {}, {}),
    "short_sale_locate": (once("100", SELL), {"short_selling": True}, {}),
    "repeated_order": (alike, {}, {}),
    "self_match": (against_an_own_one, {"short_selling": True}, {}),
    "drawdown_guard": (below_a_limit_just_lowered, {}, {}),
    "daily_loss": (after_a_loss, {"maximum_daily_loss": D("0.004")}, {}),
    "cool_down": (after_a_stop, {"cool_down_seconds": 10**6}, {}),
    "low_profit_lock": (after_a_bad_trade, {"minimum_profit_trades": 1, "price_collar": 1}, {}),
    "maximum_position": (too_much_of_one, {}, {}),
    "maximum_position_value": (once(), {"maximum_position_value": 9_999}, {}),
    "gross_exposure": (once(), {"maximum_gross_exposure": D("0.009")}, {}),
    "net_exposure": (once(), {"maximum_net_exposure": D("0.009")}, {}),
    "sector_exposure": (
        once(),
        {"maximum_sector_exposure": D("0.009"), "sectors": {"IBM": "technology"}},
        {},
    ),
    "margin": (once("200"), {"starting_cash": 10_000, **WIDE}, {}),
    "buying_power": (once("100"), {"starting_cash": 10_000, **WIDE}, {}),
}


def test_every_control_is_met_in_the_path():
    assert set(SCENARIOS) == {control.__name__ for control in CONTROLS}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_it_refuses_in_the_path_and_is_counted(make, name):
    scenario, limits, around = SCENARIOS[name]
    desk = Desk(make, around, **limits)
    await desk.gateway.on_market_data(bar(0))
    assert await scenario(desk) == name
    assert desk.metrics.counts[Metric.DENIALS, name] == 1


async def test_a_strategy_that_was_applied_too_often_waits_for_a_person(make):
    desk = Desk(make, maximum_executions=2)
    await desk.gateway.on_market_data(bar(0))
    said = [await desk.order(str(n), number=n, strategy="router") for n in (1, 2, 3, 4)]
    assert said == [None, None, "repeated_execution", "trading_state"]
    assert await desk.order("5", number=5, strategy="another") is None
    router = Scope(kind=ScopeKind.STRATEGY, name="router")
    resumed = desk.ask(TradingStateRequested, state=TradingState.ACTIVE, scope=router)
    await desk.gateway.on_request(resumed)
    said = [await desk.order(str(n), number=n, strategy="router") for n in (6, 7, 8)]
    assert said == [None, None, "repeated_execution"]


async def test_all_that_was_sent_counts_at_once(make):
    """A burst whose sum breaks a limit stops at the limit, though nothing has filled."""
    desk = Desk(make, maximum_gross_exposure=D("0.10"))
    await desk.gateway.on_market_data(bar(0))
    said = [await desk.order(str(100 + n), number=n) for n in range(12)]
    assert said == [None] * 9 + ["gross_exposure"] * 3
    assert not desk.gateway.book.ledger.quantity("IBM")
