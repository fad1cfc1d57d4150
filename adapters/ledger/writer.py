"""One writer's connection: the lease it holds, and its transactions."""

from collections.abc import Iterable, Sequence
from typing import Any, LiteralString
from zlib import crc32

import psycopg

from adapters.ledger import statements as parts
from adapters.ledger.arrays import bigints, blobs, integers, moments, texts
from adapters.ledger.journal import pack
from adapters.ledger.portfolio_database import PortfolioDatabase, Transaction, reserving
from adapters.ledger.stored import stored
from domain.chain import link
from domain.errors import AlreadyRecorded, Fenced, RecordUnavailable, SequenceConflict
from domain.messages import encode
from domain.ports.ledger import Commit, Committed, Lease, OutboxItem
from domain.streams import NEEDED_BY, Stream

# The lock queues standbys; the token, checked in every commit, is what fences.
_LOCK = "SELECT pg_advisory_lock(%s, %s)"
_TRY_LOCK = "SELECT pg_try_advisory_lock(%s, %s)"
_TAKE_OVER = """
    INSERT INTO ledger.heads AS h (log, partition, token, revision, sequence, hash, inputs)
    VALUES (%s, %s, 1, 0, 0, decode(repeat('00', 32), 'hex'), 0)
    ON CONFLICT (log, partition) DO UPDATE SET token = h.token + 1
    RETURNING token, revision, sequence, hash, inputs
"""
_SAY = """
    INSERT INTO ledger.writers AS w (log, partition, token, software) VALUES (%s, %s, %s, %s)
    ON CONFLICT (log, partition) DO UPDATE SET token = excluded.token, software = excluded.software
    WHERE w.token < excluded.token
"""
_HEAD = """
    SELECT token, revision, sequence, hash, inputs FROM ledger.heads
    WHERE log = %s AND partition = %s
"""
_OUTBOX_HEADS = """
    SELECT stream, stream_partition, sequence FROM ledger.outbox_heads
    WHERE log = %s AND partition = %s
"""
_DECIDED = "SELECT transaction FROM ledger.two_phase_commits WHERE log = %s AND partition = %s"
_LONG_EVENT = 400  # bytes, of an event that is worth compressing
_ONE_EVENT_AN_ID = "event_ids_pkey"
_OUTBOX_KEPT = 10_000
_FORGOTTEN_AT_ONCE = 2_000

_Statement = tuple[LiteralString, Sequence[Any]]
_NOT_DURABLE: _Statement = ("SELECT set_config('synchronous_commit', 'off', true)", ())
_Place = tuple[Stream, int]


class Writer:
    """Holds one lease and commits under it.

    What it knows of the log's end it learnt when it took the lease, and moves on with every
    commit, so that a commit reads nothing.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection,
        log: str,
        partition: int,
        portfolio: PortfolioDatabase | None = None,
        *,
        software: str = "",
    ) -> None:
        self._connection = connection
        self._portfolio = portfolio
        self._software = software
        self._finished: list[str] = []
        self._in_doubt = portfolio is not None
        self._log = log
        self._partition = partition
        self._token = 0
        self._revision = 0
        self._sequence = 0
        self._hash = b""
        self._inputs = 0
        self._published: dict[_Place, int] = {}
        self._forgotten: dict[_Place, int] = {}
        self._unheard: tuple[Commit, Committed] | None = None
        self._found: tuple[Commit, Committed] | None = None

    async def acquire(self) -> Lease:
        """Wait for the partition and become its writer."""
        await self._connection.execute(_LOCK, self._lock_key)
        cursor = await self._connection.execute(_TAKE_OVER, (self._log, self._partition))
        self._learn(await cursor.fetchone())
        said = self._log, self._partition, self._token, self._software
        await self._connection.execute(_SAY, said)
        await self._learn_outbox()
        await self._resolve()
        return Lease(
            log=self._log, partition=self._partition, token=self._token, sequence=self._sequence
        )

    async def resume(self, connection: psycopg.AsyncConnection) -> None:
        """Go on over a new connection, if nobody took the partition over meanwhile."""
        cursor = await connection.execute(_TRY_LOCK, self._lock_key)
        locked = await cursor.fetchone()
        cursor = await connection.execute(_HEAD, (self._log, self._partition))
        head = await cursor.fetchone()
        if head is None or head[0] != self._token:
            raise fenced(self._log, self._partition)
        if not locked or not locked[0]:
            # Our own broken session may linger on the server, or a standby is just taking over.
            raise RecordUnavailable(
                f"The lease on {self._log}/{self._partition} is not free yet.",
                next_step="Nothing: it is asked for again.",
            )
        self._connection = connection
        self._in_doubt = self._portfolio is not None
        if self._unheard is not None and head[1] == self._revision + 1:
            self._found = self._unheard  # the commit whose answer was lost did happen
            self._learn(head)
            await self._learn_outbox()
        self._unheard = None

    @property
    def broken(self) -> bool:
        """Whether the connection is gone."""
        return self._connection.closed

    async def commit(self, commit: Commit) -> Committed:
        """Write everything in one transaction: one statement, one round trip.

        Reservations of a portfolio with a database of its own are prepared there before, and
        committed there behind it.
        """
        await self._resolve()
        found, self._found = self._found, None
        if found is not None and found[0] == commit:
            return found[1]
        if commit.expected_sequence != self._sequence:
            raise SequenceConflict(
                f"Log {self._log}/{self._partition} ends at {self._sequence}, "
                f"not at {commit.expected_sequence}.",
                next_step="Start the process again; it recovers from the log.",
            )
        second = self._transaction if self._portfolio and commit.reservations else None
        committed, new_hash, (statement, parameters) = self._statement(commit, second)
        if self._portfolio and second:
            self._in_doubt = True
            await self._portfolio.prepare(second, commit.reservations)
        self._unheard = commit, committed
        try:
            await self._connection.execute(statement, parameters)
        except psycopg.OperationalError:
            # Whether it happened is learnt on a new connection (`resume`).
            await self._connection.close()
            raise
        except psycopg.DatabaseError as problem:
            self._unheard = None
            await self._resolve()
            raise self._conflict(problem) from problem
        self._unheard = None
        if second:
            self._finished = []
        self._revision += 1
        self._sequence = committed.sequence
        self._hash = new_hash
        self._inputs += len(commit.inputs)
        for item in committed.outbox:
            self._published[item.stream, item.partition] = item.sequence
        if self._portfolio and second:
            self._found = commit, committed  # should the other half not answer
            await self._portfolio.commit()
            self._found, self._in_doubt, self._finished = None, False, [str(second)]
        return committed

    @property
    def _transaction(self) -> Transaction:
        return Transaction(self._log, self._partition, self._token, self._revision)

    async def _resolve(self) -> None:
        """Finish or undo what an earlier commit left prepared in the portfolio's database."""
        if self._portfolio is None or not self._in_doubt:
            return
        own = self._log, self._partition
        decided = [found for (found,) in await rows_of(self._connection, _DECIDED, own)]
        await self._portfolio.resolve(self._transaction, decided)
        self._in_doubt, self._finished = False, decided

    async def mark_published(self, items: Sequence[OutboxItem]) -> None:
        """Move the published mark; not durable at once, since publishing again is harmless."""
        last = {(i.stream, i.partition): i.sequence for i in items}
        try:
            statement, parameters = _together([(parts.PUBLISHED, _columns(last))], _NOT_DURABLE)
            await self._connection.execute(statement, parameters)
        except psycopg.OperationalError:
            await self._connection.close()
            raise

    async def read(self, query: LiteralString, parameters: Sequence[Any]) -> list[Any]:
        """Return the rows of a query."""
        try:
            return await rows_of(self._connection, query, parameters)
        except psycopg.OperationalError:
            await self._connection.close()
            raise

    async def close(self) -> None:
        """Give the lease up."""
        await self._connection.close()
        if self._portfolio is not None:
            await self._portfolio.close()

    @property
    def _lock_key(self) -> tuple[int, int]:
        return crc32(self._log.encode()) - 2**31, self._partition

    def _learn(self, head: Sequence[Any] | None) -> None:
        if head is None:
            raise fenced(self._log, self._partition)
        self._token, self._revision, self._sequence, self._hash, self._inputs = head

    async def _learn_outbox(self) -> None:
        cursor = await self._connection.execute(_OUTBOX_HEADS, (self._log, self._partition))
        self._published = {(Stream(s), p): n for s, p, n in await cursor.fetchall()}

    def _statement(
        self, commit: Commit, second: Transaction | None
    ) -> tuple[Committed, bytes, _Statement]:
        own = self._log, self._partition
        data = [encode(event) for event in commit.events]
        hashes: list[bytes] = []
        head = self._hash
        for event in data:
            head = link(head, event)
            hashes.append(head)
        sequence = self._sequence + len(data)
        inputs = self._inputs + len(commit.inputs)
        items, references = self._number(commit)
        written: list[_Statement] = []
        if commit.events:
            columns = (
                texts([event.message_id for event in commit.events]),
                moments([event.occurred_at for event in commit.events]),
                blobs([stored(event, shortest=_LONG_EVENT) for event in data]),
                blobs(hashes),
            )
            written.append((parts.EVENTS, (*own, self._sequence, *columns)))
        if commit.offsets:
            offsets = {(o.stream, o.partition): o.position for o in commit.offsets}
            written.append((parts.OFFSETS, (*own, *_columns(offsets))))
        if commit.inputs:
            written.append((parts.INPUTS, (*own, self._inputs + 1, inputs, pack(commit.inputs))))
        if commit.snapshot is not None:
            written.append((parts.SNAPSHOT, (*own, inputs, sequence, commit.snapshot)))
        marks = {(i.stream, i.partition): i.sequence for i in commit.published}
        written += self._forget(marks)
        if items:
            columns = (
                texts([item.stream for item in items]),
                integers([item.partition for item in items]),
                bigints([item.sequence for item in items]),
                bigints(references),
                blobs(
                    [
                        None if number else encode(item.message)
                        for item, number in zip(items, references, strict=True)
                    ]
                ),
            )
            written.append((parts.OUTBOX, (*own, *columns)))
            last = {(i.stream, i.partition): i.sequence for i in items}
            both = [marks.pop(place, 0) for place in last]
            written.append((parts.MOVE_OUTBOX_HEADS, (*own, *_columns(last), both)))
        if commit.dead_letters:
            letters = _transpose(
                (d.stream, d.partition, d.position, d.reason, d.attempts, d.data, d.trace)
                for d in commit.dead_letters
            )
            written.append((parts.DEAD_LETTERS, (self._log, *letters)))
        if commit.ignored:
            without = _transpose(
                (i.message.message_id, i.reason, encode(i.message)) for i in commit.ignored
            )
            written.append((parts.IGNORED, (*own, *without)))
        if marks:
            written.append((parts.PUBLISHED, _columns(marks)))
        if second:
            written.append((parts.DECIDE, (*own, str(second))))
            written.append((parts.FINISH, (*own, self._finished)))
        elif commit.reservations:
            written += reserving(own, commit.reservations)
        advance = (*own, self._token, self._revision, self._sequence, sequence, head, inputs)
        statement = _together(written, (parts.ADVANCE, advance))
        return Committed(sequence=sequence, outbox=tuple(items)), head, statement

    def _forget(self, marks: dict[_Place, int]) -> list[_Statement]:
        """Return how to delete outbox rows that nobody needs any more, once there are many."""
        due = {
            place: last
            for place, last in marks.items()
            if last - self._forgotten.get(place, 0) >= _OUTBOX_KEPT + _FORGOTTEN_AT_ONCE
        }
        if not due:
            return []
        self._forgotten |= {place: last - _OUTBOX_KEPT for place, last in due.items()}
        on_record = [stream in NEEDED_BY for stream, _ in due]
        return [(parts.FORGET, (_OUTBOX_KEPT, *_columns(due), on_record))]

    def _number(self, commit: Commit) -> tuple[list[OutboxItem], list[int | None]]:
        """Return what is to be published, numbered, and which event of the commit each one is."""
        events = {e.message_id: self._sequence + n for n, e in enumerate(commit.events, 1)}
        last = dict(self._published)
        items: list[OutboxItem] = []
        for outgoing in commit.outbox:
            place = outgoing.stream, outgoing.partition
            last[place] = last.get(place, 0) + 1
            items.append(
                OutboxItem(
                    stream=outgoing.stream,
                    partition=outgoing.partition,
                    sequence=last[place],
                    message=outgoing.message,
                )
            )
        return items, [events.get(item.message.message_id) for item in items]

    def _conflict(self, problem: psycopg.DatabaseError) -> Exception:
        if problem.sqlstate == "QU001":
            return fenced(self._log, self._partition)
        if problem.diag.constraint_name == _ONE_EVENT_AN_ID:
            return already_recorded(self._log, self._partition)
        if problem.sqlstate in ("QU002", "23505"):
            return SequenceConflict(
                f"Log {self._log}/{self._partition} refused a commit: {problem}.",
                next_step="Start the process again; it recovers from the log.",
            )
        return problem


async def rows_of(
    connection: psycopg.AsyncConnection, query: LiteralString, parameters: Sequence[Any]
) -> list[Any]:
    """Return the rows of a query, read in binary."""
    return await (await connection.execute(query, parameters, binary=True)).fetchall()


def fenced(log: str, partition: int) -> Fenced:
    """Return the error of a writer whose lease another process holds by now."""
    return Fenced(
        f"Another process writes {log}/{partition} by now.",
        kept="Nothing of this process's last batch was written.",
        next_step="Nothing: the other process goes on; start this one again as its standby.",
    )


def already_recorded(log: str, partition: int) -> AlreadyRecorded:
    """Return the error of a commit with an event whose id the log knows from somewhere else."""
    return AlreadyRecorded(
        f"A commit to {log}/{partition} holds an event that is on record already.",
        kept="Nothing of the commit was written.",
        next_step="Take in its messages one by one; the one that causes the event has no effect.",
    )


def _together(written: Sequence[_Statement], last: _Statement) -> _Statement:
    """Return one statement that writes all parts and ends with `last`."""
    expressions = ", ".join([text for text, _ in written])
    parameters = [parameter for _, some in (*written, last) for parameter in some]
    return (f"WITH {expressions} {last[0]}" if written else last[0]), parameters


def _transpose(rows: Iterable[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))


def _columns(values: dict[_Place, Any]) -> tuple[list[str], list[int], list[Any]]:
    return [s for s, _ in values], [p for _, p in values], list(values.values())
