"""The bus on a real server that restarts, forgets, refuses or goes away."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis.asyncio

from adapters.bus import RedisBus, open_bus
from adapters.embedded import EmbeddedServers, Endpoints
from adapters.processes.identity import ProcessIdentity
from domain.errors import ConfigurationError, EnvironmentProblem
from domain.market import Tick
from domain.ports.bus import Backlog
from domain.settings import Settings
from domain.streams import Stream

NOW = datetime(2024, 1, 2, tzinfo=UTC)
SOURCE = (Stream.VOTES, 0)
Connect = Callable[..., RedisBus]


@pytest.fixture
async def server(valkey: Endpoints) -> AsyncIterator[redis.asyncio.Redis]:
    """The empty server, to harm it."""
    async with redis.asyncio.from_url(valkey.bus_url) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    buses: list[RedisBus] = []

    def open_one(url: str, **options) -> RedisBus:
        buses.append(RedisBus(url, **options))
        return buses[-1]

    yield open_one
    for bus in buses:
        await bus.close()


def tick(number: int) -> Tick:
    return Tick(message_id=f"m{number}", correlation_id="c", occurred_at=NOW)


async def until_the_group_exists(server: redis.asyncio.Redis) -> None:
    while not await server.exists("quorum:votes:0"):  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0)


async def take(bus: RedisBus, **options) -> list[bytes]:
    deliveries = await bus.consume("g", "a", [SOURCE], **{"wait_ms": 0, **options})
    await bus.acknowledge("g", deliveries)
    return [d.data for d in deliveries]


async def test_streams_are_named_by_stream_and_partition(valkey, server, connect) -> None:
    await connect(valkey.bus_url).publish(Stream.MARKET, 3, tick(1))
    assert await server.keys() == [b"quorum:market.bars:3"]


async def test_a_flushed_server_costs_messages_but_no_crash(valkey, server, connect) -> None:
    bus = connect(valkey.bus_url)
    await bus.publish_raw(*SOURCE, b"before")
    assert await take(bus) == [b"before"]
    await server.flushall()
    assert await bus.backlog("g", *SOURCE) == Backlog(lag=0, pending=0)
    assert await take(bus) == []
    await bus.publish_raw(*SOURCE, b"after")
    assert await take(bus, wait_ms=1000) == [b"after"]


async def test_a_flush_wakes_a_waiting_consumer_into_a_new_group(valkey, server, connect) -> None:
    bus = connect(valkey.bus_url)
    waiting = asyncio.create_task(take(bus, wait_ms=30_000))
    await until_the_group_exists(server)
    await server.flushall()
    await connect(valkey.bus_url).publish_raw(*SOURCE, b"after")
    assert await waiting == [b"after"]


async def test_a_sequence_goes_on_after_a_flush(valkey, server, connect) -> None:
    bus = connect(valkey.bus_url)
    await bus.publish(*SOURCE, tick(1), sequence=1)
    await server.flushall()
    assert await bus.publish(*SOURCE, tick(2), sequence=2) == "2-0"
    assert await bus.publish(*SOURCE, tick(1), sequence=1) == "1-0"
    assert len(await take(bus)) == 1


async def test_the_lag_is_counted_where_the_server_does_not_know_it(
    valkey, server, connect
) -> None:
    bus = connect(valkey.bus_url)
    positions = [await bus.publish(*SOURCE, tick(n), sequence=n) for n in range(1, 8)]
    await take(bus, limit=2)
    await server.xdel("quorum:votes:0", positions[4])
    (row,) = await server.xinfo_groups("quorum:votes:0")
    assert row["lag"] is None
    assert await bus.backlog("g", *SOURCE) == Backlog(lag=4, pending=0)


async def test_the_server_knows_the_lag_of_who_keeps_its_own_positions(
    valkey, server, connect
) -> None:
    bus = connect(valkey.bus_url)
    deliveries = await bus.consume("g", "c", [SOURCE], wait_ms=1, after={})
    for number in range(1, 8):
        await bus.publish(*SOURCE, tick(number), sequence=number)
    deliveries = await bus.consume("g", "c", [SOURCE], after={})
    for finished, lag in ((deliveries[:2], 5), (deliveries[2:3], 4), (deliveries[3:], 0)):
        await bus.acknowledge("g", finished)
        (row,) = await server.xinfo_groups("quorum:votes:0")
        assert row["lag"] == lag


async def test_trimmed_deliveries_are_forgotten(valkey, server, connect) -> None:
    bus = connect(valkey.bus_url)
    await bus.publish(*SOURCE, tick(1), sequence=1)
    await bus.publish(*SOURCE, tick(2), sequence=2)
    await bus.consume("g", "a", [SOURCE], wait_ms=0)
    await server.xdel("quorum:votes:0", "1-0")
    again = await connect(valkey.bus_url).consume("g", "a", [SOURCE], wait_ms=0)
    assert [d.position for d in again] == ["2-0"]
    assert await bus.backlog("g", *SOURCE) == Backlog(lag=0, pending=1)


async def test_a_foreign_entry_is_delivered_as_no_bytes(valkey, server, connect) -> None:
    await server.xadd("quorum:votes:0", {"something": "else"})
    assert await take(connect(valkey.bus_url)) == [b""]


async def test_cut_connections_are_made_again(valkey, server, connect) -> None:
    bus = connect(valkey.bus_url)
    waiting = asyncio.create_task(take(bus, wait_ms=30_000))
    await until_the_group_exists(server)
    await server.client_kill_filter(_type="normal", skipme=True)
    await connect(valkey.bus_url).publish_raw(*SOURCE, b"after")
    assert await waiting == [b"after"]


async def test_calls_wait_for_a_restarted_server(home: Path, connect) -> None:
    servers = EmbeddedServers(home, ["valkey"])
    with servers as endpoints:
        bus = connect(endpoints.bus_url)
        await bus.publish(*SOURCE, tick(1), sequence=1)
        await bus.consume("g", "a", [SOURCE], wait_ms=0)
        identity = ProcessIdentity.read(home / "servers" / "valkey.json")
        assert identity is not None
        identity.end(signal.SIGTERM, 10)
        publishing = asyncio.create_task(bus.publish(*SOURCE, tick(2), sequence=2))
        await asyncio.to_thread(servers.ensure)
        assert await publishing == "2-0"
        again = await connect(endpoints.bus_url).consume("g", "a", [SOURCE], wait_ms=0)
        assert [(d.position, d.attempts) for d in again] == [("1-0", 2)]


@pytest.mark.parametrize("url", ["unix:///tmp/no-such-quorum.sock", "redis://127.0.0.1:1"])
async def test_a_server_that_is_down_is_a_typed_error(url: str, connect) -> None:
    bus = connect(url, patience_seconds=0.2)
    for call in (
        bus.publish(*SOURCE, tick(1)),
        bus.publish_raw(*SOURCE, b"x"),
        bus.consume("g", "a", [SOURCE], wait_ms=0),
        bus.read(*SOURCE),
        bus.backlog("g", *SOURCE),
    ):
        with pytest.raises(EnvironmentProblem, match="can not be reached") as problem:
            await call
        assert url in problem.value.what


async def test_a_refusing_server_is_a_typed_error_without_its_password(
    valkey, server, connect
) -> None:
    await server.set("quorum:votes:0", "not a stream")
    with pytest.raises(EnvironmentProblem, match="refused: WRONGTYPE"):
        await connect(valkey.bus_url).publish(*SOURCE, tick(1))
    url = f"{valkey.bus_url}&password=secret"
    with pytest.raises(EnvironmentProblem, match="refused") as problem:
        await connect(url).read(*SOURCE)
    assert "secret" not in str(problem.value)


async def test_the_settings_choose_the_bus(valkey, server) -> None:
    bus = open_bus(Settings(bus_url=valkey.bus_url))
    await bus.publish(*SOURCE, tick(1))
    await bus.close()
    assert await server.xlen("quorum:votes:0") == 1
    for url in ("", "kafka://localhost"):
        with pytest.raises(ConfigurationError):
            open_bus(Settings(bus_url=url))


async def test_who_is_asked_to_end_in_the_middle_of_a_call_ends(server, connect, valkey):
    bus = connect(valkey.bus_url)

    async def ask(times: int) -> None:
        for _ in range(times):
            await bus.backlog("g", *SOURCE)

    await ask(1)
    for turns in range(200):
        asking = asyncio.create_task(ask(20))
        for _ in range(turns % 20):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
