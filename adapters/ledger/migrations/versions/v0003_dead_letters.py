"""What persons do about dead letters, once each; both tables are append only."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE ledger.dead_letter_answers (
    letter bigint PRIMARY KEY REFERENCES ledger.dead_letters (number),
    action text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
"""

_APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.dead_letters
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.dead_letter_answers
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
"""

_SERVICE_ROLE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_service') THEN
        GRANT SELECT, INSERT ON ledger.dead_letter_answers TO quorum_service;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Create the table of answers, and let nobody change a letter or an answer."""
    for statements in (_TABLES, _APPEND_ONLY, _SERVICE_ROLE):
        op.execute(statements)
