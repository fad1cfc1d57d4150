import asyncio
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.orders import OrderRole, OrderStatus, OrderType, Side, TimeInForce
from trading.bracket import exits
from trading.market import Market
from trading.order_state import OrderState
from trading.paper_venue import PaperVenue

D = Decimal
S = OrderStatus


def test_both_ways_out_close_what_has_filled(make):
    entry = make.order("100")
    out = exits(entry, D(60), take_profit=D(110), stop_loss=D(95))
    assert {(o.side, o.quantity, o.time_in_force) for o in out} == {
        (Side.SELL, 60, TimeInForce.GTC)
    }
    assert (out.take_profit.order_type, out.take_profit.limit_price) == (OrderType.LIMIT, 110)
    assert (out.stop_loss.order_type, out.stop_loss.stop_price) == (OrderType.STOP, 95)
    assert {o.parent_order_id for o in out} == {entry.client_order_id}
    assert len({entry.client_order_id, *(o.client_order_id for o in out)}) == 3


def test_a_short_is_closed_from_below_and_above(make):
    out = exits(make.order("10", Side.SELL), D(10), take_profit=D(90), stop_loss=D(105))
    assert out.take_profit.side is Side.BUY


@pytest.mark.parametrize(
    ("side", "profit", "loss"),
    [(Side.BUY, 95, 110), (Side.BUY, 110, 101), (Side.SELL, 110, 95), (Side.BUY, 100, 95)],
)
def test_prices_on_the_wrong_side_are_refused(make, side, profit, loss):
    with pytest.raises(InvalidValue, match="take its profit"):
        exits(make.order("100", side), D(100), take_profit=D(profit), stop_loss=D(loss))


async def resting(make, **settings):
    venue = PaperVenue(make.settings(**settings))
    await venue.submit(make.order("100"))
    await venue.on_market_data(make.bar(1))
    out = exits(make.order("100", day=1), D(100), take_profit=D(110), stop_loss=D(95))
    for order in out:
        await venue.submit(order)
    return venue, out


async def test_the_one_that_fills_ends_the_other(make):
    venue, out = await resting(make)
    (report,) = await venue.on_market_data(make.bar(2, "111", open="101", high="112", low="100"))
    assert (report.client_order_id, report.price) == (out.take_profit.client_order_id, 110)
    assert await venue.status(out.stop_loss.client_order_id) is S.CANCELLED
    assert await venue.positions() == {}


async def test_where_one_bar_reaches_both_the_stop_is_what_is_claimed(make):
    venue, out = await resting(make)
    (report,) = await venue.on_market_data(make.bar(2, "100", open="100", high="120", low="90"))
    assert report.client_order_id == out.stop_loss.client_order_id
    assert report.price < 95
    assert await venue.status(out.take_profit.client_order_id) is S.CANCELLED


@given(
    bars=st.lists(
        st.tuples(st.integers(85, 120), st.integers(85, 120), st.sampled_from([300, 900, 10**6])),
        min_size=1,
        max_size=8,
    ),
    cut=st.integers(0, 8),
)
def test_both_together_never_close_more_than_there_is(make, bars, cut):
    async def run():
        venue, out = await resting(make)
        states = {o.client_order_id: OrderState(o, S.ACCEPTED) for o in out}
        for day, (opened, close, volume) in enumerate(bars, 2):
            if day == cut:  # a restart in between changes nothing
                again, market = PaperVenue(make.settings()), Market()
                market.observe(make.bar(day - 1))
                again.restore(states.values(), await venue.positions(), market)
                venue = again
            bar = make.bar(day, str(close), open=str(opened), volume=str(volume))
            for report in await venue.on_market_data(bar):
                states[report.client_order_id].fill(report.quantity)
            for identity, state in states.items():
                if not state.is_over and (status := await venue.status(identity)) is S.CANCELLED:
                    state.become(status)
            filled = sum(state.filled for state in states.values())
            assert filled <= 100
            assert await venue.positions() == ({"IBM": 100 - filled} if filled < 100 else {})
            assert (filled == 100) == all(s.is_over for s in states.values())

    asyncio.run(run())


def test_the_roles_are_those_of_a_bracket(make):
    out = exits(make.order("100"), D(100), take_profit=D(110), stop_loss=D(95))
    assert [o.role for o in out] == [OrderRole.TAKE_PROFIT, OrderRole.STOP_LOSS]
