"""The ledger in PostgreSQL."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import chain
from typing import Any, LiteralString

import psycopg

from adapters.ledger.addresses import driver_address
from adapters.ledger.journal import unpack
from adapters.ledger.portfolio_database import RESERVATIONS, PortfolioDatabase
from adapters.ledger.sessions import DROP_PRIVILEGES, first_line, unavailable
from adapters.ledger.stored import read
from adapters.ledger.writer import Writer, fenced, rows_of
from domain.errors import RecordUnavailable
from domain.messages import decode
from domain.ports.ledger import (
    Commit,
    Committed,
    DeadLetter,
    Head,
    Ignored,
    Input,
    Lease,
    Offset,
    OutboxHead,
    OutboxItem,
    Recorded,
    Snapshot,
)
from domain.streams import Stream

#: Months that stand ready behind the present one.
MONTHS_AHEAD = 3
#: By its look, not only by the conflict, so that no number is used up for nothing.
_RECORD_LETTER = """
    INSERT INTO ledger.dead_letters
        (log, stream, stream_partition, position, reason, attempts, data, trace)
    SELECT d.* FROM (
        VALUES (%s::text, %s::text, %s::integer, %s::text, %s::text, %s::integer, %b::bytea,
            %s::text)
    ) AS d (log, stream, stream_partition, position, reason, attempts, data, trace)
    WHERE NOT EXISTS (
        SELECT FROM ledger.dead_letters AS k
        WHERE (k.log, k.stream, k.stream_partition, k.position)
            = (d.log, d.stream, d.stream_partition, d.position)
    )
    ON CONFLICT (log, stream, stream_partition, position) DO NOTHING
"""


class PostgresLedger:
    """A `Ledger`: one connection for each lease it holds, which then serves reads as well.

    Who holds none reads over a short-lived one: a new connection costs more than what it reads.

    Parameters
    ----------
    portfolio_url
        Where reservations are kept, if in a database of their own.
    software
        What this process runs; it says so with each lease that it takes.
    """

    def __init__(
        self,
        url: str,
        *,
        portfolio_url: str = "",
        connect_timeout_seconds: int = 5,
        software: str = "",
    ) -> None:
        self._address = driver_address(url)
        self._portfolio_url = portfolio_url
        self._software = software
        self._timeout = connect_timeout_seconds
        self._writers: dict[tuple[str, int], tuple[int, Writer]] = {}

    async def acquire(self, log: str, partition: int) -> Lease:
        """See `Ledger.acquire`."""
        await self._forget(log, partition)
        async with _available():
            connection = await self._connect()
            writer = Writer(connection, log, partition, self._portfolio(), software=self._software)
            try:
                await self._make_months(connection)
                lease = await writer.acquire()
            except BaseException:
                await writer.close()
                raise
        self._writers[log, partition] = lease.token, writer
        return lease

    async def release(self, lease: Lease) -> None:
        """See `Ledger.release`."""
        token, _ = self._writers.get((lease.log, lease.partition), (0, None))
        if token == lease.token:
            await self._forget(lease.log, lease.partition)

    async def commit(self, lease: Lease, commit: Commit) -> Committed:
        """See `Ledger.commit`."""
        async with _available():
            try:
                return await (await self._writer(lease)).commit(commit)
            except psycopg.errors.CheckViolation as problem:
                async with await self._connect() as connection:
                    await self._make_months(connection)
                raise RecordUnavailable(
                    f"The ledger had no place for this month: {first_line(problem)}.",
                    next_step="Nothing: the month is made, and the commit tried again.",
                ) from problem

    async def mark_published(self, lease: Lease, items: Sequence[OutboxItem]) -> None:
        """See `Ledger.mark_published`."""
        async with _available():
            await (await self._writer(lease)).mark_published(items)

    async def unpublished(
        self, log: str, partition: int, *, limit: int = 1000
    ) -> Sequence[OutboxItem]:
        """See `Ledger.unpublished`."""
        rows = await self._read(
            """
            SELECT o.stream, o.stream_partition, o.sequence, coalesce(o.data, e.data)
            FROM ledger.outbox_heads AS h
            JOIN ledger.outbox AS o
                ON o.stream = h.stream AND o.stream_partition = h.stream_partition
                AND o.sequence > h.published
            LEFT JOIN ledger.events AS e
                ON e.log = o.log AND e.partition = o.partition AND e.sequence = o.event_sequence
            WHERE h.log = %s AND h.partition = %s
            ORDER BY o.stream, o.stream_partition, o.sequence LIMIT %s
            """,
            (log, partition, limit),
        )
        return [
            OutboxItem(stream=Stream(s), partition=p, sequence=n, message=decode(read(d)))
            for s, p, n, d in rows
        ]

    async def outbox_heads(self, log: str, partition: int) -> Sequence[OutboxHead]:
        """See `Ledger.outbox_heads`."""
        rows = await self._read(
            """
            SELECT h.stream, h.stream_partition, h.published, coalesce((
                SELECT min(split_part(o.position, '-', 1)::bigint) FROM ledger.offsets AS o
                WHERE o.stream = h.stream AND o.stream_partition = h.stream_partition
            ), 0)
            FROM ledger.outbox_heads AS h WHERE h.log = %s AND h.partition = %s
            ORDER BY h.stream, h.stream_partition
            """,
            (log, partition),
        )
        return [
            OutboxHead(stream=Stream(s), partition=p, published=n, needed_after=a)
            for s, p, n, a in rows
        ]

    async def outbox(
        self, stream: Stream, partition: int, *, after: int, until: int, limit: int = 1000
    ) -> Sequence[OutboxItem]:
        """See `Ledger.outbox`."""
        rows = await self._read(
            """
            SELECT o.sequence, coalesce(o.data, e.data) FROM ledger.outbox AS o
            LEFT JOIN ledger.events AS e
                ON e.log = o.log AND e.partition = o.partition AND e.sequence = o.event_sequence
            WHERE o.stream = %s AND o.stream_partition = %s
                AND o.sequence > %s AND o.sequence <= %s
            ORDER BY o.sequence LIMIT %s
            """,
            (stream, partition, after, until, limit),
        )
        return [
            OutboxItem(stream=stream, partition=partition, sequence=n, message=decode(read(d)))
            for n, d in rows
        ]

    async def events(
        self, log: str, partition: int, *, after: int = 0, limit: int = 1000
    ) -> Sequence[Recorded]:
        """See `Ledger.events`."""
        rows = await self._read(
            """
            SELECT sequence, data, hash FROM ledger.events
            WHERE log = %s AND partition = %s AND sequence > %s ORDER BY sequence LIMIT %s
            """,
            (log, partition, after, limit),
        )
        return [
            Recorded(log=log, partition=partition, sequence=n, data=read(d), hash=h)
            for n, d, h in rows
        ]

    async def recorded(self, log: str, message_ids: Sequence[str]) -> frozenset[str]:
        """See `Ledger.recorded`."""
        rows = await self._read(
            """
            SELECT asked.id FROM unnest(%s::text[]) AS asked (id)
            JOIN ledger.event_ids AS known ON known.id = ledger.event_id(%s, asked.id)
            """,
            (list(message_ids), log),
        )
        return frozenset(found for (found,) in rows)

    async def offsets(self, log: str, partition: int) -> Sequence[Offset]:
        """See `Ledger.offsets`."""
        rows = await self._read(
            """
            SELECT stream, stream_partition, position FROM ledger.offsets
            WHERE log = %s AND partition = %s ORDER BY stream, stream_partition
            """,
            (log, partition),
        )
        return [Offset(stream=Stream(s), partition=p, position=at) for s, p, at in rows]

    async def inputs(
        self, log: str, partition: int, *, after: int = 0, limit: int = 1000
    ) -> Sequence[Input]:
        """See `Ledger.inputs`."""
        rows = await self._read(
            """
            SELECT last, data FROM ledger.input_blocks
            WHERE log = %s AND partition = %s AND last > %s AND first <= %s ORDER BY last
            """,
            (log, partition, after, after + limit),
        )
        inputs = chain.from_iterable(unpack(last, data) for last, data in rows)
        return [entry for entry in inputs if after < entry.number <= after + limit]

    async def snapshot(self, log: str, partition: int) -> Snapshot | None:
        """See `Ledger.snapshot`."""
        rows = await self._read(
            """
            SELECT inputs, sequence, data FROM ledger.snapshots WHERE log = %s AND partition = %s
            UNION ALL
            SELECT 0, sequence, state FROM ledger.anchors
            WHERE log = %s AND partition = %s AND state IS NOT NULL
            ORDER BY sequence DESC LIMIT 1
            """,
            (log, partition, log, partition),
        )
        return next((Snapshot(inputs=i, sequence=n, data=d) for i, n, d in rows), None)

    async def reservations(self, log: str, partition: int) -> dict[str, Decimal]:
        """See `Ledger.reservations`."""
        if (portfolio := self._portfolio()) is None:
            return dict(await self._read(RESERVATIONS, (log, partition)))
        async with _available():
            try:
                return await portfolio.reservations(log, partition)
            finally:
                await portfolio.close()

    async def heads(self, log: str) -> Sequence[Head]:
        """See `Ledger.heads`."""
        rows = await self._read(
            "SELECT partition, sequence, hash FROM ledger.heads WHERE log = %s ORDER BY partition",
            (log,),
        )
        return [Head(log=log, partition=p, sequence=n, hash=h) for p, n, h in rows]

    async def software(self, log: str) -> Mapping[int, str]:
        """See `Ledger.software`."""
        rows = await self._read(
            """
            SELECT h.partition, coalesce(w.software, '') FROM ledger.heads AS h
            LEFT JOIN ledger.writers AS w USING (log, partition, token)
            WHERE h.log = %s ORDER BY h.partition
            """,
            (log,),
        )
        return dict(rows)

    async def record_letters(self, letters: Sequence[DeadLetter]) -> None:
        """See `Ledger.record_letters`."""
        rows = [
            (d.by, d.stream, d.partition, d.position, d.reason, d.attempts, d.data, d.trace)
            for d in letters
        ]
        async with _available():
            connection = await self._connect()
            try:
                async with connection.transaction(), connection.cursor() as cursor:
                    await cursor.executemany(_RECORD_LETTER, rows)
            finally:
                await connection.close()

    async def dead_letters(
        self, *, stream: Stream | None = None, limit: int = 1000
    ) -> Sequence[DeadLetter]:
        """See `Ledger.dead_letters`."""
        rows = await self._read(
            """
            SELECT stream, stream_partition, position, reason, attempts, data, trace
            FROM ledger.dead_letters WHERE %s::text IS NULL OR stream = %s
            ORDER BY number LIMIT %s
            """,
            (stream, stream, limit),
        )
        return [
            DeadLetter(
                stream=Stream(s), partition=p, position=at, reason=r, attempts=a, data=d, trace=t
            )
            for s, p, at, r, a, d, t in rows
        ]

    async def ignored(self, log: str, partition: int, *, limit: int = 1000) -> Sequence[Ignored]:
        """See `Ledger.ignored`."""
        rows = await self._read(
            """
            SELECT data, reason FROM ledger.ignored WHERE log = %s AND partition = %s
            ORDER BY number LIMIT %s
            """,
            (log, partition, limit),
        )
        return [Ignored(message=decode(d), reason=r) for d, r in rows]

    async def close(self) -> None:
        """See `Ledger.close`."""
        for log, partition in list(self._writers):
            await self._forget(log, partition)

    @staticmethod
    async def _make_months(connection: psycopg.AsyncConnection) -> None:
        await connection.execute("SELECT ledger.make_months(%s)", (MONTHS_AHEAD,))
        await connection.commit()

    def _portfolio(self) -> PortfolioDatabase | None:
        url = self._portfolio_url
        return PortfolioDatabase(url, connect_timeout_seconds=self._timeout) if url else None

    async def _connect(self) -> psycopg.AsyncConnection:
        connection = await psycopg.AsyncConnection.connect(
            self._address, connect_timeout=self._timeout, autocommit=True
        )
        try:
            await connection.execute(DROP_PRIVILEGES)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _read(self, query: LiteralString, parameters: Sequence[Any]) -> list[Any]:
        async with _available():
            for _, writer in self._writers.values():
                if not writer.broken:
                    return await writer.read(query, parameters)
            connection = await self._connect()
            try:
                return await rows_of(connection, query, parameters)
            finally:
                await connection.close()

    async def _writer(self, lease: Lease) -> Writer:
        token, writer = self._writers.get((lease.log, lease.partition), (0, None))
        if writer is None or token != lease.token:
            raise fenced(lease.log, lease.partition)
        if writer.broken:
            connection = await self._connect()
            try:
                await writer.resume(connection)
            except BaseException:
                await connection.close()
                raise
        return writer

    async def _forget(self, log: str, partition: int) -> None:
        _, writer = self._writers.pop((log, partition), (0, None))
        if writer is not None:
            await writer.close()


@asynccontextmanager
async def _available() -> AsyncIterator[None]:
    """Say in our words that the server is away."""
    with unavailable():
        yield
