"""RabbitMQ instead of Valkey: the same messages over both buses, in turn, in one run."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from benchmarks.consensus_process import consensus_running, opened
from benchmarks.decision_latency import Decisions
from benchmarks.measure import Row, alternately_async, median, percentile, run
from domain.ports.bus import MessageBus
from domain.settings import Settings
from domain.streams import Stream
from tests.builders import votes
from tests.rabbitmq_server import rabbitmq_running

_HOPS, _DECISIONS, _WARM_UP = 300, 100, 20
_BATCH, _BATCHES = 500, 10

Measurement = Callable[[], Awaitable[float]]


def measure() -> list[Row]:
    with ExitStack() as servers:
        address = servers.enter_context(rabbitmq_running()).url
        ours = servers.enter_context(consensus_running(bus_url=address))
        theirs = servers.enter_context(consensus_running())
        return asyncio.run(_measure(ours, theirs))


async def _measure(ours: Settings, theirs: Settings) -> list[Row]:
    async with opened(ours) as rabbitmq, opened(theirs) as valkey:
        both = [_Desk(rabbitmq), _Desk(valkey)]
        heard = await _in_turn([desk.read_one for desk in both], _HOPS)
        handled = await _in_turn([desk.consume_one for desk in both], _HOPS)
        published = await _in_turn([desk.publish_batch for desk in both], _BATCHES)
        consumed = await _in_turn([desk.consume_batch for desk in both], _BATCHES)
        decided = await _in_turn([Decisions(bus).one for bus in (rabbitmq, valkey)], _DECISIONS)
    return [
        *_latencies("publish → heard by a reader", heard),
        *_latencies("publish → handled by a group and acknowledged", handled),
        *_latencies("proposal → decision heard", decided),
        _throughput("published from an outbox, confirmed", published),
        _throughput("consumed by a group and acknowledged", consumed),
    ]


async def _in_turn(measurements: list[Measurement], rounds: int) -> list[list[float]]:
    named = dict(zip(("ours", "theirs"), measurements, strict=True))
    found = await alternately_async(named, rounds + _WARM_UP)
    return [values[_WARM_UP:] for values in found.values()]


def _latencies(figure: str, found: list[list[float]]) -> list[Row]:
    shares = (("median", 0.5), ("99th percentile", 0.99))
    return [
        _row(f"{figure}, {name}", "ms", *(1000 * percentile(seconds, share) for seconds in found))
        for name, share in shares
    ]


def _throughput(figure: str, found: list[list[float]]) -> Row:
    return _row(figure, "messages/s", *(_BATCH / median(seconds) for seconds in found))


def _row(figure: str, unit: str, ours: float, theirs: float) -> Row:
    return Row(figure=f"RabbitMQ: {figure}", unit=unit, ours=ours, beside="Valkey", theirs=theirs)


class _Desk:
    """One client that publishes and hears; streams that no service reads."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._position = ""
        self._sequence = 1
        (self._message, *_) = votes("hop")

    async def read_one(self) -> float:
        began = time.perf_counter()
        heard = asyncio.create_task(
            self._bus.read(Stream.ORDERS, 0, after=self._position, wait_ms=10_000)
        )
        await self._bus.publish(Stream.ORDERS, 0, self._message)
        (delivery,) = await heard
        seconds = time.perf_counter() - began
        self._position = delivery.position
        return seconds

    async def consume_one(self) -> float:
        began = time.perf_counter()
        await self._bus.publish(Stream.PORTFOLIO, 0, self._message)
        await self._consume(Stream.PORTFOLIO, 1)
        return time.perf_counter() - began

    async def publish_batch(self) -> float:
        first, self._sequence = self._sequence, self._sequence + _BATCH
        began = time.perf_counter()
        await self._bus.publish_many(
            Stream.EXECUTIONS, 0, [self._message] * _BATCH, first_sequence=first
        )
        return time.perf_counter() - began

    async def consume_batch(self) -> float:
        began = time.perf_counter()
        await self._consume(Stream.EXECUTIONS, _BATCH)
        return time.perf_counter() - began

    async def _consume(self, stream: Stream, count: int) -> None:
        while count > 0:
            deliveries = await self._bus.consume(
                "benchmark", "one", [(stream, 0)], limit=count, wait_ms=10_000
            )
            await self._bus.acknowledge("benchmark", deliveries)
            count -= len(deliveries)


if __name__ == "__main__":
    run(measure)
