"""What every bus promises, whatever carries it. A new adapter is one line in `ADAPTERS`."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.bus import MemoryBus, RedisBus
from adapters.bus.memory import MemoryBroker
from adapters.bus.numbering import parse
from adapters.bus.rabbitmq import RabbitBus
from domain.errors import InvalidValue, MessagesLost
from domain.market import Tick
from domain.messages import encode
from domain.ports.bus import Backlog, Delivery, MessageBus
from domain.streams import Stream

NOW = datetime(2024, 1, 2, tzinfo=UTC)
DATA = Stream.VOTES
_partitions = itertools.count()


def memory(_: pytest.FixtureRequest) -> Callable[..., MessageBus]:
    broker = MemoryBroker()
    return lambda **options: MemoryBus(broker, **options)


def valkey(request: pytest.FixtureRequest) -> Callable[..., MessageBus]:
    url = request.getfixturevalue("valkey").bus_url
    return lambda **options: RedisBus(url, patience_seconds=2, **options)


def rabbitmq(request: pytest.FixtureRequest) -> Callable[..., MessageBus]:
    url = request.getfixturevalue("rabbitmq").url
    return lambda **options: RabbitBus(url, patience_seconds=2, **options)


ADAPTERS = [memory, valkey, rabbitmq]


@dataclass
class Desk:
    """A fresh partition, and buses that connect to it like processes that come and go."""

    connect: Callable[..., MessageBus]
    partition: int = field(default_factory=lambda: next(_partitions))
    opened: list[MessageBus] = field(default_factory=list)

    def open(self, **options) -> MessageBus:
        self.opened.append(self.connect(**options))
        return self.opened[-1]

    @property
    def sources(self) -> list[tuple[Stream, int]]:
        return [(DATA, self.partition)]


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.__name__)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    desk = Desk(request.param(request))
    yield desk
    for bus in desk.opened:
        await bus.close()


def tick(number: int) -> Tick:
    return Tick(message_id=f"m{number}", correlation_id="c", occurred_at=NOW)


async def publish(bus: MessageBus, desk: Desk, *numbers: int, sequenced: bool = False) -> None:
    for number in numbers:
        sequence = number if sequenced else None
        await bus.publish(DATA, desk.partition, tick(number), sequence=sequence)


async def take(bus: MessageBus, desk: Desk, group="g", consumer="a", **options) -> list[Delivery]:
    options = {"wait_ms": 0, **options}
    return await bus.consume(group, consumer, desk.sources, **options)


def data(*numbers: int) -> list[bytes]:
    return [encode(tick(number)) for number in numbers]


async def test_messages_come_in_order_and_whole(desk: Desk) -> None:
    bus = desk.open()
    await publish(bus, desk, *range(50))
    deliveries = await take(bus, desk)
    assert [d.data for d in deliveries] == data(*range(50))
    assert {(d.stream, d.partition, d.attempts) for d in deliveries} == {(DATA, desk.partition, 1)}
    positions = [parse(d.position) for d in deliveries]
    assert positions == sorted(set(positions))


async def test_a_group_begins_at_the_first_message_though_it_came_later(desk: Desk) -> None:
    bus = desk.open()
    await publish(bus, desk, 1, 2)
    assert await bus.backlog("g", DATA, desk.partition) == Backlog(lag=2, pending=0)
    assert [d.data for d in await take(bus, desk)] == data(1, 2)


async def test_what_was_not_acknowledged_comes_again_to_a_restarted_consumer(desk: Desk) -> None:
    first = desk.open()
    await publish(first, desk, 1, 2, 3)
    deliveries = await take(first, desk)
    await first.acknowledge("g", deliveries[:1])
    await first.close()
    second = desk.open()
    await publish(second, desk, 4)
    again = await take(second, desk)
    assert [(d.data, d.attempts) for d in again] == [(data(2)[0], 2), (data(3)[0], 2)]
    assert [(d.data, d.attempts) for d in await take(second, desk)] == [(data(4)[0], 1)]
    await second.close()
    third = desk.open()
    assert [d.attempts for d in await take(third, desk)] == [3, 3, 2]


async def test_unfinished_work_longer_than_a_batch_comes_in_pages_before_new(desk: Desk) -> None:
    bus = desk.open()
    await publish(bus, desk, *range(7))
    await take(bus, desk)
    await bus.close()
    restarted = desk.open()
    await publish(restarted, desk, 7, 8)
    pages = [await take(restarted, desk, limit=3) for _ in range(5)]
    assert [d.data for page in pages for d in page] == data(*range(9))
    assert all(len(page) <= 3 for page in pages)


async def test_nothing_comes_twice_to_a_running_consumer(desk: Desk) -> None:
    bus = desk.open()
    await publish(bus, desk, 1)
    assert len(await take(bus, desk)) == 1
    assert await take(bus, desk) == []
    assert await bus.backlog("g", DATA, desk.partition) == Backlog(lag=0, pending=1)


async def test_a_dead_consumers_work_is_taken_over(desk: Desk) -> None:
    dead, heir = desk.open(), desk.open(redeliver_after_ms=0)
    await publish(dead, desk, 1, 2)
    await take(dead, desk, consumer="dead")
    await dead.close()
    taken = await take(heir, desk, consumer="heir")
    assert [(d.data, d.attempts) for d in taken] == [(m, 2) for m in data(1, 2)]
    await heir.acknowledge("g", taken)
    assert (await heir.backlog("g", DATA, desk.partition)).total == 0


async def test_two_consumers_of_a_group_never_hold_the_same_message(desk: Desk) -> None:
    """A bus may serve one at a time, so that the other gets its share only when the first ends."""
    one, other = desk.open(), desk.open()
    await publish(one, desk, *range(10))
    first = await take(one, desk, limit=4)
    beside = await take(other, desk, consumer="b", limit=100)
    await one.acknowledge("g", first)
    await one.close()
    rest = await take(other, desk, consumer="b", limit=100, wait_ms=0 if beside else 10_000)
    assert [d.data for d in first] == data(*range(4))
    assert [(d.data, d.attempts) for d in beside + rest] == [(m, 1) for m in data(*range(4, 10))]


async def test_two_groups_each_get_everything(desk: Desk) -> None:
    bus = desk.open()
    await publish(bus, desk, 1, 2)
    deliveries = await take(bus, desk, group="g")
    await bus.acknowledge("g", deliveries)
    assert [d.data for d in await take(bus, desk, group="h")] == data(1, 2)
    assert (await bus.backlog("g", DATA, desk.partition)).total == 0
    assert await bus.backlog("h", DATA, desk.partition) == Backlog(lag=0, pending=2)


async def test_a_sequence_is_published_once(desk: Desk) -> None:
    bus = desk.open()
    await publish(bus, desk, 1, 2, 3, sequenced=True)
    await publish(desk.open(), desk, 2, 3, 4, sequenced=True)
    deliveries = await take(bus, desk)
    assert [d.data for d in deliveries] == data(1, 2, 3, 4)
    assert [d.position for d in deliveries] == ["1-0", "2-0", "3-0", "4-0"]


async def test_raw_bytes_go_between_two_sequences(desk: Desk) -> None:
    bus = desk.open()
    await publish(bus, desk, 1, sequenced=True)
    await bus.publish_raw(DATA, desk.partition, b"x")
    await bus.publish_raw(DATA, desk.partition, b"y")
    await publish(bus, desk, 2, sequenced=True)
    first, second = data(1, 2)
    assert [d.data for d in await take(bus, desk)] == [first, b"x", b"y", second]


async def test_a_sequence_can_not_follow_the_buss_own_numbers(desk: Desk) -> None:
    bus = desk.open()
    await publish(bus, desk, 1)
    with pytest.raises(InvalidValue, match="without a sequence"):
        await publish(bus, desk, 2, sequenced=True)
    with pytest.raises(InvalidValue, match="not a sequence number"):
        await publish(bus, desk, 0, sequenced=True)


async def test_who_keeps_its_own_positions_misses_nothing_that_another_took(desk: Desk) -> None:
    writer, zombie, successor = desk.open(), desk.open(), desk.open()
    await publish(writer, desk, *range(5))
    first = await take(zombie, desk, after={}, limit=2)
    recorded = {desk.sources[0]: first[-1].position}
    stolen = await take(zombie, desk, after={})
    assert [d.data for d in stolen] == data(2, 3, 4)
    rest = await take(successor, desk, after=recorded)
    assert [d.data for d in rest] == data(2, 3, 4)
    await publish(writer, desk, 5)
    assert [d.data for d in await take(successor, desk, after=recorded)] == data(5)
    assert (await successor.backlog("g", *desk.sources[0])).total == 4


async def test_the_backlog_of_who_keeps_its_own_positions_never_grows_back(desk: Desk) -> None:
    writer, zombie, successor = desk.open(), desk.open(), desk.open()
    await publish(writer, desk, *range(5))
    first = await take(zombie, desk, after={}, limit=2)
    everything = await take(successor, desk, after={})
    await successor.acknowledge("g", everything)
    await zombie.acknowledge("g", first)
    await take(desk.open(), desk, after={desk.sources[0]: first[-1].position})
    backlog = await writer.backlog("g", *desk.sources[0])
    assert (backlog.lag, backlog.pending) == (0, 0)


async def test_who_keeps_its_own_positions_reads_on_after_a_change_of_mind(desk: Desk) -> None:
    """A group that an earlier release read by its own cursor goes on from the record."""
    bus, later = desk.open(), desk.open()
    await publish(bus, desk, *range(5))
    taken = await take(bus, desk)
    again = await take(later, desk, after={desk.sources[0]: taken[1].position})
    assert [d.data for d in again] == data(2, 3, 4)
    backlog = await bus.backlog("g", *desk.sources[0])
    assert (backlog.lag, backlog.pending) == (3, 0)


async def test_the_backlog_counts_waiting_and_unfinished(desk: Desk) -> None:
    bus = desk.open()
    assert await bus.backlog("g", DATA, desk.partition) == Backlog(lag=0, pending=0)
    await publish(bus, desk, *range(1, 6), sequenced=True)
    deliveries = await take(bus, desk, limit=2)
    assert await bus.backlog("g", DATA, desk.partition) == Backlog(lag=3, pending=2)
    await bus.acknowledge("g", deliveries)
    await bus.acknowledge("g", deliveries)
    await bus.acknowledge("g", [])
    assert await bus.backlog("g", DATA, desk.partition) == Backlog(lag=3, pending=0)


async def test_a_limit_holds_over_several_partitions(desk: Desk) -> None:
    bus, other = desk.open(), Desk(desk.connect)
    await publish(bus, desk, 1, 2, 3)
    await publish(bus, other, 4, 5, 6)
    sources = desk.sources + other.sources
    batches = [await bus.consume("g", "a", sources, limit=2, wait_ms=0) for _ in range(4)]
    assert [len(batch) for batch in batches] == [2, 2, 2, 0]
    everything = [d.data for batch in batches for d in batch]
    assert sorted(everything) == data(1, 2, 3, 4, 5, 6)


async def test_reading_without_a_group_leaves_no_trace(desk: Desk) -> None:
    bus = desk.open()
    assert await bus.read(DATA, desk.partition) == []
    await publish(bus, desk, *range(5))
    first = await bus.read(DATA, desk.partition, limit=2)
    rest = await bus.read(DATA, desk.partition, after=first[-1].position)
    assert [d.data for d in first + rest] == data(*range(5))
    assert await bus.read(DATA, desk.partition, after=rest[-1].position) == []
    assert await bus.backlog("g", DATA, desk.partition) == Backlog(lag=5, pending=0)


async def test_a_message_wakes_those_who_wait(desk: Desk) -> None:
    bus = desk.open()
    await take(bus, desk)
    reader = asyncio.create_task(bus.read(DATA, desk.partition, wait_ms=30_000))
    consumer = asyncio.create_task(take(bus, desk, wait_ms=30_000))
    await publish(desk.open(), desk, 1)
    assert [d.data for d in await reader] == data(1)
    assert [d.data for d in await consumer] == data(1)


async def test_waiting_ends_empty_handed(desk: Desk) -> None:
    bus = desk.open()
    assert await take(bus, desk, wait_ms=20) == []
    assert await bus.read(DATA, desk.partition, wait_ms=20) == []


async def test_a_cancelled_wait_loses_nothing_and_keeps_the_order(desk: Desk) -> None:
    bus = desk.open()
    received: list[bytes] = []
    for number in range(20):
        waiting = asyncio.create_task(take(bus, desk, wait_ms=30_000))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        await publish(desk.opened[0], desk, number)
        waiting.cancel()
        try:
            deliveries = await waiting
        except asyncio.CancelledError:
            deliveries = []
        received += [d.data for d in deliveries]
        await bus.acknowledge("g", deliveries)
    # The read that was cancelled last may still be on its way: a server under load takes its time.
    while len(received) < 20 and (deliveries := await take(bus, desk, wait_ms=5_000)):
        received += [d.data for d in deliveries]
        await bus.acknowledge("g", deliveries)
    assert received == data(*range(20))
    assert await take(bus, desk) == []


async def test_a_large_message_comes_whole(desk: Desk) -> None:
    bus = desk.open()
    large = bytes(range(256)) * 40_000
    await bus.publish_raw(DATA, desk.partition, large)
    assert [d.data for d in await take(bus, desk)] == [large]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(garbage=st.lists(st.binary(max_size=200), max_size=5))
async def test_any_bytes_come_as_they_went(desk: Desk, garbage: list[bytes]) -> None:
    bus, fresh = desk.open(), Desk(desk.connect)
    for item in garbage:
        await bus.publish_raw(DATA, fresh.partition, item)
    assert [d.data for d in await take(bus, fresh)] == garbage


async def publish_many(bus: MessageBus, desk: Desk, *numbers: int, begins: bool = False) -> None:
    messages = [tick(number) for number in numbers]
    await bus.publish_many(DATA, desk.partition, messages, first_sequence=numbers[0], begins=begins)


async def test_an_outbox_of_thousands_comes_whole(desk: Desk) -> None:
    bus = desk.open()
    await publish_many(bus, desk, *range(1, 2_502))
    found = []
    while deliveries := await take(bus, desk, limit=3_000):
        found += [d.data for d in deliveries]
    assert found == data(*range(1, 2_502))
    assert await bus.latest(DATA, desk.partition) == "2501-0"


async def test_what_the_bus_lost_before_is_noticed_when_publishing(desk: Desk) -> None:
    bus = desk.open()
    assert await bus.latest(DATA, desk.partition) == ""
    with pytest.raises(MessagesLost):
        await publish_many(bus, desk, 5, 6)
    assert await take(bus, desk) == []
    await publish_many(bus, desk, 3, 4, begins=True)
    await publish_many(bus, desk, 5, 6)
    assert [d.data for d in await take(bus, desk)] == data(3, 4, 5, 6)


async def test_a_sequence_can_not_follow_the_buss_own_numbers_by_many(desk: Desk) -> None:
    bus = desk.open()
    await publish(bus, desk, 1)
    with pytest.raises(InvalidValue, match="without a sequence"):
        await publish_many(bus, desk, 1, 2)
    assert len(await take(bus, desk)) == 1


async def test_only_what_those_who_need_it_have_finished_is_trimmed(desk: Desk) -> None:
    bus = desk.open()
    source = desk.sources[0]
    await publish_many(bus, desk, *range(1, 9))
    assert await bus.trim(*source, needed_by=["g", "h"], keep=0) == 0
    first = await take(bus, desk, group="g", limit=6)
    assert await bus.trim(*source, needed_by=["g", "h"], keep=0) == 0
    await bus.acknowledge("h", await take(bus, desk, group="h", limit=4))
    await bus.acknowledge("g", first[:2])
    assert await bus.trim(*source, needed_by=["h"], keep=6) <= 2
    await bus.trim(*source, needed_by=["g", "h"], keep=0)
    kept = [d.data for d in await bus.read(*source)]
    assert kept[-6:] == data(*range(3, 9))
    await bus.acknowledge("g", first)
    assert [d.data for d in await take(bus, desk, group="h")] == data(*range(5, 9))
    assert [d.data for d in await take(bus, desk, group="g")] == data(7, 8)


async def test_what_is_trimmed_was_finished_and_the_newest_stay(desk: Desk) -> None:
    bus = desk.open()
    source = desk.sources[0]
    trimmed = 0
    for start in range(1, 401, 10):
        await publish_many(bus, desk, *range(start, start + 10))
        await bus.acknowledge("g", await take(bus, desk))
        trimmed += await bus.trim(*source, needed_by=["g"], keep=25)
        kept = [d.data for d in await bus.read(*source, limit=1_000)]
        assert kept == data(*range(trimmed + 1, start + 10))
        assert len(kept) >= min(25, start + 9)
    assert len(kept) < 60 or not trimmed  # a server may see to it by itself
    assert await bus.latest(*source) == "400-0"
    assert await bus.backlog("g", *source) == Backlog(lag=0, pending=0)


async def test_a_group_that_has_to_be_made_begins_where_it_is_told(desk: Desk) -> None:
    bus = desk.open()
    await publish_many(bus, desk, 1, 2, 3, 4)
    after = {desk.sources[0]: "2-0"}
    assert [d.data for d in await take(bus, desk, after=after)] == data(3, 4)
