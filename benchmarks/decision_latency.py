"""From a proposal to the decision that is heard, one at a time and at a rate, beside the floor.

The floor is what no design can avoid here: three hops over the stream server (proposal, votes,
decision) and one durable commit, on the same servers, through bare clients.
"""

import asyncio
import time

import psycopg
from redis.asyncio import Redis

from benchmarks.consensus_process import consensus_running, opened
from benchmarks.measure import Row, alternately_async, percentile, run
from domain.messages import decode
from domain.ports.bus import MessageBus
from domain.settings import Settings
from domain.streams import Stream
from domain.voting import ConsensusResult
from tests.builders import proposal, votes

_ROUNDS, _WARM_UP = 300, 30
_RATE, _AT_THE_RATE = 100, 500
_BYTES = b"x" * 600


def measure() -> list[Row]:
    with consensus_running() as settings:
        found = asyncio.run(_measure(settings))
    floor = found["theirs"][_WARM_UP:]
    figures = (
        ("median", percentile(found["ours"][_WARM_UP:], 0.5), 0.5),
        ("99th percentile", percentile(found["ours"][_WARM_UP:], 0.99), 0.99),
        (f"99th percentile at {_RATE} proposals/s", percentile(found["at a rate"], 0.99), 0.5),
    )
    return [
        Row(
            figure=f"proposal → decision heard, {name}",
            unit="ms",
            ours=1000 * seconds,
            beside=f"3 stream hops + 1 durable commit ({'median' if share == 0.5 else 'same'})",
            theirs=1000 * percentile(floor, share),
        )
        for name, seconds, share in figures
    ]


async def _measure(settings: Settings) -> dict[str, list[float]]:
    address = settings.ledger_url.get_secret_value().replace("+psycopg", "", 1)
    async with (
        opened(settings) as bus,
        Redis.from_url(settings.bus_url, protocol=2) as redis,
        await psycopg.AsyncConnection.connect(address) as connection,
    ):
        await connection.execute("CREATE TABLE floor (data bytea)")
        await connection.commit()
        decisions, floor = Decisions(bus), _Floor(redis, connection)
        found = await alternately_async(
            {"ours": decisions.one, "theirs": floor.one}, _ROUNDS + _WARM_UP
        )
        return {**found, "at a rate": await decisions.at_a_rate()}


class Decisions:
    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._number = 0
        self._position = ""

    async def one(self) -> float:
        self._number += 1
        name = f"latency-{self._number}"
        asked, cast = proposal(name), votes(name)
        began = time.perf_counter()
        heard = asyncio.create_task(
            self._bus.read(Stream.DECISIONS, 0, after=self._position, wait_ms=10_000)
        )
        await self._bus.publish(Stream.PROPOSALS, 0, asked)
        await asyncio.gather(*(self._bus.publish(Stream.VOTES, 0, vote) for vote in cast))
        (decision,) = await heard
        seconds = time.perf_counter() - began
        self._position = decision.position
        return seconds

    async def at_a_rate(self) -> list[float]:
        """Return the seconds to each decision, proposals coming evenly whatever is decided."""
        began: dict[str, float] = {}
        took: list[float] = []

        async def propose(number: int) -> None:
            name = f"rate-{number}"
            asked, cast = proposal(name), votes(name)
            began[asked.proposal_id] = time.perf_counter()
            await self._bus.publish(Stream.PROPOSALS, 0, asked)
            await asyncio.gather(*(self._bus.publish(Stream.VOTES, 0, vote) for vote in cast))

        async def listen() -> None:
            while len(took) < _AT_THE_RATE:
                for delivery in await self._bus.read(
                    Stream.DECISIONS, 0, after=self._position, wait_ms=10_000
                ):
                    self._position = delivery.position
                    decision = decode(delivery.data)
                    assert isinstance(decision, ConsensusResult)
                    took.append(time.perf_counter() - began[decision.proposal.proposal_id])

        start = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listen())
            for number in range(_AT_THE_RATE):
                await asyncio.sleep(start + number / _RATE - time.perf_counter())
                tasks.create_task(propose(number))
        return took


class _Floor:
    def __init__(self, redis: Redis, connection: psycopg.AsyncConnection) -> None:
        self._redis = redis
        self._connection = connection

    async def one(self) -> float:
        began = time.perf_counter()
        for hop in range(3):
            key = f"floor:{hop}"
            heard = asyncio.create_task(self._redis.xread({key: "$"}, block=10_000))
            await asyncio.sleep(0)
            await self._redis.client_id()  # the reader's request went out before this answer
            await self._redis.xadd(key, {"data": _BYTES})
            await heard
        await self._connection.execute("INSERT INTO floor VALUES (%b)", (_BYTES,))
        await self._connection.commit()
        return time.perf_counter() - began


if __name__ == "__main__":
    run(measure)
