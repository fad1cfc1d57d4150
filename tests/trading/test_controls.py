from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from domain.orders import OrderRole, OrderType, Origin, Side, TimeInForce, TradingState
from domain.settings import TradingSettings
from trading.controls import CONTROLS, first_denial
from trading.controls.context import ControlContext, drawdown, reservation
from trading.exposure import Exposure

D = Decimal
CONTROL = {control.__name__: control for control in CONTROLS}


@pytest.fixture(scope="module")
def context(make):
    return ControlContext(
        trading_state=TradingState.ACTIVE,
        limits=make.settings(),
        now=make.at(0),
        last=make.bar(0, "100"),
        mean_price=D(100),
        held=D(0),
        open_buys=D(0),
        open_sells=D(0),
        equity=D(1_000_000),
        exposure=Exposure(D(10_000), None, D(10_000), D(10_000)),
        buying_power=D(1_000_000),
        reservation=D(10_100),
        high_water_mark=D(1_000_000),
        day_start=D(1_000_000),
        known_orders=frozenset(),
    )


def test_the_table_is_complete_and_in_order():
    assert list(CONTROL) == [
        "trading_state",
        "venue_connection",
        "mixed_versions",
        "other_version",
        "unknown_flag",
        "duplicate_order",
        "parent_quantity",
        "restricted_list",
        "unknown_symbol",
        "market_closed",
        "stale_price",
        "tick_size",
        "lot_size",
        "price_collar",
        "price_band",
        "maximum_order_quantity",
        "maximum_order_value",
        "repeated_execution",
        "message_rate",
        "short_sale",
        "short_sale_locate",
        "repeated_order",
        "self_match",
        "drawdown_guard",
        "daily_loss",
        "cool_down",
        "low_profit_lock",
        "maximum_position",
        "maximum_position_value",
        "gross_exposure",
        "net_exposure",
        "sector_exposure",
        "margin",
        "buying_power",
    ]


def test_each_control_is_tested_at_its_limit():
    elsewhere = {"duplicate_order", "stale_price", "price_collar", "self_match", "market_closed"}
    assert {case[0] for case in BOUNDARIES} | elsewhere == set(CONTROL)


def test_an_ordinary_order_leaves(make, context):
    assert first_denial(make.order("100"), context) is None


def exposure(symbol=0, sector=0, gross=0, net=0):
    return {"exposure": Exposure(D(symbol), D(sector), D(gross), D(net))}


def limited(**limits):
    return {"limits": TradingSettings(**limits)}


CHILD = {"role": OrderRole.CHILD, "parent_order_id": "q-parent"}
LIMIT = {"order_type": OrderType.LIMIT}
BOUNDARIES = [
    # control, order, context that passes, context that is refused, measured, limit
    ("trading_state", {}, {}, {"trading_state": TradingState.HALTED}, "100", "0"),
    ("trading_state", {}, {}, {"trading_state": TradingState.REDUCING}, "100", "0"),
    (
        "trading_state",
        {"side": Side.SELL},
        {"trading_state": TradingState.REDUCING, "held": D(100)},
        {"trading_state": TradingState.REDUCING, "held": D(100), "open_sells": D(1)},
        "100",
        "99",
    ),
    ("unknown_symbol", {}, {}, {"last": None}, "0", "1"),
    ("maximum_order_value", {"quantity": "2500"}, {}, None, None, None),
    ("maximum_order_value", {"quantity": "2501"}, None, {}, "250100", "250000"),
    (
        "short_sale",
        {"side": Side.SELL},
        {"held": D(100)},
        {"held": D(150), "open_sells": D(51)},
        "100",
        "99",
    ),
    ("short_sale", {"side": Side.SELL}, None, {"held": D(-10)}, "100", "0"),
    (
        "drawdown_guard",
        {},
        {"equity": D(750_001)},
        {"equity": D(750_000)},
        "0.25",
        "0.25",
    ),
    (
        "maximum_position",
        {},
        {"held": D(2_900)},
        {"held": D(2_900), "open_buys": D(1)},
        "0.3001",
        "0.3",
    ),
    ("maximum_position", {}, None, {"equity": D(0)}, "-1", "0.3"),
    (
        "maximum_position",
        {"side": Side.SELL},
        {"open_sells": D(2_900)},
        {"open_sells": D(2_901)},
        "0.3001",
        "0.3",
    ),
    (
        "maximum_position_value",
        {},
        exposure(symbol=10**8),
        exposure(symbol=10**8 + 1),
        "100000001",
        "100000000",
    ),
    ("gross_exposure", {}, exposure(gross=10**6), exposure(gross=1_000_001), "1.000001", "1"),
    ("net_exposure", {}, exposure(net=10**6), exposure(net=1_000_001), "1.000001", "1"),
    ("sector_exposure", {}, exposure(sector=10**6), exposure(sector=1_000_001), "1.000001", "1"),
    ("margin", {}, exposure(gross=10**6), exposure(gross=1_000_001), "1000001", "1000000"),
    ("venue_connection", {}, {}, {"connected": False}, "100", "0"),
    ("mixed_versions", {}, {"versions": {"1.0"}}, {"versions": {"1.0", "1.1"}}, "2", "1"),
    (
        "other_version",
        {"origin": Origin(worker="7", software_version="1.0")},
        {"versions": {"1.0"}},
        {"versions": {"1.1"}},
        "2",
        "1",
    ),
    (
        "unknown_flag",
        {"origin": Origin(flags=("retail",))},
        {"flags": {"retail"}},
        {"flags": {"power_peg"}},
        "1",
        "0",
    ),
    ("parent_quantity", CHILD, {"parent_room": D(100)}, {"parent_room": D(99)}, "100", "99"),
    ("parent_quantity", CHILD, None, {"parent_room": D(-5)}, "100", "0"),
    ("parent_quantity", CHILD, None, {"parent_room": None}, "100", "0"),
    ("restricted_list", {}, {}, limited(restricted_symbols=("IBM",)), "100", "0"),
    ("tick_size", {**LIMIT, "limit_price": D("99.99")}, {}, None, None, None),
    ("tick_size", {**LIMIT, "limit_price": D("99.995")}, None, {}, "99.995", "0.01"),
    (
        "tick_size",
        {**LIMIT, "limit_price": D("99.99")},
        limited(tick_size=D(0)),
        limited(tick_sizes={"IBM": D("0.05")}),
        "99.99",
        "0.05",
    ),
    ("lot_size", {"quantity": "0.5"}, limited(lot_size=D("0.1")), {}, "0.5", "1"),
    ("lot_size", {"quantity": "150"}, {}, limited(lot_sizes={"IBM": D(100)}), "150", "100"),
    ("price_band", {}, {"mean_price": D(200)}, {"mean_price": D("200.1")}, "0.500249875", "0.5"),
    ("price_band", {}, {"mean_price": None}, None, None, None),
    ("maximum_order_quantity", {"quantity": "1000000"}, {}, None, None, None),
    ("maximum_order_quantity", {"quantity": "1000001"}, None, {}, "1000001", "1000000"),
    ("repeated_execution", {}, {"executions": 999}, {"executions": 1000}, "1001", "1000"),
    ("repeated_execution", CHILD, {"executions": 10**6}, None, None, None),
    ("message_rate", {}, {"messages": 499}, {"messages": 500}, "501", "500"),
    (
        "short_sale",
        {"side": Side.SELL},
        limited(short_selling=True),
        {},
        "100",
        "0",
    ),
    ("short_sale_locate", {"side": Side.SELL}, {"held": D(100)}, {"held": D(99)}, "100", "99"),
    ("short_sale_locate", {"side": Side.SELL, "locate_id": "L-1"}, {}, None, None, None),
    ("repeated_order", {}, {}, {"alike": True}, "2", "1"),
    ("daily_loss", {}, {"equity": D(900_001)}, {"equity": D(900_000)}, "0.1", "0.1"),
    (
        "cool_down",
        {},
        {"stopped_out_at": datetime(2012, 9, 3, 20, tzinfo=UTC)},
        {"stopped_out_at": datetime(2012, 9, 3, 20, 0, 1, tzinfo=UTC)},
        "86399",
        "86400",
    ),
    (
        "low_profit_lock",
        {},
        {"mean_return": D("-0.2")},
        {"mean_return": D("-0.21")},
        "-0.21",
        "-0.2",
    ),
    (
        "buying_power",
        {},
        {"buying_power": D(0), "equity": D(10_100), **limited(initial_margin=D("0.5"))},
        {"buying_power": D(0), "equity": D(10_099), **limited(initial_margin=D("0.5"))},
        "10100",
        "10099",
    ),
    (
        "buying_power",
        {},
        {"buying_power": D(10_100)},
        {"buying_power": D("10099.99")},
        "10100",
        "10099.99",
    ),
    ("duplicate_order", {}, {"known_orders": frozenset({"q-other"})}, None, None, None),
]


@pytest.mark.parametrize(
    "case",
    BOUNDARIES,
    ids=[f"{case[0]}-{number}" for number, case in enumerate(BOUNDARIES)],
)
def test_each_limit_is_inclusive(make, context, case):
    name, order, passes, refused, measured, limit = case
    intent = make.order(**{"quantity": "100", **order})
    if passes is not None:
        assert CONTROL[name](intent, replace(context, **passes)) is None
    if refused is not None:
        denial = CONTROL[name](intent, replace(context, **refused))
        assert denial.control == name
        assert (denial.measured, denial.limit) == (D(measured), D(limit))
        assert denial.reason


def test_a_used_client_order_id_is_a_duplicate(make, context):
    order = make.order()
    used = replace(context, known_orders={order.client_order_id})
    assert CONTROL["duplicate_order"](order, used).control == "duplicate_order"


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        (432_000, None),
        (432_001, "the last price is too old"),
        (-1, "the last price is from the future"),
    ],
)
def test_the_age_of_the_last_price(make, context, seconds, reason):
    later = replace(context, now=context.last.observed_at + timedelta(seconds=seconds))
    denial = CONTROL["stale_price"](make.order(), later)
    assert (denial and denial.reason) == reason
    assert denial is None or denial.measured == seconds


@pytest.mark.parametrize(
    ("arrival", "limit", "measured"),
    [
        ("110", None, None),
        ("90", None, None),
        ("110.01", None, "0.1001"),
        ("89", None, "0.11"),
        ("100", "111", "0.11"),
        ("100", "109", None),
    ],
)
def test_the_price_collar(make, context, arrival, limit, measured):
    terms = {"order_type": OrderType.LIMIT, "limit_price": D(limit)} if limit else {}
    denial = CONTROL["price_collar"](make.order("1", price=arrival, **terms), context)
    assert (denial and denial.measured) == (D(measured) if measured else None)


@pytest.mark.parametrize(
    "name",
    [
        "drawdown_guard",
        "daily_loss",
        "cool_down",
        "low_profit_lock",
        "maximum_position",
        "maximum_position_value",
        "gross_exposure",
        "net_exposure",
        "sector_exposure",
        "margin",
    ],
)
def test_what_only_reduces_always_passes(make, context, name):
    worst = replace(
        context,
        equity=D(1),
        held=D(100),
        stopped_out_at=context.now,
        mean_return=D(-1),
        exposure=Exposure(*[D(10**9)] * 4),
    )
    assert CONTROL[name](make.order("100", Side.SELL), worst) is None
    assert CONTROL[name](make.order("100"), worst) is not None


@pytest.mark.parametrize(
    ("ours", "theirs", "denied"),
    [
        ((Side.BUY, None), (Side.SELL, 101), True),
        ((Side.BUY, 100), (Side.SELL, 101), False),
        ((Side.BUY, 101), (Side.SELL, 101), True),
        ((Side.SELL, 102), (Side.BUY, 101), False),
        ((Side.SELL, 101), (Side.BUY, 101), True),
        ((Side.SELL, 102), (Side.BUY, None), True),
    ],
)
def test_no_order_may_meet_an_own_one(make, context, ours, theirs, denied):
    def of(side, limit, number):
        terms = {**LIMIT, "limit_price": D(limit)} if limit else {}
        return make.order("10", side, number=number, **terms)

    opposing = replace(context, opposing=[of(*theirs, 1)])
    assert (CONTROL["self_match"](of(*ours, 0), opposing) is not None) is denied


@pytest.mark.parametrize(
    ("limits", "is_open", "force", "reason"),
    [
        ({}, None, TimeInForce.IOC, None),
        ({"exchange": "XNYS"}, True, TimeInForce.IOC, None),
        ({"exchange": "XNYS"}, False, TimeInForce.DAY, None),
        ({"exchange": "XNYS"}, False, TimeInForce.IOC, "the market is closed"),
        ({"exchange": "XNYS"}, False, TimeInForce.FOK, "the market is closed"),
        ({"exchange": "XNYS"}, None, TimeInForce.DAY, "the calendar XNYS does not reach this day"),
        (
            {"exchange": "XNYS", "queue_while_closed": False},
            False,
            TimeInForce.DAY,
            "the market is closed",
        ),
    ],
)
def test_what_cant_wait_needs_an_open_market(make, context, limits, is_open, force, reason):
    closed = replace(context, session_open=is_open, **limited(**limits))
    denial = CONTROL["market_closed"](make.order(time_in_force=force), closed)
    assert (denial and denial.reason) == reason


def test_the_order_of_the_table_decides_which_denial_is_reported(make, context):
    hopeless = replace(context, trading_state=TradingState.HALTED, last=None, buying_power=D(0))
    assert first_denial(make.order(), hopeless).control == "trading_state"
    assert first_denial(make.order(), replace(context, last=None)).control == "unknown_symbol"


def test_a_buy_reserves_value_buffer_and_fees(make):
    limits = make.settings()
    assert reservation(make.order("100"), D(100), limits) == D("10100.35")
    assert reservation(make.order("100", **LIMIT, limit_price=D(110)), D(100), limits) == D(
        "11110.35"
    )
    assert reservation(make.order("100", Side.SELL), D(100), limits) == 0


def test_drawdown_is_a_fraction_of_the_mark():
    assert drawdown(D(80), D(100)) == D("0.2")
    assert drawdown(D(120), D(100)) == 0
    assert drawdown(D(-5), D(0)) == 0
