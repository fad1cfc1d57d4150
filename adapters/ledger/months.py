"""The months of a log: which can leave the database, and letting one go."""

from datetime import UTC, datetime

import psycopg
from psycopg import sql

from domain.merkle import Subtree
from domain.ports.ledger import Log, TreeHead

_JOURNAL = "input_blocks"


class Months:
    """The months of a log, in one transaction with the owner's privileges.

    Parameters
    ----------
    connection
        In a transaction.
    log
        Whose months; those of the journal go with the log of decisions.
    until
        The first instant (UTC) that is not archived: the beginning of a month.
    """

    def __init__(self, connection: psycopg.Connection, log: Log, until: datetime) -> None:
        self._connection = connection
        self._log = log
        self._until = until

    def ends(self) -> dict[int, int]:
        """Return partition → the last event to archive, where there is any."""
        rows = self._connection.execute(
            """
            SELECT partition, max(sequence) FROM ledger.events
            WHERE log = %s AND recorded_at < %s GROUP BY partition ORDER BY partition
            """,
            (self._log, self._until),
        )
        return dict(rows.fetchall())

    def later_before(self, ends: dict[int, int]) -> int:
        """Return how many events, recorded later, stand before these ends (the clock went back)."""
        row = self._connection.execute(
            """
            SELECT count(*) FROM ledger.events AS e
            JOIN unnest(%s::integer[], %s::bigint[]) AS ends (partition, sequence)
                ON e.partition = ends.partition AND e.sequence <= ends.sequence
            WHERE e.log = %s AND e.recorded_at >= %s
            """,
            (list(ends), list(ends.values()), self._log, self._until),
        ).fetchone()
        return row[0] if row else 0

    def detach_outbox(self) -> None:
        """Let messages that may have to be published again carry their own bytes."""
        self._connection.execute(
            """
            UPDATE ledger.outbox AS o SET data = e.data, event_sequence = NULL
            FROM ledger.events AS e
            WHERE o.log = e.log AND o.partition = e.partition AND o.event_sequence = e.sequence
                AND e.log = %s AND e.recorded_at < %s
            """,
            (self._log, self._until),
        )

    def anchor(
        self, head: TreeHead, subtrees: tuple[Subtree, ...], archive: str, state: bytes | None
    ) -> None:
        """Remember where a partition's archive ends, and what the log's writer knows there."""
        self._connection.execute(
            """
            INSERT INTO ledger.anchors
                (log, partition, sequence, hash, levels, hashes, archive, state)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
            """,
            (
                head.log,
                head.partition,
                head.sequence,
                head.hash,
                [subtree.level for subtree in subtrees],
                [subtree.hash for subtree in subtrees],
                archive,
                state,
            ),
        )

    def drop(self) -> list[str]:
        """Drop the archived months of the log, and of the journal those that no start needs.

        Returns the names of the dropped tables.
        """
        events = f"events_{self._log}"
        gone = dict.fromkeys(self._months(events), events)
        if self._log is Log.DECISIONS:
            blocks = [name for name in self._months(_JOURNAL) if not self._is_needed(name)]
            gone |= dict.fromkeys(blocks, _JOURNAL)
        for name, parent in gone.items():
            self._drop(parent, name)
        return list(gone)

    def _months(self, parent: str) -> list[str]:
        """Return the partitions of a table that lie before the end, oldest first."""
        last = f"{parent}_{self._until.astimezone(UTC):%Y_%m}"
        rows = self._connection.execute(
            """
            SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
            WHERE i.inhparent = format('ledger.%%I', %s::text)::regclass AND c.relname < %s
            ORDER BY c.relname
            """,
            (parent, last),
        )
        return [name for (name,) in rows]

    def _is_needed(self, name: str) -> bool:
        """Whether a process that starts would read a month of the journal."""
        query = sql.SQL(
            """
            SELECT EXISTS (
                SELECT FROM ledger.{} AS i LEFT JOIN ledger.snapshots AS s USING (log, partition)
                WHERE i.last > coalesce(s.inputs, 0)
            )
            """
        ).format(sql.Identifier(name))
        return self._connection.execute(query).fetchone() != (False,)

    def _drop(self, parent: str, name: str) -> None:
        self._connection.execute(
            sql.SQL("ALTER TABLE ledger.{} DETACH PARTITION ledger.{}").format(
                sql.Identifier(parent), sql.Identifier(name)
            )
        )
        self._connection.execute(sql.SQL("DROP TABLE ledger.{}").format(sql.Identifier(name)))
