"""Proposals that are decided durably."""

import asyncio
import time

import psycopg

from benchmarks.consensus_process import consensus_running, opened
from benchmarks.measure import Row, run
from domain.messages import encode
from domain.settings import Settings
from domain.streams import Stream
from tests.builders import proposal, votes

_DURABLE = 1_000
_GROUP = 512


def measure() -> list[Row]:
    return [_durable_proposals()]


def _durable_proposals() -> Row:
    with consensus_running() as settings:
        ours = asyncio.run(_decided_per_second(settings))
        theirs = _rows_per_second(settings)
    return Row(
        figure="proposals decided durably",
        unit="proposals/s",
        ours=ours,
        beside=f"psycopg inserting a row a message, {_GROUP} a commit",
        theirs=theirs,
    )


async def _decided_per_second(settings: Settings) -> float:
    """Return the rate from the first message published to the last decision heard."""
    names = [f"durable-{number}" for number in range(_DURABLE)]
    messages = [
        (stream, message)
        for name in names
        for stream, message in (
            (Stream.PROPOSALS, proposal(name)),
            *((Stream.VOTES, vote) for vote in votes(name)),
        )
    ]
    async with opened(settings) as bus:
        began = time.perf_counter()
        publishing = asyncio.create_task(_publish(bus, messages))
        heard, position = 0, ""
        while heard < _DURABLE:
            arrived = await bus.read(Stream.DECISIONS, 0, after=position, wait_ms=1000)
            heard += len(arrived)
            position = arrived[-1].position if arrived else position
        await publishing
        return _DURABLE / (time.perf_counter() - began)


async def _publish(bus, messages) -> None:
    for start in range(0, len(messages), 50):
        batch = messages[start : start + 50]
        await asyncio.gather(*(bus.publish(stream, 0, message) for stream, message in batch))


def _rows_per_second(settings: Settings) -> float:
    """Return proposals/s if recording were all: their five messages inserted, in groups."""
    rows = [
        (encode(message),)
        for number in range(_DURABLE)
        for message in (proposal(f"floor-{number}"), *votes(f"floor-{number}"))
    ]
    address = settings.ledger_url.get_secret_value().replace("+psycopg", "", 1)
    with psycopg.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE floor (data bytea)")
        connection.commit()
        began = time.perf_counter()
        for start in range(0, len(rows), _GROUP):
            cursor.executemany("INSERT INTO floor VALUES (%b)", rows[start : start + _GROUP])
            connection.commit()
        return _DURABLE / (time.perf_counter() - began)


if __name__ == "__main__":
    run(measure)
