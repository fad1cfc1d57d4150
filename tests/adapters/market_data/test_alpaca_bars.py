"""Alpaca's bars against a server that speaks their documented wire."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from starlette.responses import JSONResponse, Response

from adapters.http_server import bind, http_server
from adapters.market_data.alpaca_bars import MINUTE, AlpacaBarHistory, AlpacaBarStream
from domain.errors import FeedUnavailable
from tests.adapters.market_data.bar_servers import KEY, SECRET, BarServer, minutes, told

OPENED = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@asynccontextmanager
async def history(seconds=2.0, key=KEY):
    server = BarServer()
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        url = f"http://127.0.0.1:{port}"
        source = AlpacaBarHistory(key, SECRET, url=url, timeout_seconds=seconds)
        try:
            yield server, source
        finally:
            await source.close()


@asynccontextmanager
async def stream(key=KEY):
    server = BarServer()
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        url = f"ws://127.0.0.1:{port}"
        try:
            yield server, AlpacaBarStream(key, SECRET, ["IBM"], url=url, timeout_seconds=2)
        finally:
            server.to_send.put_nowait(None)


async def test_bars_between_two_closes_are_told_exactly_and_whole():
    async with history() as (server, source):
        server.stored = [(m, f"100.{m.minute:04}1") for m in minutes(OPENED, *range(9))]
        found = await source.bars("IBM", OPENED + MINUTE, OPENED + 8 * MINUTE)
        assert [one.observed_at for one in found] == minutes(OPENED, *range(2, 9))
        assert found[0].price == Decimal("100.00311")  # not a binary float's neighbour
        assert (found[0].open, found[0].volume) == (found[0].price, Decimal(1200))
        assert len(server.queries) == 3
        assert server.queries[0]["feed"] == "iex"


async def test_a_history_may_begin_and_end_within_a_minute():
    async with history() as (server, source):
        server.stored = [(m, "100") for m in minutes(OPENED, *range(5))]
        half = timedelta(seconds=30)
        found = await source.bars("IBM", OPENED + half, OPENED + 2 * MINUTE + half)
        assert [one.observed_at for one in found] == minutes(OPENED, 1, 2)


async def test_minutes_without_a_trade_have_no_bar():
    async with history() as (_, source):
        assert await source.bars("IBM", OPENED, OPENED + MINUTE) == []


async def test_the_rate_limit_is_waited_for():
    async with history() as (server, source):
        server.answers = [JSONResponse({"message": "too many requests."}, 429)]
        assert await source.bars("IBM", OPENED, OPENED + MINUTE) == []
        assert len(server.queries) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Response("x", 500),
        Response("{"),
        Response("[]"),
        Response('{"bars":[]}x'),
        Response('{"bars":{"IBM":5}}'),
        Response('{"bars":{"IBM":[5]}}'),
        Response('{"bars":{"IBM":[{"t":"2026-03-02T14:30:00"}]}}'),
        Response('{"bars":{"IBM":[{"t":"x"}]}}'),
        Response('{"bars":{"IBM":[{"t":"2026-03-02T14:30:00Z","o":1,"h":1,"l":1,"c":null}]}}'),
        Response('{"bars":{"IBM":[{"t":"2026-03-02T14:30:00Z","o":1,"h":1,"l":2,"c":1,"v":1}]}}'),
        Response('{"bars":{"IBM":[{"t":"2026-03-02T14:30:00Z","o":1,"h":1,"l":1,"c":NaN,"v":1}]}}'),
    ],
)
async def test_what_can_t_be_read_is_a_typed_error(answer):
    async with history() as (server, source):
        server.answers = [answer]
        with pytest.raises(FeedUnavailable):
            await source.bars("IBM", OPENED, OPENED + MINUTE)


async def test_a_stream_tells_bars_as_they_close_until_it_breaks():
    async with stream() as (server, source):
        server.to_send.put_nowait(f"[{told(OPENED, '101.07', 'IBM')}]")
        server.to_send.put_nowait('[{"T":"u","S":"IBM"},{"T":"q","S":"IBM"}]')  # others pass by
        server.to_send.put_nowait(f"[{told(OPENED + MINUTE, '102', 'IBM')}]")
        server.to_send.put_nowait(None)
        bars = source.listen()
        found = [await anext(bars), await anext(bars)]
        with pytest.raises(FeedUnavailable):
            await anext(bars)
        assert [(one.observed_at, one.price) for one in found] == [
            (OPENED + MINUTE, Decimal("101.07")),
            (OPENED + timedelta(minutes=2), Decimal(102)),
        ]


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ('[{"T":"error","code":407,"msg":"slow client"}]', "407 slow client"),
        ("{}", "no list"),
        ("[5]", "no list"),
        ("nonsense", "no JSON"),
        ('[{"T":"b","S":"ibm;","t":"2026-03-02T14:30:00Z"}]', "can't be read|told what"),
    ],
)
async def test_what_a_stream_says_amiss_is_a_typed_error(sent, says):
    async with stream() as (server, source):
        server.to_send.put_nowait(sent)
        with pytest.raises(FeedUnavailable, match=says):
            await anext(source.listen())


async def test_keys_that_are_not_known_are_told():
    async with stream(key="other") as (_, source):
        with pytest.raises(FeedUnavailable, match="402 auth failed"):
            await anext(source.listen())
    async with history(key="other") as (_, source):
        with pytest.raises(FeedUnavailable, match="403"):
            await source.bars("IBM", OPENED, OPENED + MINUTE)


async def test_a_server_that_is_not_there_is_a_typed_error():
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    source = AlpacaBarStream(KEY, SECRET, ["IBM"], url=f"ws://127.0.0.1:{port}", timeout_seconds=1)
    with pytest.raises(FeedUnavailable):
        await anext(source.listen())
