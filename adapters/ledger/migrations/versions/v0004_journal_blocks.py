"""The journal in blocks, one a commit, compressed; outbox rows may be deleted once not needed."""

from collections.abc import Sequence
from typing import Any

import msgspec
from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BLOCK = 512

_TABLES = """
CREATE TABLE ledger.input_blocks (
    log text NOT NULL,
    partition integer NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (log, partition, last),
    CHECK (first <= last)
);
DO $$
BEGIN
    IF 'lz4' = ANY (SELECT unnest(enumvals) FROM pg_settings
                    WHERE name = 'default_toast_compression') THEN
        ALTER TABLE ledger.input_blocks ALTER COLUMN data SET COMPRESSION lz4;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_service') THEN
        GRANT SELECT, INSERT ON ledger.input_blocks TO quorum_service;
        GRANT DELETE ON ledger.outbox TO quorum_service;
    END IF;
END
$$;
"""
_ROWS = text("""
    SELECT log, partition, number, stream, stream_partition, position, data FROM ledger.inputs
    ORDER BY log, partition, number
""")
_INSERT = text("""
    INSERT INTO ledger.input_blocks (log, partition, first, last, data)
    VALUES (:log, :partition, :first, :last, :data)
""")


def upgrade() -> None:
    """Make the table, move the journal over, and drop the old one."""
    op.execute(_TABLES)
    connection = op.get_bind()
    block: list[Sequence[Any]] = []

    def write() -> None:
        if block:
            log, partition, first = block[0][:3]
            data = msgspec.msgpack.encode([(s, p, at, bytes(d)) for *_, s, p, at, d in block])
            connection.execute(
                _INSERT,
                {
                    "log": log,
                    "partition": partition,
                    "first": first,
                    "last": block[-1][2],
                    "data": data,
                },
            )
            block.clear()

    with connection.execute(_ROWS.execution_options(yield_per=_BLOCK)) as rows:
        for row in rows:
            if len(block) == _BLOCK or (block and tuple(block[-1][:2]) != tuple(row[:2])):
                write()
            block.append(row)
        write()
    op.execute("DROP TABLE ledger.inputs")
