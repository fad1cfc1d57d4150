"""Months of the orders log that can leave the database, and the state that goes on without them.

So far the orders log shared its months with any log that has none of its own; they are its alone
now. A snapshot tells which event of its log it stands behind, and the end of an archive keeps the
state of the log's writer there.
"""

from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE ledger.snapshots ADD COLUMN sequence bigint NOT NULL DEFAULT 0;
ALTER TABLE ledger.anchors ADD COLUMN state bytea;
"""

_MONTHS = """
ALTER TABLE ledger.events DETACH PARTITION ledger.events_other;
DO $$
DECLARE
    known record;
BEGIN
    FOR known IN
        SELECT t.relname AS old, replace(t.relname, 'events_other', 'events_orders') AS new,
            c.conname AS key
        FROM pg_class AS t JOIN pg_constraint AS c ON c.conrelid = t.oid AND c.contype = 'p'
        WHERE t.relnamespace = 'ledger'::regnamespace AND t.relname ~ '^events_other(_|$)'
    LOOP
        EXECUTE format('ALTER TABLE ledger.%I RENAME CONSTRAINT %I TO %I',
            known.old, known.key, known.new || '_pkey');
        EXECUTE format('ALTER TABLE ledger.%I RENAME TO %I', known.old, known.new);
    END LOOP;
END
$$;
ALTER TABLE ledger.events ATTACH PARTITION ledger.events_orders FOR VALUES IN ('orders');
CREATE TABLE ledger.events_other PARTITION OF ledger.events DEFAULT
    PARTITION BY RANGE (recorded_at);
ALTER TABLE ledger.events_other ADD PRIMARY KEY (log, partition, sequence, recorded_at);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.events_other
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
SELECT ledger.make_months(3);
"""


def upgrade() -> None:
    """Add the columns, and give the orders log its own months."""
    op.execute(_COLUMNS)
    op.execute(_MONTHS)
