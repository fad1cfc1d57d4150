"""Streams stay in bounds under load, and nothing that is not on record is trimmed."""

import asyncio

import pytest

from adapters.bus import RedisBus
from adapters.bus.memory import MemoryBus
from adapters.ledger.memory import MemoryLedger
from adapters.metrics import PrometheusMetrics
from consensus.housekeeping import Housekeeping
from domain.errors import EnvironmentProblem
from domain.ports.ledger import Log
from tests.consensus.processing import (
    GROUP,
    SOURCE,
    Recording,
    finished,
    message,
    processing,
)

KEEP, BOUND = 50, 200


def keeper(bus):
    metrics = PrometheusMetrics()
    return metrics, Housekeeping(
        bus, metrics, group=GROUP, sources=[SOURCE], trims=[SOURCE], keep=KEEP
    )


@pytest.fixture(params=["memory", "valkey"])
async def bus(request):
    if request.param == "memory":
        yield MemoryBus()
        return
    opened = RedisBus(request.getfixturevalue("servers").bus_url, maximum_messages=BOUND)
    await opened._call(lambda: opened._send(("FLUSHALL",)))
    yield opened
    await opened.close()


async def test_under_load_a_stream_stays_short_and_everything_is_recorded(bus):
    ledger, longest = MemoryLedger(), 0
    metrics, housekeeping = keeper(bus)
    async with processing(bus, ledger, Recording()):
        for start in range(0, 1_000, 20):
            await asyncio.gather(
                *(bus.publish(*SOURCE, message(f"quiet{n}")) for n in range(start, start + 20))
            )
            await finished(bus)
            await housekeeping.trim()
            longest = max(longest, len(await bus.read(*SOURCE, limit=10_000)))
        await housekeeping.observe()
    inputs = await ledger.inputs(Log.DECISIONS, 0, limit=10_000)
    assert len({entry.data for entry in inputs}) == len(inputs) == 1_000
    assert KEEP <= longest <= BOUND
    labels = {"group": GROUP, "stream": "votes"}
    assert metrics.registry.get_sample_value("quorum_stream_lag_messages", labels) == 0
    assert metrics.registry.get_sample_value("quorum_stream_pending_messages", labels) == 0


async def test_what_waits_and_what_is_in_hand_is_shown(bus):
    metrics, housekeeping = keeper(bus)

    async def shown() -> tuple[float | None, ...]:
        await housekeeping.observe()
        labels = {"group": GROUP, "stream": "votes"}
        return tuple(
            metrics.registry.get_sample_value(f"quorum_stream_{name}_messages", labels)
            for name in ("depth", "pending", "lag")
        )

    for number in range(5):
        await bus.publish(*SOURCE, message(f"quiet{number}"))
    assert await shown() == (5, 0, 5)
    taken = await bus.consume(GROUP, "consensus-0", [SOURCE], limit=3, wait_ms=0)
    assert await shown() == (2, 3, 5)
    await bus.acknowledge(GROUP, taken[:2])
    assert await shown() == (2, 1, 3)


async def test_what_is_not_on_record_is_never_trimmed(bus):
    _, housekeeping = keeper(bus)
    ledger = MemoryLedger()
    for number in range(150):
        await bus.publish(*SOURCE, message(f"quiet{number}"))
        await housekeeping.trim()
    assert len(await bus.read(*SOURCE, limit=1_000)) == 150  # no group yet
    await bus.consume(GROUP, "consensus-0", [SOURCE], limit=100, wait_ms=0)
    await housekeeping.trim()
    assert len(await bus.read(*SOURCE, limit=1_000)) == 150  # delivered, not acknowledged
    async with processing(bus, ledger, Recording()):
        pass
    await housekeeping.trim()
    recorded = {entry.data for entry in await ledger.inputs(Log.DECISIONS, 0)}
    kept = {delivery.data for delivery in await bus.read(*SOURCE, limit=1_000)}
    assert len(recorded | kept) == 150


async def test_a_full_stream_holds_its_publishers_until_it_is_consumed(servers):
    publisher, consumer = (
        RedisBus(servers.bus_url, maximum_messages=10, patience_seconds=patience)
        for patience in (0.1, 15)
    )
    await publisher._call(lambda: publisher._send(("FLUSHALL",)))
    for number in range(10):
        await publisher.publish(*SOURCE, message(f"m{number}"))
    with pytest.raises(EnvironmentProblem, match="is full"):
        await publisher.publish(*SOURCE, message("too many"))
    deliveries = await consumer.consume(GROUP, "a", [SOURCE], wait_ms=0)
    await consumer.acknowledge(GROUP, deliveries)
    await consumer.trim(*SOURCE, needed_by=[GROUP], keep=0)
    await publisher.publish(*SOURCE, message("there is room"))
    assert len(await consumer.read(*SOURCE)) == 1
    await publisher.close()
    await consumer.close()
