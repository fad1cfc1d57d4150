from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.orders import OrderType, Side
from trading.order_state import OrderState
from trading.stops import Stop

D = Decimal


def a_bar(make, day, opened, high, low, close):
    return make.bar(day, str(close), open=str(opened), high=str(high), low=str(low))


@pytest.mark.parametrize(
    ("side", "level", "bar", "price"),
    [
        (Side.SELL, "95", (100, 101, 96, 100), None),
        (Side.SELL, "95", (100, 101, 95, 100), "95"),
        (Side.SELL, "95", (90, 92, 89, 91), "90"),  # gapped through
        (Side.BUY, "105", (100, 104, 96, 100), None),
        (Side.BUY, "105", (100, 105, 96, 100), "105"),
        (Side.BUY, "105", (108, 109, 104, 105), "108"),
    ],
)
def test_a_stop_is_reached_at_its_level_or_at_the_open_beyond_it(make, side, level, bar, price):
    reached = Stop(side, D(level)).reached(a_bar(make, 1, *bar))
    assert reached == (None if price is None else D(price))


def test_a_trailing_stop_follows_the_best_price_and_never_goes_back(make):
    order = make.order(
        side=Side.SELL, order_type=OrderType.TRAILING_STOP, stop_price=D(95), trail=D(5)
    )
    state = OrderState(order)
    levels = []
    for day, bar in enumerate([(100, 104, 99, 103), (103, 104, 100, 101), (101, 110, 100, 108)]):
        state.observe(a_bar(make, day + 1, *bar))
        levels.append(state.stop.level)
    assert levels == [99, 99, 105]
    assert not state.stop.triggered
    state.observe(a_bar(make, 4, 108, 109, 105, 106))
    assert state.stop.triggered


def test_a_bar_before_the_order_moves_nothing(make):
    order = make.order(
        day=2, side=Side.SELL, order_type=OrderType.TRAILING_STOP, stop_price=D(95), trail=D(5)
    )
    state = OrderState(order)
    state.observe(a_bar(make, 2, 200, 200, 200, 200))
    assert state.stop.level == 95


@given(
    side=st.sampled_from(Side),
    closes=st.lists(st.integers(50, 150), min_size=1, max_size=20),
    trail=st.integers(1, 40),
)
def test_a_trail_only_tightens_and_stays_at_its_distance(make, side, closes, trail):
    away = -trail if side is Side.SELL else trail
    stop, seen = Stop(side, D(100 + away), D(trail)), [100]
    for day, close in enumerate(closes):
        later = stop.after(make.bar(day, str(close)))
        if later.triggered:
            assert close <= stop.level if side is Side.SELL else close >= stop.level
            return
        seen.append(close)
        best = max(seen) if side is Side.SELL else min(seen)
        assert later.level == best + away
        stop = later
