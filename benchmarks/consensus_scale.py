"""What a second worker brings: the same two partitions decided by one process, and by two.

On a machine whose cores the servers and the load share with the workers the rate alone can't tell:
it stands still when the machine is full. So the CPU time that the workers spend a proposal is told
beside it. Workers that share nothing spend the same with one and with two, and then two decide
twice as much wherever each has a core; waits of one session for another's lock are looked for.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median

import psycopg

from adapters.bus.redis_address import RedisAddress
from adapters.bus.redis_connection import RedisConnection, open_connection
from adapters.keys import KeyFolder
from benchmarks.consensus_process import opened
from benchmarks.consensus_sustained import _cpu_seconds, _template
from benchmarks.measure import Row, run
from domain.messages import Value, encode
from domain.ports.bus import MessageBus
from domain.producers import Producer
from domain.seals import seal
from domain.settings import Settings
from domain.streams import Stream, partition_of
from tests.builders import at, proposal, votes
from tests.faults.plane import Plane, plane

_SECONDS = 8.0
_WARM_UP = 2_000
_ROUNDS = 3
_IN_FLIGHT, _TOGETHER = 4_000, 100
_A_SECOND = 5_000  # of the messages' own time
_WORKERS: Mapping[int, Mapping[str, tuple[int, ...]]] = {
    1: {"consensus-a": (0, 1)},
    2: {"consensus-a": (0,), "consensus-b": (1,)},
}
_PARTITIONS = (0, 1)
_SOURCES = [(Stream.DECISIONS, partition) for partition in _PARTITIONS]
_GOAL = 1.7
_LOOK_SECONDS = 0.02


class _Measured(Value, frozen=True, kw_only=True):
    """One run: proposals a second, CPU seconds a proposal, share of looks that saw a lock wait."""

    rate: float
    costs: dict[str, float]
    waiting: float


def measure() -> list[Row]:
    runs: dict[int, list[_Measured]] = {number: [] for number in _WORKERS}
    with plane() as running:
        running.settings = running.settings.model_copy(update={"clock": "event"})
        for turn in range(_ROUNDS):
            for number, owned in _WORKERS.items():
                with _working(running, owned):
                    name = f"{turn}-{number}"
                    runs[number].append(asyncio.run(_measured(running.settings, name)))
    one, two = runs[1], runs[2]
    rates = [median(r.rate for r in some) for some in (one, two)]
    spent = [median(r.costs["consensus"] for r in some) for some in (one, two)]
    return [
        _row("proposals decided durably, two workers", "proposals/s", rates[1], rates[0]),
        *(
            _row(
                f"CPU of a proposal, {part}, two workers",
                "µs",
                *(1e6 * median(r.costs[part] for r in some) for some in (two, one)),
            )
            for part in one[0].costs
        ),
        Row(
            figure="what two workers decide with a core each, by their CPU, over what one does",
            unit="times",
            ours=2 * spent[0] / spent[1],
            beside="the goal, where cores allow",
            theirs=_GOAL,
        ),
        _row(
            "looks that saw a session wait for another's lock, two workers",
            "share",
            *(median(r.waiting for r in some) for some in (two, one)),
        ),
    ]


def _row(figure: str, unit: str, ours: float, theirs: float) -> Row:
    return Row(figure=figure, unit=unit, ours=ours, beside="one worker", theirs=theirs)


@contextmanager
def _working(running: Plane, owned: Mapping[str, tuple[int, ...]]) -> Iterator[None]:
    """Run workers for the block, each with its own partitions."""
    for name, own in owned.items():
        settings = running.settings
        consensus = settings.consensus.model_copy(update={"own_partitions": own})
        running.start(name, settings=settings.model_copy(update={"consensus": consensus}))
    while not all(running.ready(name) for name in owned):
        time.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        for name in owned:
            running.end(name)


async def _measured(settings: Settings, name: str) -> _Measured:
    connection = await open_connection(RedisAddress.of(settings.bus_url))
    async with opened(settings) as bus:
        load = _Load(connection, bus, KeyFolder.of(settings), name)
        await load.begin()
        await load.until(lambda: load.heard >= _WARM_UP)
        with _looking_for_waits(settings) as seen:
            spent, heard, began = _cpu_seconds(settings.home), load.heard, time.perf_counter()
            await load.until(lambda: time.perf_counter() >= began + _SECONDS)
            decided, seconds = load.heard - heard, time.perf_counter() - began
            after = _cpu_seconds(settings.home)
        await load.until(lambda: load.heard == load.sent, publishing=False)
    await connection.end()
    return _Measured(
        rate=decided / seconds,
        costs={part: (after[part] - before) / decided for part, before in spent.items()},
        waiting=sum(seen) / len(seen),
    )


@contextmanager
def _looking_for_waits(settings: Settings) -> Iterator[list[bool]]:
    """Look at the database's sessions during the block; whether one waited, for every look."""
    url = settings.ledger_url.get_secret_value().replace("+psycopg", "", 1)
    done, seen = threading.Event(), list[bool]()

    def look() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not done.wait(_LOOK_SECONDS):
                waiting = connection.execute(
                    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')"
                ).fetchone()
                seen.append(waiting == (True,))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        done.set()
        looking.join()


class _Load:
    """Publishes to both partitions and listens to both, never more than some in flight."""

    def __init__(
        self, connection: RedisConnection, bus: MessageBus, keys: KeyFolder, name: str
    ) -> None:
        self._connection = connection
        self._bus = bus
        self._name = name.encode()
        self.sent = self.heard = 0
        self._after: dict[tuple[Stream, int], str] = {}
        self._messages: list[tuple[str, bytes, bytes]] = []
        for partition in _PARTITIONS:
            symbol = next(s for s in _symbols() if partition_of(s, len(_PARTITIONS)) == partition)
            asked = proposal("template", symbol=symbol)
            self._messages += [
                (f"quorum:{stream}:{partition}", keys.own(producer), _template(data, asked, said))
                for stream, producer, said in (
                    (Stream.PROPOSALS, Producer.MARKET_ANALYST, asked),
                    *(
                        (Stream.VOTES, Producer(v.agent_id), v)
                        for v in votes("template", symbol=symbol)
                    ),
                )
                if (data := encode(said))
            ]

    async def begin(self) -> None:
        """Listen behind what was decided before."""
        for source in _SOURCES:
            if latest := await self._bus.latest(*source):
                self._after[source] = latest

    async def until(self, done: Callable[[], bool], *, publishing: bool = True) -> None:
        while not done():
            if publishing and self.sent - self.heard < _IN_FLIGHT:
                await self._publish()
                await self._hear(wait_ms=0)
            else:
                await self._hear(wait_ms=100)

    async def _publish(self) -> None:
        commands: list[Sequence[str | bytes]] = []
        for number in range(self.sent, self.sent + _TOGETHER):
            moment = at(number / _A_SECOND).isoformat().replace("+00:00", "Z").encode()
            fields = {b"number": b"%b-%d" % (self._name, number), b"moment": moment}
            own = len(self._messages) // len(_PARTITIONS)
            first = number % len(_PARTITIONS) * own
            commands += [
                ("XADD", key, "*", "data", seal(template % fields, secret))
                for key, secret, template in self._messages[first : first + own]
            ]
        await self._connection.send(*commands)
        self.sent += _TOGETHER

    async def _hear(self, wait_ms: int) -> None:
        deliveries = await self._bus.consume(
            "gateway", "benchmark", _SOURCES, limit=2_000, wait_ms=wait_ms, after=self._after
        )
        if deliveries:
            await self._bus.acknowledge("gateway", deliveries)
        self.heard += len(deliveries)


def _symbols() -> Iterator[str]:
    for number in range(100):
        yield f"S{number}"


if __name__ == "__main__":
    run(measure)
