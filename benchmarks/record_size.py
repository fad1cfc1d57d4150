"""What a decision takes in PostgreSQL: events, ids, journal and outbox, indexes included.

100,000 decisions of four short votes each go through the engine and are committed as the consensus
commits them, a hundred at a time. Beside them what the demo's agents say, who give their reasons:
journalled as it comes, a few inputs at a time. The maps of a table's free space, an empty overflow
table and the first pages of an index, nine pages however many decisions there are, are left out of
these few.
"""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from adapters.embedded import EmbeddedServers
from adapters.ledger import PostgresLedger, migrate
from adapters.ledger.reading import Record, snapshot
from benchmarks.measure import Row, run
from benchmarks.state import new_home
from consensus.audit import verify
from consensus.engine import Engine
from domain.messages import encode
from domain.ports.bus import Delivery
from domain.ports.ledger import Commit, Ledger, Log, Outgoing
from domain.rules import Rules
from domain.streams import Stream
from domain.voting import ConsensusResult
from tests.builders import proposal, votes

_DECISIONS, _BATCH = 100_000, 100
_LIMIT = 3_000
_SIZES = """
    SELECT regexp_replace(relname, '_\\d{4}_\\d\\d$', ''), sum(pg_total_relation_size(oid))
    FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r'
    GROUP BY 1 HAVING sum(pg_total_relation_size(oid)) > 1000000 ORDER BY 2 DESC
"""
_JSON = "canonical JSON"
_DEMO = ["demo", "--days", "120"]
_OF_DECISIONS = """
    SELECT regexp_replace(relname, '_\\d{4}_\\d\\d$', ''),
        sum(pg_relation_size(oid)), sum(pg_indexes_size(oid)), sum(reltuples)
    FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r'
        AND (relname LIKE 'events\\_decisions%' OR relname LIKE 'input\\_blocks%')
        AND pg_relation_size(oid) > 0
    GROUP BY 1
"""


def measure() -> list[Row]:
    with new_home() as home, EmbeddedServers(home, ["postgres"]) as endpoints:
        url = endpoints.ledger_url
        migrate(url)
        asyncio.run(_fill(url))
        with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            [(event,)] = connection.execute("SELECT avg(length(data)) FROM ledger.events")
            sizes = {name: float(size) / _DECISIONS for name, size in connection.execute(_SIZES)}
            index_of_row = {
                name: float(indexes) / rows
                for name, _, indexes, rows in connection.execute(_OF_DECISIONS)
            }
        seconds = _audit(url)
    with new_home() as home:
        spoken = _spoken(home, index_of_row)
    # Ids and outbox are the same whatever is said.
    spoken_in_all = sum(spoken.values()) - spoken[_JSON] + sizes["event_ids"] + sizes["outbox"]
    return [
        Row(figure="a decision's event as it is stored", unit="B", ours=float(event)),
        *(Row(figure=f"a decision in {name}", unit="B", ours=b) for name, b in sizes.items()),
        Row(
            figure="a decision in PostgreSQL",
            unit="B",
            ours=sum(sizes.values()),
            beside="the limit",
            theirs=_LIMIT,
        ),
        *(Row(figure=f"the demo's agents: {name}", unit="B", ours=b) for name, b in spoken.items()),
        Row(
            figure="the demo's agents: a decision in PostgreSQL",
            unit="B",
            ours=spoken_in_all,
            beside="the limit",
            theirs=_LIMIT,
        ),
        Row(figure="decisions audited", unit="1/s", ours=_DECISIONS / seconds),
    ]


async def _fill(url: str) -> None:
    ledger: Ledger = PostgresLedger(url)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    engine = Engine(Rules())
    for first in range(0, _DECISIONS, _BATCH):
        inputs: list[Delivery] = []
        events: list[ConsensusResult] = []
        for number in range(first, first + _BATCH):
            name, seconds = f"size-{number}", number / 100
            messages = (proposal(name, seconds=seconds), *votes(name, seconds=seconds + 0.005))
            for message in messages:
                position = f"{5 * number + len(inputs)}-0"
                inputs.append(
                    Delivery(
                        stream=Stream.VOTES, partition=0, position=position, data=encode(message)
                    )
                )
                made = engine.apply(message)
                events += [event for event in made if isinstance(event, ConsensusResult)]
        outbox = (Outgoing(stream=Stream.DECISIONS, partition=0, message=e) for e in events)
        committed = await ledger.commit(
            lease,
            Commit(
                expected_sequence=first,
                inputs=tuple(inputs),
                events=tuple(events),
                outbox=tuple(outbox),
            ),
        )
        await ledger.mark_published(lease, committed.outbox)
    await ledger.close()


def _spoken(home: Path, index_of_row: dict[str, float]) -> dict[str, float]:
    """Return what a decision of the demo takes in the two tables that hold what was said.

    A row takes in their indexes what it takes where there are many.
    """
    demo = f"from orchestration.command_line.application import run; run({_DEMO!r})"
    environment = os.environ | {"QUORUM_HOME": str(home)}
    subprocess.run([sys.executable, "-c", demo], env=environment, check=True, stdout=sys.stderr)
    with (
        EmbeddedServers(home, ["postgres"]) as endpoints,
        psycopg.connect(
            endpoints.ledger_url.replace("+psycopg", "", 1), autocommit=True
        ) as connection,
    ):
        connection.execute("VACUUM ANALYZE")
        sizes = {
            name: float(size) + index_of_row[name] * rows
            for name, size, _, rows in connection.execute(_OF_DECISIONS)
        }
        ledger = PostgresLedger(endpoints.ledger_url)
        events = asyncio.run(ledger.events(Log.DECISIONS, 0, limit=100_000))
    decisions = [e.data for e in events if isinstance(e.message, ConsensusResult)]
    return {_JSON: sum(map(len, decisions)) / len(decisions)} | {
        name: size / len(decisions) for name, size in sizes.items()
    }


def _audit(url: str) -> float:
    began = time.perf_counter()
    with snapshot(url) as connection:
        record = Record(connection)
        audit = verify(record.entries(), ends=record.heads())
    assert audit.sound
    assert audit.events == _DECISIONS
    return time.perf_counter() - began


if __name__ == "__main__":
    run(measure)
