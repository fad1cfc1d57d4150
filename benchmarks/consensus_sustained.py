"""How many proposals a second one consensus process decides durably, for a minute, and what grows.

One other process publishes five messages a proposal and hears every decision, as the gateway's
group; on a machine of few cores it takes its share of the figure.
"""

import asyncio
import time

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
from domain.messages import encode
from domain.ports.bus import MessageBus
from domain.producers import Producer
from domain.seals import seal
from domain.settings import Settings
from domain.streams import Stream
from tests.builders import at, proposal, votes

_SECONDS = 60.0
_WARM_UP_SECONDS = 10.0
_IN_FLIGHT, _TOGETHER = 4_000, 100
_GOAL_RATE, _GOAL_BYTES = 5_000, 3_000
_DECISIONS = (Stream.DECISIONS, 0)


def measure() -> list[Row]:
    with consensus_running() as settings:
        rate, grown = asyncio.run(_sustained(settings))
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
            beside=f"after the first {_WARM_UP_SECONDS:.0f} s",
            theirs=grown[0],
        ),
        Row(
            figure="bytes a decision in PostgreSQL, journal and indexes included",
            unit="bytes",
            ours=size,
            beside="the limit",
            theirs=_GOAL_BYTES,
        ),
    ]


async def _sustained(settings: Settings) -> tuple[float, tuple[float, float]]:
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
        await load.until(time.perf_counter() + _WARM_UP_SECONDS)
        before, heard, began = process.memory_info().rss, load.heard, time.perf_counter()
        await load.until(began + _SECONDS)
        rate = (load.heard - heard) / (time.perf_counter() - began)
        after = process.memory_info().rss
        keeping.cancel()
    await connection.end()
    return rate, (before / 1e6, after / 1e6)


class _Load:
    """Publishes and listens, never more than some in flight."""

    def __init__(self, connection: RedisConnection, bus: MessageBus, keys: KeyFolder) -> None:
        self._connection = connection
        self._bus = bus
        self._sent = 0
        self.heard = 0
        self._messages = [
            (f"quorum:{stream}:0", keys.own(producer), encode(message))
            for stream, producer, message in (
                (Stream.PROPOSALS, Producer.MARKET_ANALYST, proposal("template")),
                *((Stream.VOTES, Producer(v.agent_id), v) for v in votes("template")),
            )
        ]
        template = proposal("template")
        self._name = template.proposal_id.encode()
        self._votes = [vote.message_id.encode() for vote in votes("template")]

    async def until(self, moment: float) -> None:
        while time.perf_counter() < moment:
            if self._sent - self.heard < _IN_FLIGHT:
                await self._publish()
            else:
                await self._hear(wait_ms=100)
            await self._hear(wait_ms=0)

    async def _publish(self) -> None:
        commands = []
        for number in range(self._sent, self._sent + _TOGETHER):
            name = b"%032x" % number
            moment = at(number / _GOAL_RATE).isoformat().replace("+00:00", "Z").encode()
            for key, secret, template in self._messages:
                data = _at(template.replace(self._name, name), moment)
                for place, vote in enumerate(self._votes):
                    data = data.replace(vote, b"%032x-%d" % (number, place))
                commands.append(("XADD", key, "*", "data", seal(data, secret)))
        await self._connection.send(*commands)
        self._sent += _TOGETHER

    async def _hear(self, wait_ms: int) -> None:
        deliveries = await self._bus.consume(
            "gateway", "benchmark", [_DECISIONS], limit=2_000, wait_ms=wait_ms
        )
        await self._bus.acknowledge("gateway", deliveries)
        self.heard += len(deliveries)


def _at(data: bytes, moment: bytes) -> bytes:
    """Return a message that occurred at another moment."""
    before, found, after = data.partition(b'"occurred_at":"')
    return before + found + moment + after[after.index(b'"') :]


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
