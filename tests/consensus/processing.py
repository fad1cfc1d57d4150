"""A small handler, and what runs it, for tests of the processor."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from adapters.metrics import PrometheusMetrics
from consensus.handler import Batch, Effects
from consensus.processor import Processor
from domain.market import Tick
from domain.messages import decode
from domain.ports.bus import MessageBus
from domain.ports.ledger import Ledger, Log, Outgoing
from domain.streams import Stream
from tests.builders import at

SOURCE = (Stream.VOTES, 0)
GROUP = "consensus"


def message(name: str) -> Tick:
    return Tick(message_id=name, correlation_id="c", occurred_at=at(0))


class Recording:
    """Records and publishes every message but those whose names say otherwise.

    ``quiet…`` causes nothing, ``faulty…`` can't be handled.
    """

    log: str = Log.DECISIONS

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.recoveries = 0
        self.before: Callable[[list[str]], None] = lambda _: None

    async def recover(self, ledger: Ledger) -> None:  # noqa: ARG002 - it has no state
        self.recoveries += 1

    async def handle(self, batch: Batch) -> Effects:
        names = [m.message_id for _, m in batch]
        self.batches.append(names)
        self.before(names)
        if any(name.startswith("faulty") for name in names):
            raise ValueError("can't be handled")
        loud = [m for _, m in batch if not m.message_id.startswith("quiet")]
        return Effects(
            inputs=tuple(d for d, _ in batch),
            events=tuple(loud),
            outbox=tuple(Outgoing(stream=Stream.DECISIONS, partition=0, message=m) for m in loud),
        )

    async def committed(self, effects: Effects) -> None:  # noqa: ARG002 - nothing follows
        return None


@asynccontextmanager
async def processing(
    bus: MessageBus, ledger: Ledger, handler: Recording, **options
) -> AsyncIterator[PrometheusMetrics]:
    """Run a processor for the block, and stop it gracefully."""
    metrics, stop = PrometheusMetrics(), asyncio.Event()
    processor = Processor(
        bus,
        ledger,
        handler,
        metrics,
        **{"group": GROUP, "sources": [SOURCE], "wait_ms": 5, **options},
    )
    running = asyncio.create_task(processor.run(stop))
    try:
        yield metrics
    finally:
        stop.set()
        await running


async def finished(bus: MessageBus) -> None:
    while (await bus.backlog(GROUP, *SOURCE)).total:  # noqa: ASYNC110 - the bus tells nobody
        await asyncio.sleep(0)


async def published(bus: MessageBus) -> list[str]:
    deliveries = await bus.read(Stream.DECISIONS, 0, limit=100_000)
    return [decode(d.data).message_id for d in deliveries]


async def recorded(ledger: Ledger) -> list[str]:
    events = await ledger.events(Log.DECISIONS, 0, limit=100_000)
    return [e.message.message_id for e in events]
