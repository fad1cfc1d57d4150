"""Exchanges' bars through ccxt, against the documented wire of Binance's klines."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from starlette.responses import JSONResponse, Response

from adapters.brokers.exchange_connection import ExchangeConnection
from adapters.http_server import bind, http_server
from adapters.market_data.exchange_bars import ExchangeBars
from domain.errors import FeedUnavailable
from tests.adapters.brokers.exchange_server import BinanceServer

PAIR, MINUTE = "BTC/USDT", timedelta(minutes=1)
OPENED = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def kline(began, close):
    start = int(began.timestamp() * 1000)
    prices = ["100.00000000", "200.00000000", "50.00000000", close, "148976.11427815"]
    return [start, *prices, start + 59_999, "2434.19055334", 308, "1756.87", "28.46", "0"]


@asynccontextmanager
async def source(bars, seconds=2.0):
    server = BinanceServer()
    server.bars = bars
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        url = f"http://127.0.0.1:{port}"
        connection = ExchangeConnection("binance", url=url, timeout_seconds=seconds)
        connection.api.enableRateLimit = False
        found = ExchangeBars(connection, [PAIR], MINUTE)
        try:
            yield server, found
        finally:
            await found.close()


async def test_bars_between_two_closes_are_told_exactly_and_whole_by_their_close():
    bars = [kline(OPENED + n * MINUTE, f"100.{n:04}0001") for n in range(1500)]
    async with source(bars) as (server, exchange):
        found = await exchange.bars(PAIR, OPENED + MINUTE, OPENED + 1200 * MINUTE)
        assert [one.observed_at for one in found] == [OPENED + n * MINUTE for n in range(2, 1201)]
        assert found[0].price == Decimal("100.00010001")
        assert found[0].volume == Decimal("148976.11427815")
        assert [path for _, path in server.asked].count("/api/v3/klines") == 2


async def test_what_closes_is_told_and_the_unfinished_bar_is_not():
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    async with source([kline(now - MINUTE, "101"), kline(now, "102")]) as (server, exchange):
        server.clock = 30 - (datetime.now(UTC) - now).total_seconds()  # within its minute there
        listening = exchange.listen()
        assert (await anext(listening)).observed_at == now
        await listening.aclose()
        server.clock += 60
        [after] = await exchange.bars(PAIR, now, now + MINUTE)
        assert after.price == 102


@pytest.mark.parametrize(
    "answer",
    [
        Response("x", 503),
        Response("{"),
        JSONResponse({"code": -1121, "msg": "Invalid symbol."}, 400),
        JSONResponse([[None] * 12]),
        JSONResponse([["x"]]),
        JSONResponse([5]),
    ],
)
async def test_what_can_t_be_read_is_a_typed_error(answer):
    async with source([]) as (server, exchange):
        assert await exchange.bars(PAIR, OPENED, OPENED + MINUTE) == []
        server.answers = [answer]
        with pytest.raises(FeedUnavailable):
            await exchange.bars(PAIR, OPENED, OPENED + MINUTE)
