"""What scores a late vote once its horizon has passed; events in fewer bytes.

A decision of four agents who say much is 5 kB of JSON: compressed it is more than the 2 kB from
which on PostgreSQL puts a value into another table, in chunks that fill its pages badly. MAIN
keeps it, compressed, in its row.

The read side's new columns are filled from what is on record.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE projections.votes ADD COLUMN bound numeric;
ALTER TABLE projections.experiences ADD COLUMN realised jsonb;
UPDATE projections.votes AS v
    SET bound = (convert_from(i.data, 'UTF8')::jsonb #>> '{risk_assessment,bound}')::numeric
    FROM ledger.ignored AS i
    WHERE i.reason = 'late' AND v.ignored_reason = 'late' AND i.message_id = v.message_id;
UPDATE projections.experiences AS x
    SET realised = convert_from(e.data, 'UTF8')::jsonb -> 'realised'
    FROM projections.event_index AS i
    JOIN ledger.events AS e USING (log, partition, sequence)
    WHERE i.message_id = x.message_id AND i.log = 'orders';
UPDATE projections.experiences SET realised = '{}' WHERE realised IS NULL;
ALTER TABLE projections.experiences ALTER COLUMN realised SET NOT NULL;
CREATE INDEX ON projections.votes (proposal_id) WHERE ignored_reason = 'late';
CREATE INDEX ON projections.experiences (decision_id);
"""
_STORAGE = """
ALTER TABLE ledger.events ALTER COLUMN data SET STORAGE MAIN;
ALTER TABLE ledger.input_blocks ALTER COLUMN data SET STORAGE MAIN;
"""


def upgrade() -> None:
    """Add the columns, and store from now on what is recorded in its row."""
    op.execute(_COLUMNS)
    op.execute(_STORAGE)
