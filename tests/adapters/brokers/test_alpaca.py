"""The Alpaca adapter against a server that speaks its documented wire."""

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response

from adapters.brokers.alpaca import AlpacaBroker
from adapters.brokers.wire import VenueAnswerUnusable, VenueKeysRefused
from adapters.http_server import bind, http_server
from domain.errors import VenueUnavailable
from domain.identity import client_order_id
from domain.orders import Order, OrderStatus, OrderType, Side, TimeInForce
from tests.adapters.brokers.alpaca_server import BEGAN, KEY, SECRET, AlpacaServer


@asynccontextmanager
async def account(server=None, *, secret=SECRET, seconds=2.0):
    server = server or AlpacaServer()
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        broker = AlpacaBroker(KEY, secret, f"http://127.0.0.1:{port}", timeout_seconds=seconds)
        try:
            yield server, broker
        finally:
            await broker.close()


def order(number=1, **changes):
    fields = {
        "client_order_id": client_order_id("d", number),
        "decision_id": "d",
        "symbol": "AAPL",
        "side": Side.BUY,
        "quantity": Decimal(10),
        "arrival_price": Decimal(100),
        "created_at": datetime(2026, 3, 2, tzinfo=UTC),
    }
    return Order(**(fields | changes))


async def test_an_order_is_sent_once_and_exactly_as_it_was_written():
    async with account() as (server, broker):
        limit = order(
            quantity=Decimal("0.123456789"),
            order_type=OrderType.STOP_LIMIT,
            limit_price=Decimal("101.07"),
            stop_price=Decimal("100.1"),
            time_in_force=TimeInForce.GTC,
        )
        assert await broker.submit(limit) is OrderStatus.ACCEPTED
        assert await broker.submit(limit) is OrderStatus.ACCEPTED
        assert len(server.orders) == 1
        assert server.bodies[0] == {
            "symbol": "AAPL",
            "qty": "0.123456789",
            "side": "buy",
            "type": "stop_limit",
            "time_in_force": "gtc",
            "client_order_id": limit.client_order_id,
            "limit_price": "101.07",
            "stop_price": "100.1",
        }


async def test_fills_are_told_once_in_order_to_the_last_digit_whatever_page_they_stand_on():
    async with account() as (server, broker):
        mine, other = order(1, quantity=Decimal(200)), order(2, quantity=Decimal(200))
        await broker.submit(mine)
        await broker.submit(other)
        for i in range(130):
            server.fill(mine.client_order_id, "1", f"100.{i:03}1")
            server.fill(other.client_order_id, "1", "7")
        server.fills.append(server.fills[0])  # a duplicate
        server.fills[3:5] = reversed(server.fills[3:5])  # and out of order
        fills = await broker.executions(mine.client_order_id)
        assert [fill.price for fill in fills] == [Decimal(f"100.{i:03}1") for i in range(130)]
        assert len({fill.execution_id for fill in fills}) == 130
        assert fills[0].executed_at == BEGAN
        assert fills[-1].leaves_quantity == 70
        assert await broker.status(mine.client_order_id) is OrderStatus.PARTIALLY_FILLED


async def test_a_lost_answer_is_asked_about_and_the_order_is_there_once():
    async with account(seconds=1.0) as (server, broker):
        server.answers = [None]
        with pytest.raises(VenueUnavailable, match="did not answer POST"):
            await broker.submit(order())
        assert await broker.status(order().client_order_id) is OrderStatus.ACCEPTED
        assert [asked for asked in server.asked if asked[0] == "POST"] == [("POST", "/v2/orders")]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_gateway_that_gives_up_leaves_the_order_in_doubt_and_unsent_again(status):
    async with account() as (server, broker):
        server.answers = [Response(status_code=status)]
        with pytest.raises(VenueUnavailable, match=str(status)):
            await broker.submit(order())
        assert len(server.asked) == 1


async def test_the_rate_limit_is_waited_for_and_then_the_order_goes():
    async with account() as (server, broker):
        late = {"X-RateLimit-Reset": "0"}
        server.answers = [JSONResponse({"message": "too many requests."}, 429, late)]
        assert await broker.submit(order()) is OrderStatus.ACCEPTED
        assert len(server.asked) == 2


async def test_a_rate_limit_without_end_is_no_answer():
    async with account(seconds=1.2) as (server, broker):
        server.answers = [JSONResponse({}, 429) for _ in range(9)]
        with pytest.raises(VenueUnavailable, match=r"1\.2 s passed"):
            await broker.positions()
        assert 1 < len(server.asked) < 9


async def test_what_the_venue_will_not_take_is_rejected():
    async with account() as (server, broker):
        assert await broker.submit(order(quantity=Decimal(10_001))) is OrderStatus.REJECTED
        trailing = order(
            2, order_type=OrderType.TRAILING_STOP, stop_price=Decimal(90), trail=Decimal(2)
        )
        assert await broker.submit(trailing) is OrderStatus.REJECTED
        assert not server.orders


async def test_wrong_keys_are_named_and_never_taken_for_a_rejection():
    async with account(secret="other") as (_, broker):
        with pytest.raises(VenueKeysRefused, match="QUORUM_VENUE__KEY"):
            await broker.submit(order())


async def test_what_replaces_an_order_stays_that_order():
    async with account() as (server, broker):
        first = order(order_type=OrderType.LIMIT, limit_price=Decimal(100))
        await broker.submit(first)
        server.fill(first.client_order_id, "4", "100")
        changed = order(order_type=OrderType.LIMIT, limit_price=Decimal(101), quantity=Decimal(12))
        await broker.replace(changed)
        [resting] = await broker.open_orders()
        assert resting.client_order_id == first.client_order_id
        assert (resting.limit_price, resting.quantity) == (Decimal(101), Decimal(12))
        server.fill(f"{first.client_order_id}.1", "3", "101")
        fills = await broker.executions(first.client_order_id)
        assert [fill.quantity for fill in fills] == [4, 3]
        assert await broker.cancel(first.client_order_id) is OrderStatus.CANCELLED
        assert not await broker.open_orders()


async def test_cancelling_what_is_over_tells_how_it_ended():
    async with account() as (server, broker):
        await broker.submit(order())
        server.fill(order().client_order_id, "10", "100")
        assert await broker.positions() == {"AAPL": Decimal(10)}
        assert await broker.cancel(order().client_order_id) is OrderStatus.FILLED


async def test_an_order_that_it_never_saw_has_no_status_and_no_fills():
    async with account() as (_, broker):
        assert await broker.status("q-never") is None
        assert await broker.executions("q-never") == ()


async def test_how_far_the_clocks_are_apart():
    async with account() as (server, broker):
        server.clock = timedelta(seconds=-40)
        assert await broker.clock_offset() == pytest.approx(40, abs=1)


async def test_open_orders_without_end_are_not_taken_for_all():
    async with account() as (server, broker):
        await broker.submit(order())
        [one] = server.orders.values()
        server.answers = [JSONResponse([one] * 500)]
        with pytest.raises(VenueAnswerUnusable, match="500 open orders"):
            await broker.open_orders()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "status", "qty", "symbol", "price", "client_order_id", "side"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


async def test_whatever_it_answers_is_a_typed_error_or_a_value():
    async with account() as (server, broker):
        questions = {
            "submit": lambda: broker.submit(order()),
            "status": lambda: broker.status("q-1"),
            "cancel": lambda: broker.cancel("q-1"),
            "executions": lambda: broker.executions("q-1"),
            "open_orders": broker.open_orders,
            "positions": broker.positions,
        }
        kinds = {name: set() for name in questions}
        drawn = []

        @settings(max_examples=60, database=None, derandomize=True)
        @given(_JSON, st.sampled_from([200, 207, 400, 404, 418, 422, 500]))
        def collect(value, status):
            drawn.append((json.dumps(value), status))

        collect()
        for body, status in [*drawn, ("{", 200), ("[[]]", 200), ("", 200), ('{"status":1}', 200)]:
            for name, ask in questions.items():
                server.answers = [Response(body, status)] * 2
                try:
                    kinds[name].add(type(await ask()))
                except VenueUnavailable as problem:
                    kinds[name].add(type(problem))
        assert all(VenueAnswerUnusable in found for found in kinds.values())
