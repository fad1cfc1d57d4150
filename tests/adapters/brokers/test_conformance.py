"""What every venue promises, whichever it is (`domain.ports.broker.Broker`)."""

from decimal import Decimal

import pytest

from domain.identity import client_order_id
from domain.orders import OrderStatus, OrderType, Side
from tests.adapters.brokers.venues import VENUES


@pytest.fixture(params=VENUES)
async def venue(request):
    async with VENUES[request.param]() as opened:
        yield opened


async def test_an_order_is_there_once_however_often_it_is_sent(venue):
    order = venue.order(1)
    assert await venue.broker.submit(order) is OrderStatus.ACCEPTED
    assert await venue.broker.submit(order) is OrderStatus.ACCEPTED
    assert len(await venue.broker.open_orders()) == 1
    await venue.trade(order, "99")
    assert await venue.broker.submit(order) is OrderStatus.FILLED
    assert not await venue.broker.open_orders()


async def test_what_rests_is_told_as_it_was_sent(venue):
    order = venue.order(1, quantity=Decimal(7), limit_price=Decimal("99.25"))
    await venue.broker.submit(order)
    [resting] = await venue.broker.open_orders()
    for name in ("client_order_id", "symbol", "side", "quantity", "order_type", "limit_price"):
        assert getattr(resting, name) == getattr(order, name)


async def test_what_it_never_saw_has_no_status_and_no_fills(venue):
    assert await venue.broker.status(client_order_id("never")) is None
    assert list(await venue.broker.executions(client_order_id("never"))) == []


async def test_a_cancelled_order_rests_no_longer(venue):
    kept, gone = venue.order(1), venue.order(2)
    await venue.broker.submit(kept)
    await venue.broker.submit(gone)
    assert await venue.broker.cancel(gone.client_order_id) is OrderStatus.CANCELLED
    assert await venue.broker.status(gone.client_order_id) is OrderStatus.CANCELLED
    [resting] = await venue.broker.open_orders()
    assert resting.client_order_id == kept.client_order_id


async def test_fills_are_told_once_and_add_up_to_the_position(venue):
    bought = venue.order(1)
    await venue.broker.submit(bought)
    await venue.trade(bought, "99")
    sold = venue.order(2, side=Side.SELL, quantity=Decimal(4))
    await venue.broker.submit(sold)
    await venue.trade(sold, "101")
    for order in (bought, sold):
        fills = await venue.broker.executions(order.client_order_id)
        assert list(fills) == list(await venue.broker.executions(order.client_order_id))
        assert len({fill.execution_id for fill in fills}) == len(fills) == 1
        assert fills[0].side is order.side
        assert fills[0].quantity == order.quantity
        assert fills[0].leaves_quantity == 0
        assert await venue.broker.status(order.client_order_id) is OrderStatus.FILLED
    assert await venue.broker.positions() == {venue.symbol: Decimal(6)}


async def test_cancelling_what_is_over_tells_how_it_ended(venue):
    order = venue.order(1)
    await venue.broker.submit(order)
    await venue.trade(order, "99")
    assert await venue.broker.cancel(order.client_order_id) is OrderStatus.FILLED


async def test_a_market_order_needs_no_price_and_no_day(venue):
    order = venue.order(1, order_type=OrderType.MARKET, limit_price=None)
    assert await venue.broker.submit(order) is OrderStatus.ACCEPTED
    await venue.trade(order, "99")
    assert await venue.broker.status(order.client_order_id) is OrderStatus.FILLED
