from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.orders import OrderType, Side, TradingState
from trading.controls import CONTROLS, first_denial
from trading.controls.context import ControlContext, drawdown, reservation

D = Decimal
CONTROL = {control.__name__: control for control in CONTROLS}


@pytest.fixture(scope="module")
def context(make):
    return ControlContext(
        trading_state=TradingState.ACTIVE,
        limits=make.settings(),
        now=make.at(0),
        last=make.bar(0, "100"),
        held=D(0),
        open_buys=D(0),
        open_sells=D(0),
        equity=D(1_000_000),
        gross_exposure=D(0),
        buying_power=D(1_000_000),
        reservation=D(10_100),
        high_water_mark=D(1_000_000),
        known_orders=frozenset(),
    )


def test_the_table_is_complete_and_in_order():
    assert list(CONTROL) == [
        "trading_state",
        "duplicate_order",
        "unknown_symbol",
        "stale_price",
        "price_collar",
        "maximum_order_value",
        "short_sale",
        "drawdown_guard",
        "maximum_position",
        "gross_exposure",
        "buying_power",
    ]


def test_an_ordinary_order_leaves(make, context):
    assert first_denial(make.order("100"), context) is None


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
        "gross_exposure",
        {},
        {"gross_exposure": D(990_000)},
        {"gross_exposure": D(990_001)},
        "1.000001",
        "1",
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


def test_what_only_reduces_passes_drawdown_and_exposure(make, context):
    fallen = replace(context, equity=D(1), gross_exposure=D(10**6), held=D(100))
    sale = make.order("100", Side.SELL)
    assert CONTROL["drawdown_guard"](sale, fallen) is None
    assert CONTROL["gross_exposure"](sale, fallen) is None


def test_the_order_of_the_table_decides_which_denial_is_reported(make, context):
    hopeless = replace(context, trading_state=TradingState.HALTED, last=None, buying_power=D(0))
    assert first_denial(make.order(), hopeless).control == "trading_state"
    assert first_denial(make.order(), replace(context, last=None)).control == "unknown_symbol"


def test_a_buy_reserves_value_buffer_and_fees(make):
    limits = make.settings()
    assert reservation(Side.BUY, D(100), D(100), limits) == D("10100.35")
    assert reservation(Side.SELL, D(100), D(100), limits) == 0


def test_drawdown_is_a_fraction_of_the_mark():
    assert drawdown(D(80), D(100)) == D("0.2")
    assert drawdown(D(120), D(100)) == 0
    assert drawdown(D(-5), D(0)) == 0


@given(
    quantities=st.lists(st.integers(1, 3_000), min_size=1, max_size=30),
    equity=st.integers(1_000, 2_000_000),
)
def test_a_burst_of_buys_never_passes_what_their_sum_breaks(make, context, quantities, equity):
    """The Knight case: all sent orders count at once, filled or not."""
    cash = D(equity)
    state = replace(context, equity=cash, buying_power=cash, high_water_mark=cash)
    for number, quantity in enumerate(quantities):
        order = make.order(str(quantity), number=number)
        held = reservation(Side.BUY, order.quantity, D(100), state.limits)
        state = replace(state, reservation=held)
        if first_denial(order, state) is None:
            state = replace(
                state,
                open_buys=state.open_buys + order.quantity,
                gross_exposure=state.gross_exposure + order.quantity * 100,
                buying_power=state.buying_power - held,
            )
    assert state.open_buys * 100 <= state.limits.maximum_position_fraction * cash
    assert state.gross_exposure <= cash
    assert state.buying_power >= 0
