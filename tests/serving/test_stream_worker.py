import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest
import structlog

from adapters.bus.memory import MemoryBus
from adapters.metrics import PrometheusMetrics
from domain.errors import EnvironmentProblem
from domain.market import Tick
from domain.messages import decode
from domain.ports.ledger import DeadLetter
from domain.streams import Stream
from serving.stream_worker import StreamWorker

GROUP = "agent.execution"


def tick(number: int) -> Tick:
    return Tick(
        message_id=f"t{number}",
        correlation_id=f"walk{number}",
        occurred_at=datetime(2013, 1, number, tzinfo=UTC),
    )


class Absent(MemoryBus):
    """A bus that is away for a while: the first `failures` calls of each method fail."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.left = dict.fromkeys(("consume", "acknowledge", "read", "publish_raw"), failures)

    def fail(self, method: str) -> None:
        if self.left[method]:
            self.left[method] -= 1
            raise EnvironmentProblem("The bus is away.", next_step="Wait.")

    async def consume(self, *arguments, **named):
        self.fail("consume")
        return await super().consume(*arguments, **named)

    async def acknowledge(self, *arguments):
        self.fail("acknowledge")
        await super().acknowledge(*arguments)

    async def read(self, *arguments, **named):
        self.fail("read")
        return await super().read(*arguments, **named)

    async def publish_raw(self, *arguments):
        self.fail("publish_raw")
        return await super().publish_raw(*arguments)


@asynccontextmanager
async def running(*coroutines):
    tasks = [asyncio.create_task(c) for c in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def drained(eventually):
    """Wait until the group has finished a bus's proposals."""

    async def wait(bus):
        async def done():
            return not (await bus.backlog(GROUP, Stream.PROPOSALS, 0)).total

        await eventually(done)

    return wait


@pytest.fixture
def metrics():
    return PrometheusMetrics()


async def test_a_backlog_is_worked_off_in_order_and_then_what_comes(metrics, drained):
    bus, seen = MemoryBus(), []

    async def handle(message):
        seen.append(message.message_id)

    worker = StreamWorker(bus, metrics)
    for number in (1, 2):
        await bus.publish(Stream.PROPOSALS, 0, tick(number))
    async with running(worker.consume(GROUP, "a", [(Stream.PROPOSALS, 0)], handle)):
        await drained(bus)
        await bus.publish(Stream.PROPOSALS, 0, tick(3))
        await drained(bus)
    assert seen == ["t1", "t2", "t3"]
    labels = {"group": GROUP, "stream": "proposals"}
    assert metrics.registry.get_sample_value("quorum_messages_consumed_total", labels) == 3


async def test_it_acknowledges_only_after_the_work(metrics, drained):
    bus, entered, go_on = MemoryBus(), asyncio.Event(), asyncio.Event()

    async def handle(_):
        entered.set()
        await go_on.wait()

    await bus.publish(Stream.PROPOSALS, 0, tick(1))
    worker = StreamWorker(bus, metrics)
    async with running(worker.consume(GROUP, "a", [(Stream.PROPOSALS, 0)], handle)):
        await asyncio.wait_for(entered.wait(), 10)
        assert (await bus.backlog(GROUP, Stream.PROPOSALS, 0)).pending == 1
        go_on.set()
        await drained(bus)


async def test_bad_bytes_are_buried_and_the_next_message_handled(metrics, drained):
    bus, seen = MemoryBus(), []

    async def handle(message):
        seen.append(message.message_id)

    await bus.publish_raw(Stream.PROPOSALS, 0, b'{"type": "Nonsense"')
    await bus.publish(Stream.PROPOSALS, 0, tick(1))
    worker = StreamWorker(bus, metrics)
    async with running(worker.consume(GROUP, "a", [(Stream.PROPOSALS, 0)], handle)):
        await drained(bus)
    assert seen == ["t1"]
    (delivery,) = await bus.read(Stream.DEAD_LETTERS, 0)
    letter = msgspec.json.decode(delivery.data, type=DeadLetter)
    assert (letter.stream, letter.data, letter.reason, letter.by) == (
        Stream.PROPOSALS,
        b'{"type": "Nonsense"',
        "malformed",
        GROUP,
    )
    assert "truncated" in letter.trace
    labels = {"stream": "proposals", "reason": "malformed"}
    assert metrics.registry.get_sample_value("quorum_messages_refused_total", labels) == 1


async def test_a_fault_is_tried_again_then_buried_with_its_trace(metrics, drained):
    bus, tries, seen = MemoryBus(), [], []

    async def handle(message):
        if message.message_id == "t1":
            tries.append(message.message_id)
            raise ZeroDivisionError("poison")
        seen.append(message.message_id)

    for number in (1, 2):
        await bus.publish(Stream.PROPOSALS, 0, tick(number))
    worker = StreamWorker(bus, metrics)
    async with running(worker.consume(GROUP, "a", [(Stream.PROPOSALS, 0)], handle)):
        await drained(bus)
    assert (len(tries), seen) == (3, ["t2"])
    (delivery,) = await bus.read(Stream.DEAD_LETTERS, 0)
    letter = msgspec.json.decode(delivery.data, type=DeadLetter)
    assert (letter.reason, letter.attempts) == ("fault", 3)
    assert "in handle" in letter.trace
    assert letter.trace.endswith("ZeroDivisionError: poison\n")
    assert decode(letter.data) == tick(1)


async def test_nothing_is_lost_while_the_bus_is_away(metrics, drained):
    bus, seen = Absent(failures=2), []

    async def handle(message):
        assert not worker.trouble
        seen.append(message.message_id)

    await MemoryBus.publish(bus, Stream.PROPOSALS, 0, tick(1))
    await MemoryBus.publish_raw(bus, Stream.PROPOSALS, 0, b"bad")
    worker = StreamWorker(bus, metrics)
    async with running(worker.consume(GROUP, "a", [(Stream.PROPOSALS, 0)], handle)):
        await drained(bus)
    assert seen == ["t1"]
    assert len(await MemoryBus.read(bus, Stream.DEAD_LETTERS, 0)) == 1


async def test_it_tells_that_the_bus_is_away(metrics, eventually):
    worker = StreamWorker(Absent(failures=1_000_000), metrics)

    async def handle(_):
        raise AssertionError

    async with running(worker.consume(GROUP, "a", [(Stream.PROPOSALS, 0)], handle)):

        async def told():
            return worker.trouble

        await eventually(told)
    assert worker.trouble == "The bus is away."


async def test_a_publication_that_fails_is_made_again_with_the_message_in_hand(metrics, drained):
    bus, tries = MemoryBus(), []

    async def handle(_):
        tries.append(1)
        if len(tries) < 5:
            raise EnvironmentProblem("The bus is away.", next_step="Wait.")

    await bus.publish(Stream.PROPOSALS, 0, tick(1))
    worker = StreamWorker(bus, metrics)
    async with running(worker.consume(GROUP, "a", [(Stream.PROPOSALS, 0)], handle)):
        await drained(bus)
    assert len(tries) == 5
    assert not await bus.read(Stream.DEAD_LETTERS, 0)


async def test_following_starts_at_the_beginning_and_says_when_it_caught_up(metrics, eventually):
    bus, seen, caught_up = Absent(failures=1), [], asyncio.Event()

    async def handle(message):
        assert message.message_id == "t3" or not caught_up.is_set()
        if message.message_id == "t2":
            raise ZeroDivisionError("passed over")
        seen.append(message.message_id)

    for number in (1, 2):
        await bus.publish(Stream.MARKET, 0, tick(number))
    await MemoryBus.publish_raw(bus, Stream.MARKET, 0, b"bad")
    worker = StreamWorker(bus, metrics)
    async with running(worker.follow(Stream.MARKET, 0, handle, caught_up)):
        await asyncio.wait_for(caught_up.wait(), 20)
        assert seen == ["t1"]
        await bus.publish(Stream.MARKET, 0, tick(3))

        async def followed():
            return seen == ["t1", "t3"]

        await eventually(followed)
    assert not await bus.read(Stream.DEAD_LETTERS, 0)


async def test_the_ids_of_the_walk_are_in_the_log_lines_of_the_work(metrics, drained):
    bus, bound = MemoryBus(), []

    async def handle(_):
        bound.append(structlog.contextvars.get_contextvars())

    await bus.publish(Stream.PROPOSALS, 0, tick(1))
    worker = StreamWorker(bus, metrics)
    async with running(worker.consume(GROUP, "a", [(Stream.PROPOSALS, 0)], handle)):
        await drained(bus)
    assert bound == [{"correlation_id": "walk1", "message_id": "t1"}]


async def test_lag_is_summed_over_partitions(metrics):
    bus = MemoryBus()
    await bus.publish(Stream.PROPOSALS, 0, tick(1))
    await bus.publish(Stream.PROPOSALS, 1, tick(2))
    groups = [(GROUP, Stream.PROPOSALS, partition) for partition in (0, 1)]
    await StreamWorker(bus, metrics).observe_lag(groups)
    labels = {"group": GROUP, "stream": "proposals"}
    assert metrics.registry.get_sample_value("quorum_stream_lag_messages", labels) == 2
