"""What software the newest writer of each partition runs, by its own word."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# By the token, so that a writer that says nothing is not taken for the one before it.
_TABLE = """
CREATE TABLE ledger.writers (
    log text NOT NULL,
    partition integer NOT NULL,
    token bigint NOT NULL,
    software text NOT NULL,
    PRIMARY KEY (log, partition)
);
"""

_RIGHTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_service') THEN
        GRANT SELECT, INSERT, UPDATE ON ledger.writers TO quorum_service;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(_TABLE)
    op.execute(_RIGHTS)
