import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.orders import OrderStatus, OrderType, Side, TimeInForce
from domain.sessions import Sessions
from trading.market import Market
from trading.order_state import OrderState
from trading.paper_venue import PaperVenue, UnknownOrder

D = Decimal


@pytest.fixture
def venue(make):
    return PaperVenue(make.settings())


async def test_an_order_fills_at_the_next_bars_open(make, venue):
    order = make.order("100")
    assert await venue.submit(order) is OrderStatus.ACCEPTED
    assert await venue.on_market_data(make.bar(0, open="90")) == []
    (report,) = await venue.on_market_data(make.bar(1, "105", open="101", high="106", low="99"))
    assert report.price == D("101.02222")  # 101 + 2 bps + 101 · 0.1 · 0.02 · 0.01
    assert (report.quantity, report.leaves_quantity) == (D(100), D(0))
    assert report.fee == D("0.35")
    assert report.slippage_bps == D("102.222")
    assert report.executed_at == make.at(1)
    assert await venue.status(order.client_order_id) is OrderStatus.FILLED
    assert await venue.positions() == {"IBM": D(100)}
    assert await venue.open_orders() == []


async def test_sending_again_changes_nothing(make, venue):
    order = make.order("100")
    await venue.submit(order)
    await venue.submit(order)
    assert len(await venue.open_orders()) == 1
    assert len(await venue.on_market_data(make.bar(1))) == 1
    assert await venue.submit(order) is OrderStatus.FILLED
    assert await venue.on_market_data(make.bar(2)) == []


async def test_a_bar_that_comes_twice_fills_once(make, venue):
    await venue.submit(make.order("100", time_in_force=TimeInForce.GTC))
    thin = make.bar(1, volume="400")
    assert [r.quantity for r in await venue.on_market_data(thin)] == [D(20)]
    assert await venue.on_market_data(thin) == []


async def test_the_rest_of_a_day_order_expires_with_its_bar(make, venue):
    order = make.order("100")
    await venue.submit(order)
    (report,) = await venue.on_market_data(make.bar(1, volume="1200"))
    assert (report.quantity, report.leaves_quantity) == (D(60), D(40))
    assert await venue.status(order.client_order_id) is OrderStatus.EXPIRED
    assert await venue.on_market_data(make.bar(2)) == []


async def test_good_till_cancelled_waits_and_counts_its_executions(make, venue):
    order = make.order("100", time_in_force=TimeInForce.GTC)
    await venue.submit(order)
    reports = [
        report
        for day in (1, 2, 3)
        for report in await venue.on_market_data(make.bar(day, volume="800"))
    ]
    assert [r.quantity for r in reports] == [D(40), D(40), D(20)]
    assert len({r.execution_id for r in reports}) == 3
    assert await venue.status(order.client_order_id) is OrderStatus.FILLED


async def test_immediate_or_cancel_ends_with_its_bar(make, venue):
    order = make.order("100", time_in_force=TimeInForce.IOC)
    await venue.submit(order)
    (report,) = await venue.on_market_data(make.bar(1, volume="400"))
    assert report.quantity == 20
    assert await venue.status(order.client_order_id) is OrderStatus.CANCELLED


async def test_orders_share_a_bars_volume_first_come_first_served(make, venue):
    for number in (1, 2):
        await venue.submit(make.order("40", number=number))
    reports = await venue.on_market_data(make.bar(1, volume="1000"))
    assert [(r.decision_id, r.quantity) for r in reports] == [
        ("decision-1", D(40)),
        ("decision-2", D(10)),
    ]


async def test_cancelling(make, venue):
    order = make.order("100")
    await venue.submit(order)
    assert await venue.cancel(order.client_order_id) is OrderStatus.CANCELLED
    assert await venue.cancel(order.client_order_id) is OrderStatus.CANCELLED
    assert await venue.on_market_data(make.bar(1)) == []
    with pytest.raises(UnknownOrder, match="no order q-unknown"):
        await venue.cancel("q-unknown")
    assert await venue.status("q-unknown") is None


async def test_a_restored_venue_goes_on_where_it_was(make, venue):
    order = make.order("100", time_in_force=TimeInForce.GTC)
    await venue.submit(order)
    await venue.on_market_data(make.bar(1, volume="800"))
    market = Market()
    market.observe(make.bar(1, volume="800"))
    other = PaperVenue(make.settings())
    other.restore(
        [OrderState(order, OrderStatus.PARTIALLY_FILLED, D(40), 1)], {"IBM": D(40)}, market
    )
    assert await other.on_market_data(make.bar(1)) == []
    bar = make.bar(2)
    assert await other.on_market_data(bar) == await venue.on_market_data(bar)
    assert await other.positions() == await venue.positions()


async def test_a_sent_order_is_accepted_by_a_restored_venue(make, venue):
    order = make.order("100")
    done = make.order("5", number=1)
    states = [OrderState(order, OrderStatus.SUBMITTED), OrderState(done, OrderStatus.EXPIRED)]
    venue.restore(states, {}, Market())
    assert await venue.submit(order) is OrderStatus.ACCEPTED
    assert await venue.submit(done) is OrderStatus.EXPIRED
    assert len(await venue.open_orders()) == 1


@given(
    quantities=st.lists(st.integers(1, 300), min_size=1, max_size=5),
    volumes=st.lists(st.integers(0, 4000), min_size=1, max_size=6),
    forces=st.lists(st.sampled_from(TimeInForce), min_size=5, max_size=5),
)
def test_no_more_than_ordered_and_no_more_than_the_bars_volume(make, quantities, volumes, forces):
    async def run():
        venue = PaperVenue(make.settings())
        orders = [
            make.order(str(quantity), number=n, time_in_force=forces[n])
            for n, quantity in enumerate(quantities)
        ]
        for order in orders:
            await venue.submit(order)
        total = dict.fromkeys((o.client_order_id for o in orders), D(0))
        for day, volume in enumerate(volumes, start=1):
            reports = await venue.on_market_data(make.bar(day, volume=str(volume)))
            assert sum(r.quantity for r in reports) <= volume * D("0.05")
            for report in reports:
                total[report.client_order_id] += report.quantity
        for order in orders:
            assert total[order.client_order_id] <= order.quantity
        assert sum(total.values()) == (await venue.positions()).get("IBM", 0)
        for order in await venue.open_orders():
            assert order.time_in_force is TimeInForce.GTC

    asyncio.run(run())


async def test_a_limit_order_waits_for_its_price(make, venue):
    order = make.order(
        "10", order_type=OrderType.LIMIT, limit_price=D(95), time_in_force=TimeInForce.GTC
    )
    await venue.submit(order)
    assert await venue.on_market_data(make.bar(1, "97", low="95")) == []
    (report,) = await venue.on_market_data(make.bar(2, "97", low="94"))
    assert report.price == 95
    assert report.side is Side.BUY


STOPS = [
    # side, prices, bar (open, high, low, close), fill price at no cost
    ("STOP", Side.SELL, {"stop_price": 95}, (100, 101, 96, 100), None),
    ("STOP", Side.SELL, {"stop_price": 95}, (100, 101, 94, 100), "95"),
    ("STOP", Side.SELL, {"stop_price": 95}, (90, 92, 89, 91), "90"),
    ("STOP", Side.BUY, {"stop_price": 105}, (107, 108, 106, 107), "107"),
    # In the bar that triggers it, a limit that the price has left behind is not claimed …
    ("STOP_LIMIT", Side.BUY, {"stop_price": 105, "limit_price": 104}, (100, 106, 99, 100), None),
    ("STOP_LIMIT", Side.BUY, {"stop_price": 105, "limit_price": 106}, (100, 110, 99, 100), "105"),
    # … unless it opened beyond, so that all of the bar came after.
    ("STOP_LIMIT", Side.BUY, {"stop_price": 105, "limit_price": 106}, (108, 109, 104, 105), "106"),
    ("STOP_LIMIT", Side.BUY, {"stop_price": 105, "limit_price": 106}, (108, 109, 107, 108), None),
    ("TRAILING_STOP", Side.SELL, {"stop_price": 95, "trail": 5}, (100, 120, 94, 110), "95"),
]


@pytest.mark.parametrize(("kind", "side", "prices", "shown", "price"), STOPS)
async def test_a_stop_gets_what_the_bar_shows(make, kind, side, prices, shown, price):
    venue = PaperVenue(make.settings(half_spread_bps=D(0), impact_coefficient=D(0)))
    terms = {name: D(value) for name, value in prices.items()}
    await venue.submit(make.order("10", side, order_type=OrderType(kind), **terms))
    opened, high, low, close = map(str, shown)
    reports = await venue.on_market_data(make.bar(1, close, open=opened, high=high, low=low))
    assert [r.price for r in reports] == ([] if price is None else [D(price)])


async def test_a_triggered_stop_limit_rests_as_a_limit_also_after_a_restart(make):
    venue = PaperVenue(make.settings(half_spread_bps=D(0), impact_coefficient=D(0)))
    order = make.order(
        "10",
        order_type=OrderType.STOP_LIMIT,
        stop_price=D(105),
        limit_price=D(104),
        time_in_force=TimeInForce.GTC,
    )
    await venue.submit(order)
    state, market = OrderState(order, OrderStatus.ACCEPTED), Market()
    jump = make.bar(1, "106", open="100")
    assert await venue.on_market_data(jump) == []
    state.observe(jump)
    market.observe(jump)
    again = PaperVenue(make.settings(half_spread_bps=D(0), impact_coefficient=D(0)))
    again.restore([state], {}, market)
    (report,) = await again.on_market_data(make.bar(2, "102", open="103"))
    assert report.price == 103


async def test_at_close_trades_in_the_sessions_last_bar_alone(make):
    day = make.at(1).replace(hour=20)
    sessions = Sessions((day - timedelta(hours=6),), (day,))
    venue = PaperVenue(make.settings(half_spread_bps=D(0), impact_coefficient=D(0)), sessions)
    at_close = make.order("10", time_in_force=TimeInForce.AT_CLOSE)
    whole_day = make.order("10", number=1)
    await venue.submit(at_close)
    await venue.submit(whole_day)
    noon = replace(make.bar(1, volume="100"), observed_at=day - timedelta(hours=3))
    assert [r.quantity for r in await venue.on_market_data(noon)] == [5]
    assert await venue.status(whole_day.client_order_id) is OrderStatus.PARTIALLY_FILLED
    reports = await venue.on_market_data(make.bar(1, "104", open="103"))
    assert [(r.quantity, r.price) for r in reports] == [(10, 104), (5, 103)]


async def test_what_a_venue_replaced_is_what_fills(make, venue):
    order = make.order("100", time_in_force=TimeInForce.GTC)
    await venue.submit(order)
    assert await venue.replace(replace(order, quantity=D(40))) is OrderStatus.ACCEPTED
    (report,) = await venue.on_market_data(make.bar(1))
    assert report.quantity == 40
    with pytest.raises(UnknownOrder):
        await venue.replace(make.order(number=7))
