"""What keeps Merkle trees cheap: hashes of whole blocks of events, and where archives ended."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Both are made from the events and never trusted: an audit hashes the events themselves.
_TABLES = """
CREATE TABLE ledger.tree_blocks (
    log text NOT NULL,
    partition integer NOT NULL,
    number bigint NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (log, partition, number)
);
CREATE TABLE ledger.anchors (
    log text NOT NULL,
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    levels integer[] NOT NULL,
    hashes bytea[] NOT NULL,
    archive text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (log, partition, sequence)
);
"""

_APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.tree_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.anchors
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
"""

_SERVICE_ROLE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_service') THEN
        GRANT SELECT, INSERT ON ledger.tree_blocks TO quorum_service;
        GRANT SELECT ON ledger.anchors TO quorum_service;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Create both tables."""
    for statements in (_TABLES, _APPEND_ONLY, _SERVICE_ROLE):
        op.execute(statements)
