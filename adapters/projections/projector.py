"""Filling the read side from the logs, a batch and its mark in one transaction.

The marks stand beside the rows they stand for, so an interrupted projector goes on where its last
transaction ended. Nothing here locks what the writers of the logs touch, and nothing is waited
for by them; a crash of the database may take the last transactions back, marks and rows together.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from itertools import chain
from typing import Any

import psycopg
from msgspec import Raw
from psycopg import sql

from adapters.ledger.addresses import driver_address
from adapters.ledger.sessions import DROP_PRIVILEGES, unavailable
from adapters.ledger.stored import read
from adapters.projections import schema
from adapters.projections.rows import Judges, rows_of, rows_of_ignored
from adapters.projections.standing import Standing, standings_over
from adapters.projections.writing import TableWriter, Written
from domain.messages import decode
from domain.ports.ledger import Ignored, Recorded

#: Locks (of two keys) that projectors take; the second key says what for.
LOCKS = 0x51_52_53
ONE_PROJECTOR, ONE_REBUILD, NO_BATCH = 1, 2, 3

_BATCH = 1000
_CONNECT_SECONDS = 5
_PLACES = """
    SELECT h.log, h.partition FROM ledger.heads AS h
    LEFT JOIN {heads} AS p ON p.log = h.log AND p.partition = h.partition
    WHERE p.log IS NULL OR h.sequence > p.sequence OR EXISTS (
        SELECT FROM ledger.ignored AS i
        WHERE i.log = h.log AND i.partition = h.partition AND i.number > p.ignored
    )
    ORDER BY h.log, h.partition
"""
_BEGIN = """
    INSERT INTO {heads} (log, partition, sequence, ignored) VALUES (%s, %s, 0, 0)
    ON CONFLICT (log, partition) DO NOTHING
"""
_MARKS = "SELECT sequence, ignored FROM {heads} WHERE log = %s AND partition = %s FOR UPDATE"
_MOVE = """
    UPDATE {heads} SET sequence = %s, ignored = %s,
        caught_up_at = CASE WHEN %s THEN clock_timestamp() ELSE caught_up_at END
    WHERE log = %s AND partition = %s
"""
_NOTHING_NEW = """
    UPDATE {heads} AS p SET caught_up_at = clock_timestamp()
    FROM ledger.heads AS h
    WHERE h.log = p.log AND h.partition = p.partition AND h.sequence = p.sequence
        AND p.caught_up_at < clock_timestamp() - interval '1 second'
"""
_EVENTS = """
    SELECT sequence, data, hash FROM ledger.events
    WHERE log = %s AND partition = %s AND sequence > %s ORDER BY sequence LIMIT %s
"""
_IGNORED = """
    SELECT number, data, reason FROM ledger.ignored
    WHERE log = %s AND partition = %s AND number > %s ORDER BY number LIMIT %s
"""

_LATEST = """
    SELECT symbol, price::text, price_sequence, decision::text, decision_sequence FROM {latest}
"""


class Projector:
    """Projects what the logs hold beyond its marks.

    Parameters
    ----------
    connection
        Its own, in autocommit mode.
    judges
        How events become scorecards.
    into
        The schema to fill; the live one, or that of a rebuild.
    batch
        Events of one partition that one transaction takes in at most.
    told
        Hears, after each transaction, what it wrote.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        judges: Judges,
        *,
        into: str = schema.SCHEMA,
        batch: int = _BATCH,
        told: Callable[[Written], None] | None = None,
    ) -> None:
        self._connection = connection
        self._judges = judges
        self._batch = batch
        self._told = told
        self._writer = TableWriter(into)
        heads = sql.Identifier(into, "heads")
        self._places, self._begin, self._marks, self._move, self._nothing_new = (
            sql.SQL(text).format(heads=heads)
            for text in (_PLACES, _BEGIN, _MARKS, _MOVE, _NOTHING_NEW)
        )
        self._latest = sql.SQL(_LATEST).format(latest=sql.Identifier(into, schema.latest.name))

    def advance(self) -> int:
        """Project at most one batch of each partition; returns the number of events.

        Raises
        ------
        domain.errors.RecordUnavailable
            If the database can't be reached; what was projected is kept.
        """
        with unavailable():
            places = self._connection.execute(self._places).fetchall()
            if not places:
                self._connection.execute(self._nothing_new)
            return sum(self._advance(log, partition) for log, partition in places)

    def catch_up(self) -> int:
        """Project everything that is on record; returns the number of events."""
        events = 0
        while more := self.advance():
            events += more
        return events

    def retell(self) -> None:
        """Tell again what the last price and decision of every symbol are."""
        if self._told is not None:
            with unavailable():
                rows = self._connection.execute(self._latest).fetchall()
            self._told({schema.latest.name: [_as_written(row) for row in rows]})

    def standings(self) -> list[Standing]:
        """Return how far the live read side is behind the logs."""
        with unavailable():
            return standings_over(self._connection)

    def _advance(self, log: str, partition: int) -> int:
        own = log, partition
        with self._connection.transaction():
            # Losing the last transactions is harmless, so none waits for the disk.
            self._connection.execute("SET LOCAL synchronous_commit = off")
            self._connection.execute(
                "SELECT pg_advisory_xact_lock_shared(%s, %s)", (LOCKS, NO_BATCH)
            )
            self._connection.execute(self._begin, own)
            sequence, number = self._row(self._marks, own)
            events = self._read(_EVENTS, (*own, sequence, self._batch))
            ignored = self._read(_IGNORED, (*own, number, self._batch))
            written = self._writer.write(
                self._connection,
                chain(self._of_events(own, events), self._of_ignored(ignored)),
            )
            complete = len(events) < self._batch and len(ignored) < self._batch
            marks = events[-1][0] if events else sequence, ignored[-1][0] if ignored else number
            self._connection.execute(self._move, (*marks, complete, *own))
        if self._told is not None:
            self._told(written)
        return len(events) + len(ignored)

    def _of_events(self, place: tuple[str, int], events: Iterable[Any]) -> Iterable[Any]:
        log, partition = place
        for sequence, data, digest in events:
            entry = Recorded(
                log=log, partition=partition, sequence=sequence, data=read(data), hash=digest
            )
            yield from rows_of(entry, self._judges)

    def _of_ignored(self, ignored: Iterable[Any]) -> Iterable[Any]:
        for _, data, reason in ignored:
            yield from rows_of_ignored(Ignored(message=decode(data), reason=reason), self._judges)

    def _read(self, query: Any, parameters: tuple[Any, ...]) -> list[Any]:  # noqa: ANN401
        return self._connection.execute(query, parameters, binary=True).fetchall()

    def _row(self, query: sql.Composed, parameters: tuple[Any, ...]) -> tuple[int, int]:
        return self._connection.execute(query, parameters).fetchall()[0]


def _as_written(row: tuple[Any, ...]) -> dict[str, Any]:
    symbol, price, price_sequence, decision, decision_sequence = row
    return {
        "symbol": symbol,
        "price": None if price is None else Raw(price.encode()),
        "price_sequence": price_sequence,
        "decision": None if decision is None else Raw(decision.encode()),
        "decision_sequence": decision_sequence,
    }


@contextmanager
def projecting(
    url: str, judges: Judges, *, told: Callable[[Written], None] | None = None
) -> Generator[Projector | None]:
    """Yield the one projector of the live read side, or None where another process has it.

    Raises
    ------
    domain.errors.RecordUnavailable
        If the database can't be reached.
    """
    with (
        unavailable(),
        psycopg.connect(
            driver_address(url), autocommit=True, connect_timeout=_CONNECT_SECONDS
        ) as connection,
    ):
        connection.execute(DROP_PRIVILEGES)
        with lock(connection, ONE_PROJECTOR) as mine:
            yield Projector(connection, judges, told=told) if mine else None


@contextmanager
def lock(connection: psycopg.Connection, which: int) -> Generator[bool]:
    """Hold a lock for the block, if it is free; yields whether it was."""
    key = LOCKS, which
    [[mine]] = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", key).fetchall()
    try:
        yield mine
    finally:
        # A session that ends frees its locks too, but later than its client knows.
        if mine and not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s, %s)", key)
