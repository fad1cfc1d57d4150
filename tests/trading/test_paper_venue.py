import asyncio
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.orders import OrderStatus, OrderType, Side, TimeInForce
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
