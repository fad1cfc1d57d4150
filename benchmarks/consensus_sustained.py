"""How many proposals a second one consensus process decides durably, for a minute, and what grows.

One other process publishes five sealed messages a proposal and hears every decision, as the
gateway does. On a machine of few cores it takes its share of the figure, and so do the servers:
the CPU time of each is told, which other work on the machine changes less than the rate.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg

from adapters.bus.redis_address import RedisAddress
from adapters.bus.redis_connection import RedisConnection, open_connection
from adapters.keys import KeyFolder
from adapters.metrics import PrometheusMetrics
from adapters.processes.run_file import find_process
from benchmarks.consensus_process import consensus_running, opened
from benchmarks.measure import Row, run
from consensus.housekeeping import Housekeeping
from consensus.service import PROCESS
from domain.messages import Message, encode
from domain.ports.bus import MessageBus
from domain.producers import Producer
from domain.seals import seal
from domain.settings import Settings
from domain.streams import Stream
from domain.voting import TradingProposal, Vote
from tests.builders import at, proposal, votes

_SECONDS = 60.0
#: Twice as many decisions as the engine remembers: what holds them has its last size by then.
_BEFORE = 200_000
_IN_FLIGHT, _TOGETHER = 4_000, 100
_GOAL_RATE, _GOAL_BYTES = 5_000, 3_000
_DECISIONS = (Stream.DECISIONS, 0)


def measure() -> list[Row]:
    with consensus_running() as settings:
        rate, grown, costs = asyncio.run(_sustained(settings))
        size = _bytes_a_decision(settings)
    return [
        Row(
            figure=f"proposals decided durably, sustained for {_SECONDS:.0f} s",
            unit="proposals/s",
            ours=rate,
            beside="the goal",
            theirs=_GOAL_RATE,
        ),
        Row(
            figure="memory of the consensus after that",
            unit="MB",
            ours=grown[1],
            beside=f"before, once {_BEFORE:,} proposals were decided",
            theirs=grown[0],
        ),
        *(
            Row(
                figure=f"CPU of a proposal, {name}",
                unit="µs",
                ours=1e6 * seconds,
                beside="all of them",
                theirs=1e6 * sum(costs.values()),
            )
            for name, seconds in costs.items()
        ),
        Row(
            figure="bytes a decision in PostgreSQL, journal and indexes included",
            unit="bytes",
            ours=size,
            beside="the limit",
            theirs=_GOAL_BYTES,
        ),
    ]


async def _sustained(
    settings: Settings,
) -> tuple[float, tuple[float, float], dict[str, float]]:
    run_file = find_process(settings.home, PROCESS)
    assert run_file is not None
    process = psutil.Process(run_file.identity.pid)
    connection = await open_connection(RedisAddress.of(settings.bus_url))
    async with opened(settings) as bus, opened(settings) as second:
        load = _Load(connection, bus, KeyFolder.of(settings))
        care = Housekeeping(
            second, PrometheusMetrics(), group="gateway", sources=[], trims=[_DECISIONS], keep=1_000
        )
        keeping = asyncio.create_task(care.run())
        await load.until(lambda: load.heard >= _BEFORE)
        spent, before, heard = _cpu_seconds(settings.home), process.memory_info().rss, load.heard
        began = time.perf_counter()
        await load.until(lambda: time.perf_counter() >= began + _SECONDS)
        decided, seconds = load.heard - heard, time.perf_counter() - began
        after = process.memory_info().rss
        costs = {
            name: (s - spent[name]) / decided for name, s in _cpu_seconds(settings.home).items()
        }
        keeping.cancel()
    await connection.end()
    return decided / seconds, (before / 1e6, after / 1e6), costs


def _cpu_seconds(home: Path) -> dict[str, float]:
    """Return who takes part → CPU seconds so far; the servers with what works for them."""
    own = psutil.Process()
    found = {"this load": 0.0, "consensus": 0.0, "Valkey": 0.0, "PostgreSQL": 0.0}
    servers = [p for p in psutil.process_iter(["cmdline"]) if _is_named(home, p.info["cmdline"])]
    taking_part = {own, *servers}
    for process in (own, *servers):
        with suppress(psutil.NoSuchProcess):
            taking_part.update(process.children(recursive=True))
    for process in taking_part:
        with suppress(psutil.NoSuchProcess):
            program = process.name()
            times = process.cpu_times()
            name = (
                "this load"
                if process == own
                else "Valkey"
                if program.startswith("valkey")
                else "PostgreSQL"
                if program.startswith("postgres")
                else "consensus"
            )
            found[name] += times.user + times.system + times.children_user + times.children_system
    return found


def _is_named(home: Path, command: list[str] | None) -> bool:
    return any(str(home) in word for word in command or ())


class _Load:
    """Publishes and listens, never more than some in flight."""

    def __init__(self, connection: RedisConnection, bus: MessageBus, keys: KeyFolder) -> None:
        self._connection = connection
        self._bus = bus
        self._sent = 0
        self.heard = 0
        asked = proposal("template")
        self._messages = [
            (f"quorum:{stream}:0", keys.own(producer), _template(encode(message), asked, message))
            for stream, producer, message in (
                (Stream.PROPOSALS, Producer.MARKET_ANALYST, asked),
                *((Stream.VOTES, Producer(v.agent_id), v) for v in votes("template")),
            )
        ]

    async def until(self, done: Callable[[], bool]) -> None:
        while not done():
            if self._sent - self.heard < _IN_FLIGHT:
                await self._publish()
                await self._hear(wait_ms=0)
            else:
                await self._hear(wait_ms=100)

    async def _publish(self) -> None:
        commands = []
        for number in range(self._sent, self._sent + _TOGETHER):
            moment = at(number / _GOAL_RATE).isoformat().replace("+00:00", "Z").encode()
            fields = {b"number": b"%032x" % number, b"moment": moment}
            commands += [
                ("XADD", key, "*", "data", seal(template % fields, secret))
                for key, secret, template in self._messages
            ]
        await self._connection.send(*commands)
        self._sent += _TOGETHER

    async def _hear(self, wait_ms: int) -> None:
        deliveries = await self._bus.consume(
            "gateway", "benchmark", [_DECISIONS], limit=2_000, wait_ms=wait_ms, after={}
        )
        if deliveries:
            await self._bus.acknowledge("gateway", deliveries)
        self.heard += len(deliveries)


def _template(data: bytes, asked: TradingProposal, message: Message) -> bytes:
    """Return a message whose ids are made of a number, and that occurs at another moment."""
    moment = message.occurred_at.isoformat().replace("+00:00", "Z").encode()
    data = data.replace(b"%", b"%%").replace(moment, b"%(moment)b")
    if isinstance(message, Vote):
        own = b"%(number)b-" + message.agent_id.encode()
        data = data.replace(message.message_id.encode(), own)
    return data.replace(asked.proposal_id.encode(), b"%(number)b")


def _bytes_a_decision(settings: Settings) -> float:
    address = settings.ledger_url.get_secret_value().replace("+psycopg", "", 1)
    with psycopg.connect(address) as connection:
        found = connection.execute(
            "SELECT sum(pg_total_relation_size(oid))::bigint,"
            " (SELECT count(*) FROM ledger.events WHERE log = 'decisions')"
            " FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r'"
        ).fetchone()
    assert found is not None
    return found[0] / found[1]


if __name__ == "__main__":
    run(measure)
