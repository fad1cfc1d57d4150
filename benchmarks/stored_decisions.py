"""What a decision costs to record, to project and to look up, by how many are stored already.

The logs are filled by COPY with synthetic decisions and projected; then decisions are committed,
projected and looked up, in turn with a small ledger in another database of the same server.
``--up-to 1000000`` adds the largest log, which takes minutes.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import msgspec
import psycopg
from msgspec.structs import replace

from adapters.embedded import EmbeddedServers
from adapters.ledger import PostgresLedger, migrate
from adapters.projections import Projector
from adapters.projections.queries import Queries
from benchmarks.measure import Row, median, table
from benchmarks.state import new_home
from consensus.engine import Engine, Rules
from domain.chain import link
from domain.identity import derive_id
from domain.messages import encode
from domain.ports.ledger import GENESIS, Commit, Log
from domain.voting import ConsensusResult
from orchestration.projections import JUDGES
from tests.builders import proposal, votes

_SMALL = 1_000
_SIZES = (10_000, 100_000, 1_000_000)
_USUAL = 100_000
_ROUNDS = 5
_COMMITS, _EACH = 8, 25
_LOOKUPS = 40


def measure(up_to: int = _USUAL) -> list[Row]:
    sizes = [size for size in _SIZES if size <= up_to]
    rows: list[Row] = []
    with new_home() as home, EmbeddedServers(home, ["postgres"]) as endpoints:
        url = endpoints.ledger_url
        beside = url.replace("/quorum?", "/small?")
        with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute("CREATE DATABASE small")
        migrate(url)
        migrate(beside)
        with closing(_Store(url)) as store, closing(_Store(beside)) as small:
            small.grow_to(_SMALL)
            for size in sizes:
                seconds = store.grow_to(size)
                print(f"{size} stored: {seconds:.0f} s", file=sys.stderr, flush=True)
                both = [(store.costs(), small.costs()) for _ in range(_ROUNDS)]
                rows += [
                    Row(
                        figure=f"{name}, {size:,} stored",
                        unit="ms",
                        ours=median([ours[name] for ours, _ in both]) * 1000,
                        beside="the same, a few thousand stored",
                        theirs=median([theirs[name] for _, theirs in both]) * 1000,
                    )
                    for name in both[0][0]
                ]
    return sorted(rows, key=lambda row: row.figure.partition(",")[0])


class _Store:
    """A ledger that grows; the decisions differ in id, symbol, score and time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._runner = asyncio.Runner()
        self._connection = psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)
        self._projector = Projector(self._connection, JUDGES)
        self._stored, self._head = 0, GENESIS
        engine = Engine(Rules())
        asked = proposal()
        [self._sample] = [e for m in (asked, *votes()) for e in engine.apply(m)]

    def close(self) -> None:
        self._connection.close()
        self._runner.close()

    def grow_to(self, size: int) -> float:
        """Store and project until so many are there; returns the seconds of projecting."""
        with self._connection.transaction():
            columns = "log, partition, sequence, message_id, occurred_at, data, hash"
            with self._connection.cursor().copy(
                f"COPY ledger.events ({columns}) FROM STDIN (FORMAT binary)"
            ) as copy:
                copy.set_types(["text", "int4", "int8", "text", "timestamptz", "bytea", "bytea"])
                for decision in self._decisions(size - self._stored):
                    data = encode(decision)
                    self._head = link(self._head, data)
                    row = (decision.message_id, decision.occurred_at, data, self._head)
                    copy.write_row((Log.DECISIONS, 0, self._stored, *row))
            self._connection.execute(
                "INSERT INTO ledger.heads VALUES ('decisions', 0, 1, 0, %s, %b, 0)"
                " ON CONFLICT (log, partition) DO UPDATE SET sequence = excluded.sequence,"
                " hash = excluded.hash",
                (self._stored, self._head),
            )
        began = time.perf_counter()
        self._projector.catch_up()
        seconds = time.perf_counter() - began
        self._connection.execute("VACUUM ANALYZE")
        self._connection.execute("CHECKPOINT")
        return seconds

    def costs(self) -> dict[str, float]:
        """Return what is done → seconds (of one decision, of one question)."""
        found = {"record a decision": self._runner.run(self._commit())}
        began = time.perf_counter()
        projected = self._projector.catch_up()
        found["project a decision"] = (time.perf_counter() - began) / projected
        queries = Queries(self._url)
        decided = [d.decision_id for d in self._some()]
        votes_cast = [d.counted[0].message_id for d in self._some()]
        found |= {
            "list the last 20 decisions": _median_of(lambda _: queries.decisions(limit=20)),
            "list the last 20 of one symbol": _median_of(
                lambda _: queries.decisions(symbol="S7", limit=20)
            ),
            "count by outcome and reason": _median_of(lambda _: queries.outcomes()),
            "sum the scorecards": _median_of(lambda _: queries.figures.scorecards(JUDGES)),
            "find a walk by a vote's id": _median_of(
                lambda n: queries.walks.matches(votes_cast[n])
            ),
            "find a walk by the beginning of an id": _median_of(
                lambda n: queries.walks.matches(decided[n][:10])
            ),
            "read a walk": _median_of(lambda n: queries.walks.events(f"walk {n + 1}")),
        }
        queries.close()
        return found

    async def _commit(self) -> float:
        """Commit decisions as the service does; returns the seconds of one."""
        ledger = PostgresLedger(self._url)
        lease = await ledger.acquire(Log.DECISIONS, 0)
        seconds: list[float] = []
        for _ in range(_COMMITS):
            expected = self._stored
            batch = tuple(self._decisions(_EACH))
            commit = Commit(expected_sequence=expected, events=batch)
            began = time.perf_counter()
            await ledger.commit(lease, commit)
            seconds.append((time.perf_counter() - began) / _EACH)
        await ledger.close()
        [row] = self._connection.execute("SELECT hash FROM ledger.heads").fetchall()
        self._head = row[0]
        return median(seconds)

    def _decisions(self, count: int) -> Iterator[ConsensusResult]:
        for _ in range(count):
            self._stored += 1
            yield self._decision(self._stored)

    def _some(self) -> list[ConsensusResult]:
        step = self._stored // _LOOKUPS
        return [self._decision((number + 1) * step) for number in range(_LOOKUPS)]

    def _decision(self, number: int) -> ConsensusResult:
        sample, moment = self._sample, timedelta(milliseconds=200 * number)
        asked = replace(
            sample.proposal,
            message_id=derive_id("proposal", number),
            correlation_id=f"walk {number}",
            symbol=f"S{number % 50}",
            occurred_at=sample.proposal.occurred_at + moment,
        )
        return replace(
            sample,
            message_id=derive_id("decision", asked.message_id),
            correlation_id=asked.correlation_id,
            occurred_at=sample.occurred_at + moment,
            proposal=asked,
            counted=tuple(
                replace(vote, message_id=derive_id("vote", number, vote.agent_id))
                for vote in sample.counted
            ),
        )


def _median_of(question: Callable[[int], object]) -> float:
    seconds: list[float] = []
    for number in range(_LOOKUPS):
        began = time.perf_counter()
        question(number)
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--up-to", type=int, default=_USUAL, help="size of the largest log")
    asked = parser.parse_args()
    rows = measure(asked.up_to)
    print(json.dumps(msgspec.to_builtins(rows)) if asked.json else table(rows))


if __name__ == "__main__":
    main()
