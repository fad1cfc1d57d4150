"""Capital that open orders hold, and which two-phase commits were decided.

Reservations stand in the record's database, or in one of the portfolio's own; then a row of
`two_phase_commits`, written with the order intents, says that the other half is to be committed.
"""

from alembic import op

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE ledger.reservations (
    log text NOT NULL,
    partition integer NOT NULL,
    client_order_id text NOT NULL,
    amount numeric NOT NULL CHECK (amount > 0),
    PRIMARY KEY (log, partition, client_order_id)
);
CREATE TABLE ledger.two_phase_commits (
    log text NOT NULL,
    partition integer NOT NULL,
    transaction text NOT NULL,
    PRIMARY KEY (log, partition, transaction)
);
"""

_RIGHTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.reservations TO quorum_service;
        GRANT SELECT, INSERT, DELETE ON ledger.two_phase_commits TO quorum_service;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(_TABLES)
    op.execute(_RIGHTS)
