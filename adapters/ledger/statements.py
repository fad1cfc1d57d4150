"""What a commit writes, as parts of one statement: the driver's cost is by statement.

Each part is a common table expression; `ADVANCE`, which refuses a writer that was fenced, is what
they stand before. No two parts of a commit may touch the same row.
"""

from collections.abc import Sequence
from typing import Any, LiteralString

#: A part, and what stands for its placeholders.
Part = tuple[LiteralString, Sequence[Any]]

ADVANCE = "SELECT ledger.advance(%s, %s, %s, %s, %s, %s, %b, %s)"
EVENTS = """events AS (
    INSERT INTO ledger.events (log, partition, sequence, message_id, occurred_at, data, hash)
    SELECT %s, %s, %s + e.n, e.message_id, e.occurred_at, e.data, e.hash
    FROM unnest(%s::text[], %s::timestamptz[], %s::bytea[], %s::bytea[])
        WITH ORDINALITY AS e (message_id, occurred_at, data, hash, n)
)"""
OFFSETS = """offsets AS (
    INSERT INTO ledger.offsets (log, partition, stream, stream_partition, position)
    SELECT %s, %s, o.* FROM unnest(%s::text[], %s::integer[], %s::text[]) AS o
    ON CONFLICT (log, partition, stream, stream_partition)
    DO UPDATE SET position = excluded.position
)"""
INPUTS = """inputs AS (
    INSERT INTO ledger.input_blocks (log, partition, first, last, data) VALUES (%s, %s, %s, %s, %b)
)"""
SNAPSHOT = """snapshot AS (
    INSERT INTO ledger.snapshots (log, partition, inputs, sequence, data)
    VALUES (%s, %s, %s, %s, %b)
    ON CONFLICT (log, partition) DO UPDATE
    SET inputs = excluded.inputs, sequence = excluded.sequence, data = excluded.data
)"""
OUTBOX = """outbox AS (
    INSERT INTO ledger.outbox
        (log, partition, stream, stream_partition, sequence, event_sequence, data)
    SELECT %s, %s, o.*
    FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::bigint[], %s::bytea[]) AS o
)"""
MOVE_OUTBOX_HEADS = """moved AS (
    INSERT INTO ledger.outbox_heads AS h
        (log, partition, stream, stream_partition, sequence, published)
    SELECT %s, %s, o.* FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::bigint[]) AS o
    ON CONFLICT (stream, stream_partition) DO UPDATE
    SET sequence = excluded.sequence, published = greatest(h.published, excluded.published)
)"""
DEAD_LETTERS = """dead_letters AS (
    INSERT INTO ledger.dead_letters
        (log, stream, stream_partition, position, reason, attempts, data, trace)
    SELECT %s, d.* FROM unnest(%s::text[], %s::integer[], %s::text[], %s::text[], %s::integer[],
        %b::bytea[], %s::text[]) AS d
    ON CONFLICT (log, stream, stream_partition, position) DO NOTHING
)"""
IGNORED = """ignored AS (
    INSERT INTO ledger.ignored (log, partition, message_id, reason, data)
    SELECT %s, %s, i.* FROM unnest(%s::text[], %s::text[], %b::bytea[]) AS i
)"""
PUBLISHED = """published AS (
    UPDATE ledger.outbox_heads AS h SET published = p.sequence
    FROM unnest(%s::text[], %s::integer[], %s::bigint[]) AS p (stream, stream_partition, sequence)
    WHERE h.stream = p.stream AND h.stream_partition = p.stream_partition
        AND h.published < p.sequence
)"""

# Kept until every log that takes the stream in has done so, and the newest for who keeps none.
FORGET = """forgotten AS (
    DELETE FROM ledger.outbox AS o USING (
        SELECT p.stream, p.stream_partition, least(p.sequence - %s, (
            SELECT coalesce(min(split_part(t.position, '-', 1)::bigint),
                            CASE WHEN p.on_record THEN 0 ELSE p.sequence END)
            FROM ledger.offsets AS t
            WHERE t.stream = p.stream AND t.stream_partition = p.stream_partition
        )) AS bound
        FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::boolean[])
            AS p (stream, stream_partition, sequence, on_record)
    ) AS old
    WHERE o.stream = old.stream AND o.stream_partition = old.stream_partition
        AND o.sequence <= old.bound
)"""
RESERVE = """reserved AS (
    INSERT INTO ledger.reservations (log, partition, client_order_id, amount)
    SELECT %s, %s, r.* FROM unnest(%s::text[], %s::numeric[]) AS r
    ON CONFLICT (log, partition, client_order_id) DO UPDATE SET amount = excluded.amount
)"""
RELEASE = """released AS (
    DELETE FROM ledger.reservations
    WHERE log = %s AND partition = %s AND client_order_id = any(%s::text[])
)"""
DECIDE = """decided AS (
    INSERT INTO ledger.two_phase_commits (log, partition, transaction) VALUES (%s, %s, %s)
)"""
FINISH = """finished AS (
    DELETE FROM ledger.two_phase_commits
    WHERE log = %s AND partition = %s AND transaction = any(%s::text[])
)"""
