"""What the bus lost is published again, once; on real servers under load too."""

import asyncio
from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from adapters.bus import RedisBus
from adapters.bus.memory import MemoryBroker, MemoryBus
from adapters.ledger import PostgresLedger
from adapters.ledger.memory import MemoryLedger
from domain.ports.ledger import Commit, Log, Offset
from domain.streams import Stream
from tests.consensus.processing import (
    SOURCE,
    Recording,
    finished,
    message,
    processing,
    published,
    recorded,
)

DECISIONS = (Stream.DECISIONS, 0)


class Gateway(Recording):
    """Takes decisions in on record, and publishes nothing."""

    log: str = Log.ORDERS

    async def handle(self, batch):
        effects = await super().handle(batch)
        return effects.__class__(events=effects.events)


async def send(bus, *names):
    for name in names:
        await bus.publish(*SOURCE, message(name))


@pytest.fixture
def broker():
    return MemoryBroker()


async def downstream_has(ledger, sequence):
    """Record that a gateway took in decisions up to a sequence."""
    lease = await ledger.acquire(Log.ORDERS, 0)
    offset = Offset(stream=Stream.DECISIONS, partition=0, position=f"{sequence}-0")
    await ledger.commit(lease, Commit(expected_sequence=lease.sequence, offsets=(offset,)))
    await ledger.release(lease)


async def run(broker, ledger, *names):
    bus = MemoryBus(broker)
    await send(bus, *names)
    async with processing(bus, ledger, Recording()):
        await finished(bus)


async def test_a_start_publishes_again_what_downstream_has_not_got(broker):
    ledger = MemoryLedger()
    await run(broker, ledger, "a", "b", "c", "d")
    await downstream_has(ledger, 2)
    broker.lose_everything()
    await run(broker, ledger)
    assert await published(MemoryBus(broker)) == ["c", "d"]


async def test_where_downstream_has_everything_the_stream_just_goes_on(broker):
    ledger = MemoryLedger()
    await run(broker, ledger, "a", "b")
    await downstream_has(ledger, 2)
    broker.lose_everything()
    await run(broker, ledger, "c")
    assert await published(MemoryBus(broker)) == ["c"]
    assert await MemoryBus(broker).latest(*DECISIONS) == "3-0"


async def test_without_a_consumer_on_record_all_is_published_again(broker):
    ledger = MemoryLedger()
    await run(broker, ledger, "a", "b")
    broker.lose_everything()
    await run(broker, ledger)
    assert await published(MemoryBus(broker)) == ["a", "b"]


async def test_a_loss_while_publishing_is_noticed_by_the_next_message(broker):
    ledger, bus = MemoryLedger(), MemoryBus(broker)
    async with processing(bus, ledger, Recording()) as metrics:
        await send(bus, "a", "b")
        await finished(bus)
        broker.lose_everything()
        await send(bus, "c")
        await finished(bus)
        assert await published(bus) == ["a", "b", "c"]
    labels = {"stream": "decisions"}
    assert metrics.registry.get_sample_value("quorum_messages_republished_total", labels) == 2


class LosingBus(MemoryBus):
    """Loses everything once more as soon as a lost beginning was published again."""

    broker: MemoryBroker
    losses = 0

    async def publish_many(self, *place, first_sequence, **rest):
        await super().publish_many(*place, first_sequence=first_sequence, **rest)
        if self.losses and first_sequence == 1:
            self.losses -= 1
            self.broker.lose_everything()


async def test_a_loss_while_a_loss_is_mended_is_mended_too(broker):
    ledger, bus = MemoryLedger(), LosingBus(broker)
    bus.broker = broker
    async with processing(bus, ledger, Recording()):
        await send(bus, "a", "b")
        await finished(bus)
        bus.losses = 2
        broker.lose_everything()
        await send(bus, "c")
        await finished(bus)
        assert await published(bus) == ["a", "b", "c"]


async def test_a_loss_while_nothing_happens_is_noticed_by_looking(broker):
    ledger, bus = MemoryLedger(), MemoryBus(broker)
    async with processing(bus, ledger, Recording()):
        await send(bus, "a", "b")
        await finished(bus)
        broker.lose_everything()
        while await published(bus) != ["a", "b"]:  # noqa: ASYNC110 - the bus tells nobody
            await asyncio.sleep(0)


class LateMark(MemoryLedger):
    """The writer before writes down what it published last after its successor has asked."""

    late = ()

    async def mark_published(self, lease, items):  # noqa: ARG002 - the port's
        self.late = items  # held up on its way

    async def outbox_heads(self, *place):
        heads = await super().outbox_heads(*place)
        self._mark(self.late)
        return heads


async def test_what_the_writer_before_marked_late_is_published_again_too(broker):
    ledger, bus = LateMark(), MemoryBus(broker)
    await run(broker, ledger, "a", "b")
    assert [item.sequence for item in ledger.late] == [2]
    await downstream_has(ledger, 1)
    async with processing(bus, ledger, Recording()):
        await send(bus, "quiet")
        await finished(bus)  # it has resumed
        broker.lose_everything()
        await send(bus, "c")
        await finished(bus)
        assert await published(bus) == ["b", "c"]


async def test_a_server_that_came_back_with_an_old_file_gets_the_rest(broker):
    ledger, bus = MemoryLedger(), MemoryBus(broker)
    await run(broker, ledger, "a", "b", "c")
    state = broker.partition(DECISIONS)
    del state.messages[1:]
    state.latest = (1, 0)
    await run(broker, ledger)
    assert await published(bus) == ["a", "b", "c"]


@pytest.mark.timeout(120)
async def test_a_flushed_server_under_load_loses_and_doubles_no_decision(servers, ledger_url):
    """Decisions reach the gateway's record once each though Redis forgets all, again and again."""
    async with AsyncExitStack() as stack:

        def bus() -> RedisBus:
            opened = RedisBus(servers.bus_url)
            stack.push_async_callback(opened.close)
            return opened

        def ledger() -> PostgresLedger:
            opened = PostgresLedger(ledger_url)
            stack.push_async_callback(opened.close)
            return opened

        server = await stack.enter_async_context(redis.asyncio.from_url(servers.bus_url))
        await server.flushall()
        desk, reading = bus(), ledger()
        options = {"group": "gateway", "sources": [DECISIONS]}
        await stack.enter_async_context(processing(bus(), ledger(), Recording()))
        await stack.enter_async_context(processing(bus(), ledger(), Gateway(), **options))
        for number in range(0, 400, 20):
            await send(desk, *(f"m{n}" for n in range(number, number + 20)))
            if number % 40:  # else some are lost before anybody took them in
                await finished(desk)
            await server.flushall()
        await finished(desk)
        decided = await recorded(reading)
        while len(taken := await reading.events(Log.ORDERS, 0, limit=10_000)) < len(decided):
            decided = await recorded(reading)
    assert [e.message.message_id for e in taken] == decided
    assert len(decided) > 100
