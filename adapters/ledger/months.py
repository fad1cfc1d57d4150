"""The months of the decisions log: which can leave the database, and letting one go."""

from datetime import UTC, datetime

import psycopg
from psycopg import sql

from domain.merkle import Subtree
from domain.ports.ledger import Log, TreeHead

LOG = Log.DECISIONS
"""The log whose months stand apart: no process reads it from its beginning when it starts."""

_EVENTS = "events_decisions"
_JOURNAL = "input_blocks"


class Months:
    """The months of a ledger, in one transaction with the owner's privileges.

    Parameters
    ----------
    connection
        In a transaction.
    until
        The first instant (UTC) that is not archived: the beginning of a month.
    """

    def __init__(self, connection: psycopg.Connection, until: datetime) -> None:
        self._connection = connection
        self._until = until

    def ends(self) -> dict[int, int]:
        """Return partition → the last event to archive, where there is any."""
        rows = self._connection.execute(
            """
            SELECT partition, max(sequence) FROM ledger.events_decisions
            WHERE recorded_at < %s GROUP BY partition ORDER BY partition
            """,
            (self._until,),
        )
        return dict(rows.fetchall())

    def later_before(self, ends: dict[int, int]) -> int:
        """Return how many events, recorded later, stand before these ends (the clock went back)."""
        row = self._connection.execute(
            """
            SELECT count(*) FROM ledger.events_decisions AS e
            JOIN unnest(%s::integer[], %s::bigint[]) AS ends (partition, sequence)
                ON e.partition = ends.partition AND e.sequence <= ends.sequence
            WHERE e.recorded_at >= %s
            """,
            (list(ends), list(ends.values()), self._until),
        ).fetchone()
        return row[0] if row else 0

    def detach_outbox(self) -> None:
        """Let messages that may have to be published again carry their own bytes."""
        self._connection.execute(
            """
            UPDATE ledger.outbox AS o SET data = e.data, event_sequence = NULL
            FROM ledger.events_decisions AS e
            WHERE o.log = e.log AND o.partition = e.partition AND o.event_sequence = e.sequence
                AND e.recorded_at < %s
            """,
            (self._until,),
        )

    def anchor(self, head: TreeHead, subtrees: tuple[Subtree, ...], archive: str) -> None:
        """Remember where a partition's archive ends."""
        self._connection.execute(
            """
            INSERT INTO ledger.anchors (log, partition, sequence, hash, levels, hashes, archive)
            VALUES (%s, %s, %s, %s, %s, %s, %s)
            """,
            (
                head.log,
                head.partition,
                head.sequence,
                head.hash,
                [subtree.level for subtree in subtrees],
                [subtree.hash for subtree in subtrees],
                archive,
            ),
        )

    def drop(self) -> list[str]:
        """Drop the archived months of the log, and of the journal those that no start needs.

        Returns the names of the dropped tables.
        """
        dropped = [name for name in self._months(_EVENTS) if self._drop(_EVENTS, name)]
        return dropped + [
            name
            for name in self._months(_JOURNAL)
            if not self._is_needed(name) and self._drop(_JOURNAL, name)
        ]

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

    def _drop(self, parent: str, name: str) -> bool:
        self._connection.execute(
            sql.SQL("ALTER TABLE ledger.{} DETACH PARTITION ledger.{}").format(
                sql.Identifier(parent), sql.Identifier(name)
            )
        )
        self._connection.execute(sql.SQL("DROP TABLE ledger.{}").format(sql.Identifier(name)))
        return True
