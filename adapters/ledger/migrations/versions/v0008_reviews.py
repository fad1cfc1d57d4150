"""Beside manual reviews: who looks at one just now, and which announcements were delivered."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE ledger.review_claims (
    decision_id text PRIMARY KEY,
    actor text NOT NULL,
    claimed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE TABLE ledger.review_notices (
    notice_id text PRIMARY KEY,
    attempts integer NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    delivered_at timestamptz
);
"""

_SERVICE_ROLE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_service') THEN
        GRANT SELECT, INSERT, UPDATE ON ledger.review_claims, ledger.review_notices
            TO quorum_service;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Create both tables."""
    op.execute(_TABLES)
    op.execute(_SERVICE_ROLE)
