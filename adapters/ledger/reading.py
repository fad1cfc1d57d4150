"""Reading the record in one snapshot: all its events, their Merkle trees, and hashes from both."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg

from adapters.ledger.addresses import driver_address
from adapters.ledger.sessions import DROP_PRIVILEGES, unavailable
from adapters.ledger.stored import read
from domain.errors import InvalidValue
from domain.merkle import CompactRange, Range, Subtree, leaf_hash
from domain.ports.ledger import Anchor, Head, Recorded, TreeHead

BLOCK_LEVEL = 10
"""Each complete subtree of 2 ** 10 events has its hash kept (`ledger.tree_blocks`)."""

_BLOCK = 1 << BLOCK_LEVEL
_FETCH = 1000


@contextmanager
def snapshot(url: str, *, as_owner: bool = False) -> Iterator[psycopg.Connection]:
    """Yield a connection whose transaction sees the ledger as it stood at its first query.

    Parameters
    ----------
    as_owner
        Keep the privileges that the address gives, instead of those of the service.

    Raises
    ------
    domain.errors.RecordUnavailable
        If the ledger can't be reached, or written.
    """
    with unavailable(), psycopg.connect(driver_address(url)) as connection:
        if not as_owner:
            connection.execute(DROP_PRIVILEGES)
            connection.commit()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield connection


class Record:
    """The record as one transaction sees it.

    Parameters
    ----------
    connection
        In a transaction (see `snapshot`).
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def heads(self) -> list[Head]:
        """Return the end of every partition of every log, by log and partition."""
        rows = self._connection.execute(
            "SELECT log, partition, sequence, hash FROM ledger.heads ORDER BY log, partition"
        )
        return [Head(log=log, partition=p, sequence=n, hash=h) for log, p, n, h in rows]

    def anchors(self) -> list[Anchor]:
        """Return where partitions begin whose older events were archived."""
        rows = self._connection.execute(
            """
            SELECT DISTINCT ON (log, partition) log, partition, sequence, hash, levels, hashes
            FROM ledger.anchors ORDER BY log, partition, sequence DESC
            """
        )
        return [
            Anchor(
                log=log,
                partition=partition,
                sequence=sequence,
                hash=digest,
                subtrees=tuple(map(Subtree, levels, hashes)),
            )
            for log, partition, sequence, digest, levels, hashes in rows
        ]

    def archived_state(self, log: str, partition: int) -> bytes | None:
        """Return what a log's writer knew where its archive ends, if that was kept."""
        row = self._connection.execute(
            """
            SELECT state FROM ledger.anchors WHERE log = %s AND partition = %s
            ORDER BY sequence DESC LIMIT 1
            """,
            (log, partition),
        ).fetchone()
        return row[0] if row else None

    def entries(
        self, log: str | None = None, *, before: datetime | None = None
    ) -> Iterator[Recorded]:
        """Yield every event of a log, or of all, partition by partition, each in its order.

        Parameters
        ----------
        before
            Only what was recorded before that instant.
        """
        with self._connection.cursor("entries") as cursor:
            cursor.itersize = _FETCH
            cursor.execute(
                """
                SELECT log, partition, sequence, data, hash FROM ledger.events
                WHERE (%(log)s::text IS NULL OR log = %(log)s)
                    AND (%(before)s::timestamptz IS NULL OR recorded_at < %(before)s)
                ORDER BY log, partition, sequence
                """,
                {"log": log, "before": before},
                binary=True,
            )
            for name, partition, sequence, data, digest in cursor:
                yield Recorded(
                    log=name, partition=partition, sequence=sequence, data=read(data), hash=digest
                )

    def find(self, log: str, message_id: str) -> Recorded | None:
        """Return the event of that id."""
        row = self._connection.execute(
            """
            SELECT e.partition, e.sequence, e.data, e.hash FROM ledger.event_ids AS i
            JOIN ledger.events AS e ON e.log = %(log)s
                AND e.partition = i.partition AND e.sequence = i.sequence
            WHERE i.id = ledger.event_id(%(log)s, %(id)s)
            """,
            {"log": log, "id": message_id},
            binary=True,
        ).fetchone()
        if row is None:
            return None
        partition, sequence, data, digest = row
        return Recorded(
            log=log, partition=partition, sequence=sequence, data=read(data), hash=digest
        )


class Trees:
    """The Merkle trees of a record, from the hashes of whole blocks where there are some."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._anchors = {(a.log, a.partition): a for a in Record(connection).anchors()}

    def keep_blocks(self, head: Head) -> None:
        """Keep the hashes of all blocks that a partition has filled."""
        row = self._connection.execute(
            "SELECT max(number) FROM ledger.tree_blocks WHERE log = %s AND partition = %s",
            (head.log, head.partition),
        ).fetchone()
        anchor = self._anchors.get((head.log, head.partition))
        # The block in which an archive ended is not whole here; its subtrees are in the anchor.
        first = -(-anchor.sequence // _BLOCK) if anchor else 0
        if row and row[0] is not None:
            first = max(first, row[0] + 1)
        for number in range(first, head.sequence // _BLOCK):
            block = Range(number * _BLOCK, (number + 1) * _BLOCK)
            tree = CompactRange()
            for digest in self._leaves(head.log, head.partition, block):
                tree.append(digest)
            self._connection.execute(
                "INSERT INTO ledger.tree_blocks VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (head.log, head.partition, number, tree.root()),
            )

    def head(self, head: Head) -> TreeHead:
        """Return a head with the root of the tree up to it."""
        return TreeHead(
            log=head.log,
            partition=head.partition,
            sequence=head.sequence,
            hash=head.hash,
            root=self.tree(head.log, head.partition, Range(0, head.sequence)).root(),
        )

    def tree(self, log: str, partition: int, leaves: Range) -> CompactRange:
        """Return the tree over a range of leaves that `domain.merkle` asks for, or from 0.

        Raises
        ------
        InvalidValue
            If it needs the hash of an event that was archived.
        """
        tree = CompactRange()
        for subtree in self._subtrees(log, partition, leaves):
            tree.append(subtree.hash, subtree.level)
        return tree

    def _subtrees(self, log: str, partition: int, leaves: Range) -> Iterator[Subtree]:
        blocks = self._blocks(log, partition, leaves)
        archived, whole = self._archived(log, partition)
        position = leaves.start
        while position < leaves.end:
            subtree = whole.get(position)
            if subtree is not None and position + (1 << subtree.level) <= leaves.end:
                yield subtree
                position += 1 << subtree.level
            elif (digest := blocks.get(position)) is not None:
                yield Subtree(BLOCK_LEVEL, digest)
                position += _BLOCK
            else:
                if position < archived:
                    raise InvalidValue(
                        f"Event {position + 1} of {log}/{partition} was archived.",
                        next_step="Ask the archive's export that holds it.",
                    )
                end = min([leaves.end, *(start for start in blocks if start > position)])
                for digest in self._leaves(log, partition, Range(position, end)):
                    yield Subtree(0, digest)
                position = end

    def _archived(self, log: str, partition: int) -> tuple[int, dict[int, Subtree]]:
        """Return how many events were archived, and their largest subtrees by first leaf."""
        anchor = self._anchors.get((log, partition))
        if anchor is None:
            return 0, {}
        found: dict[int, Subtree] = {}
        position = 0
        for subtree in anchor.subtrees:
            found[position] = subtree
            position += 1 << subtree.level
        return anchor.sequence, found

    def _blocks(self, log: str, partition: int, leaves: Range) -> dict[int, bytes]:
        """Return first leaf → hash of the kept blocks that lie within a range."""
        rows = self._connection.execute(
            """
            SELECT number, hash FROM ledger.tree_blocks
            WHERE log = %s AND partition = %s AND number >= %s AND number < %s ORDER BY number
            """,
            (log, partition, -(-leaves.start // _BLOCK), leaves.end // _BLOCK),
            binary=True,
        )
        return {number * _BLOCK: digest for number, digest in rows}

    def _leaves(self, log: str, partition: int, leaves: Range) -> Iterable[bytes]:
        rows = self._connection.execute(
            """
            SELECT data FROM ledger.events
            WHERE log = %s AND partition = %s AND sequence > %s AND sequence <= %s
            ORDER BY sequence
            """,
            (log, partition, leaves.start, leaves.end),
            binary=True,
        ).fetchall()
        return [leaf_hash(read(data)) for (data,) in rows]
