"""The bus on a real RabbitMQ that is killed, forgets, refuses or goes away."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from itertools import count, pairwise

import aio_pika
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.bus import RedisBus, open_bus
from adapters.bus.rabbitmq import RabbitBus
from adapters.bus.rabbitmq_log import Entry, position_of
from adapters.metrics import PrometheusMetrics
from domain.errors import EnvironmentProblem
from domain.market import Tick
from domain.messages import encode
from domain.ports.bus import Backlog
from domain.settings import Settings
from domain.streams import Stream

NOW = datetime(2024, 1, 2, tzinfo=UTC)
Connect = Callable[..., RabbitBus]
_partitions = count(10_000)


@pytest.fixture
def source() -> tuple[Stream, int]:
    """A fresh partition."""
    return Stream.VOTES, next(_partitions)


@pytest.fixture
async def connect(rabbitmq) -> AsyncIterator[Connect]:
    buses: list[RabbitBus] = []

    def open_one(url: str = rabbitmq.url, **options) -> RabbitBus:
        buses.append(RabbitBus(url, **options))
        return buses[-1]

    yield open_one
    for bus in buses:
        await bus.close()


@pytest.fixture
async def channel(rabbitmq) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """A connection of our own, to harm the server by."""
    async with await aio_pika.connect(rabbitmq.url) as connection:
        yield await connection.channel()


def tick(number: int) -> Tick:
    return Tick(message_id=f"m{number}", correlation_id="c", occurred_at=NOW)


async def publish(bus: RabbitBus, source, *numbers: int) -> None:
    for number in numbers:
        await bus.publish(*source, tick(number), sequence=number)


async def take(bus: RabbitBus, source, **options):
    return await bus.consume("g", "a", [source], **{"wait_ms": 0, **options})


def positions(deliveries) -> list[str]:
    return [delivery.position for delivery in deliveries]


async def test_a_killed_server_loses_and_doubles_nothing(rabbitmq, connect, source) -> None:
    """Writer and consumer go on as if nothing was; what comes twice is marked as a redelivery."""
    reached, restarted, metrics = asyncio.Event(), asyncio.Event(), PrometheusMetrics()
    writer = connect(patience_seconds=60)
    consumer = connect(patience_seconds=60, metrics=metrics)
    written: list[str] = []
    found: list[str] = []

    async def write() -> None:
        while not restarted.is_set() or len(written) < 200:
            written.append(f"{len(written) + 1}-0")
            await publish(writer, source, len(written))

    async def consume() -> None:
        while not restarted.is_set() or found != written:
            deliveries = await take(consumer, source, limit=7, wait_ms=1000)
            assert all(d.attempts > 1 for d in deliveries if d.position in found)
            found.extend(d.position for d in deliveries if d.position not in found)
            await consumer.acknowledge("g", deliveries)
            if len(found) > 100:
                reached.set()

    async def crash() -> None:
        await reached.wait()
        await asyncio.to_thread(rabbitmq.settle)
        await asyncio.to_thread(rabbitmq.kill)
        await asyncio.to_thread(rabbitmq.start)
        restarted.set()

    await asyncio.gather(write(), consume(), crash())
    assert found == [f"{number}-0" for number in range(1, len(found) + 1)]
    assert positions(await connect().read(*source, limit=100_000)) == found
    assert await connect().backlog("g", *source) == Backlog(lag=0, pending=0)
    assert metrics.registry.get_sample_value("quorum_bus_connections_lost_total") >= 1


async def test_what_two_writers_publish_at_once_counts_once(connect, source) -> None:
    """A writer that was replaced may go on for a moment: its outbox holds the same messages."""
    old, new = connect(), connect()
    await publish(old, source, 1)
    await publish(new, source, 2)
    await publish(old, source, 2, 3)
    everything = ["1-0", "2-0", "3-0"]
    assert positions(await take(new, source)) == everything
    assert positions(await connect().read(*source)) == everything
    assert await new.backlog("g", *source) == Backlog(lag=0, pending=3)
    assert await old.backlog("g", *source) == Backlog(lag=0, pending=3)


async def test_what_only_repeats_leaves_no_backlog(connect, source) -> None:
    old, new = connect(), connect()
    await publish(old, source, 1)
    await publish(new, source, 2)
    await new.acknowledge("g", await take(new, source))
    await publish(old, source, 2)
    assert await take(new, source) == []
    assert await connect().backlog("g", *source) == Backlog(lag=0, pending=0)


async def test_unacknowledged_deliveries_come_again_after_a_while_in_their_order(
    connect, source
) -> None:
    bus = connect(redeliver_after_ms=200)
    await publish(bus, source, 1, 2, 3)
    first = await take(bus, source)
    await bus.acknowledge("g", first[1:2])
    again = await take(bus, source, wait_ms=10_000)
    assert [(d.position, d.attempts) for d in again] == [("1-0", 2), ("3-0", 2)]
    await bus.acknowledge("g", first)
    await publish(bus, source, 4)
    assert positions(await take(bus, source, wait_ms=10_000)) == ["4-0"]


async def test_a_waiting_consumer_takes_over_when_the_other_goes(connect, source) -> None:
    one, other = connect(), connect()
    await publish(one, source, 1, 2)
    assert len(await take(one, source)) == 2
    waiting = asyncio.create_task(take(other, source, wait_ms=30_000))
    await publish(one, source, 3)
    await one.close()
    assert [(d.position, d.attempts) for d in await waiting] == [("1-0", 2), ("2-0", 2)]
    assert positions(await take(other, source)) == ["3-0"]


async def test_many_messages_pass_a_bounded_window(connect, source) -> None:
    bus = connect()
    await asyncio.gather(*(bus.publish_raw(*source, b"%d" % number) for number in range(5_000)))
    found: list[bytes] = []
    while deliveries := await take(bus, source, limit=1_000):
        found += [delivery.data for delivery in deliveries]
    assert Counter(found) == Counter(b"%d" % number for number in range(5_000))
    await bus.close()
    restarted = connect()  # everything is unfinished: it is read again out of the log
    again = [d for _ in range(5) for d in await take(restarted, source, limit=1_000)]
    assert [d.data for d in again] == found
    assert {d.attempts for d in again} == {2}


async def test_a_reader_goes_on_where_another_stopped(connect, source) -> None:
    bus, other = connect(), connect()
    for number in range(5):
        await bus.publish(*source, tick(number))
    first = await bus.read(*source, limit=2)
    rest = [d for _ in range(2) for d in await other.read(*source, after=first[-1].position)]
    assert rest[:3] == rest[3:]
    assert [d.data for d in first + rest[:3]] == [encode(tick(number)) for number in range(5)]


async def test_a_log_that_was_lost_is_begun_anew_behind_the_old_positions(
    connect, channel, source
) -> None:
    bus = connect()
    for _ in range(3):
        await bus.publish_raw(*source, b"before")
    before = await take(bus, source)
    for name in ("", ".g", ".g.marks"):
        await channel.queue_delete(f"quorum.votes.{source[1]}{name}")
    await bus.publish_raw(*source, b"after")
    (after,) = await take(bus, source, wait_ms=10_000)
    assert after.data == b"after"
    assert int(after.position.split("-")[0]) >= int(before[-1].position.split("-")[0])
    assert [d.data for d in await bus.read(*source, after=before[-1].position)] == [b"after"]


async def test_many_may_make_a_partition_at_once(connect) -> None:
    for _ in range(10):
        source = (Stream.VOTES, next(_partitions))
        buses = [connect() for _ in range(4)]
        assert await asyncio.gather(*(bus.read(*source) for bus in buses)) == [[]] * 4
        await asyncio.gather(*(bus.publish_raw(*source, b"x") for bus in buses))
        assert len(await buses[0].read(*source)) == 4


async def test_a_log_whose_maker_died_before_its_first_entry(connect, channel, source) -> None:
    await channel.declare_queue(
        f"quorum.votes.{source[1]}", durable=True, arguments={"x-queue-type": "stream"}
    )
    assert await connect().backlog("g", *source) == Backlog(lag=0, pending=0)


async def test_a_server_that_is_down_is_a_typed_error(connect, source) -> None:
    bus = connect("amqp://someone:secret@127.0.0.1:1/", patience_seconds=0.2)
    for call in (
        bus.publish(*source, tick(1)),
        bus.publish_raw(*source, b"x"),
        take(bus, source),
        bus.read(*source),
        bus.backlog("g", *source),
    ):
        with pytest.raises(EnvironmentProblem, match="can not be reached") as problem:
            await call
        assert "amqp://127.0.0.1:1/" in problem.value.what
        assert "secret" not in str(problem.value)


async def test_a_refusing_server_is_a_typed_error_without_its_password(
    rabbitmq, connect, channel, source
) -> None:
    bus = connect(rabbitmq.url.replace("guest:guest", "guest:secret"), patience_seconds=30)
    with pytest.raises(EnvironmentProblem, match="refused") as problem:
        await bus.read(*source)
    assert "secret" not in str(problem.value)
    name = f"quorum.votes.{source[1]}.g"
    await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
    with pytest.raises(EnvironmentProblem, match="refused: PRECONDITION_FAILED"):
        await take(connect(), source)


async def test_the_settings_choose_the_bus(rabbitmq, connect, source) -> None:
    bus = open_bus(Settings(bus_url=rabbitmq.url))
    assert not isinstance(bus, RedisBus)
    await bus.publish_raw(*source, b"x")
    await bus.close()
    assert [d.data for d in await connect().read(*source)] == [b"x"]


async def test_who_is_asked_to_end_in_the_middle_of_a_call_ends(connect, source) -> None:
    bus = connect()

    async def ask() -> None:
        while True:
            await bus.backlog("g", *source)
            await bus.publish_raw(*source, b"x")

    for turns in range(100):
        asking = asyncio.create_task(ask())
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


_entries = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(1, 5)), st.integers(10**12, 10**12 + 3), st.booleans()
    )
)


@given(_entries, st.integers(0, 10))
def test_positions_rise_and_do_not_depend_on_where_a_reader_begins(drawn, place) -> None:
    entries = [
        Entry(offset, b"", sequence, stamp, genesis and sequence is None)
        for offset, (sequence, stamp, genesis) in enumerate(drawn)
    ]

    def read(entries, position):
        for entry in entries:
            if (found := position_of(entry, position)) is not None:
                position = found
                yield entry.offset, position

    whole = list(read(entries, (0, 0)))
    assert all(one[1] < next_[1] for one, next_ in pairwise(whole))
    begun = whole[:place]
    offset, position = begun[-1] if begun else (-1, (0, 0))
    assert [*begun, *read(entries[offset + 1 :], position)] == whole
    sequences = [position[0] for _, position in whole if position[1] == 0 and position[0] < 10**12]
    assert len(sequences) == len(set(sequences))
