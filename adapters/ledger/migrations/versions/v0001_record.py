"""The record: logs, their inputs and outbox, dead letters; append only where it must be."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE ledger.heads (
    log text NOT NULL,
    partition integer NOT NULL,
    token bigint NOT NULL,
    revision bigint NOT NULL,
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    inputs bigint NOT NULL,
    PRIMARY KEY (log, partition)
);
CREATE TABLE ledger.events (
    log text NOT NULL,
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    message_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    data bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (log, partition, sequence),
    UNIQUE (log, message_id)
);
CREATE TABLE ledger.offsets (
    log text NOT NULL,
    partition integer NOT NULL,
    stream text NOT NULL,
    stream_partition integer NOT NULL,
    position text NOT NULL,
    PRIMARY KEY (log, partition, stream, stream_partition)
);
CREATE TABLE ledger.inputs (
    log text NOT NULL,
    partition integer NOT NULL,
    number bigint NOT NULL,
    stream text NOT NULL,
    stream_partition integer NOT NULL,
    position text NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (log, partition, number)
);
CREATE TABLE ledger.snapshots (
    log text NOT NULL,
    partition integer NOT NULL,
    inputs bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (log, partition)
);
CREATE TABLE ledger.outbox_heads (
    stream text NOT NULL,
    stream_partition integer NOT NULL,
    log text NOT NULL,
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    published bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (stream, stream_partition)
);
CREATE TABLE ledger.outbox (
    stream text NOT NULL,
    stream_partition integer NOT NULL,
    sequence bigint NOT NULL,
    log text NOT NULL,
    partition integer NOT NULL,
    event_sequence bigint,
    data bytea,
    PRIMARY KEY (stream, stream_partition, sequence),
    CHECK ((event_sequence IS NULL) <> (data IS NULL))
);
CREATE TABLE ledger.dead_letters (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log text NOT NULL,
    stream text NOT NULL,
    stream_partition integer NOT NULL,
    position text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    data bytea NOT NULL,
    trace text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (log, stream, stream_partition, position)
);
CREATE TABLE ledger.ignored (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log text NOT NULL,
    partition integer NOT NULL,
    message_id text NOT NULL,
    reason text NOT NULL,
    data bytea NOT NULL
);
"""

# One statement decides whether a writer may go on: it moves the head only for the holder of the
# newest token who knows the log's end. QU001: fenced; QU002: another end.
_ADVANCE = """
CREATE FUNCTION ledger.advance(
    the_log text, the_partition integer, the_token bigint, from_revision bigint,
    from_sequence bigint, to_sequence bigint, to_hash bytea, to_inputs bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found_head ledger.heads%ROWTYPE;
BEGIN
    UPDATE ledger.heads
    SET revision = revision + 1, sequence = to_sequence, hash = to_hash, inputs = to_inputs
    WHERE log = the_log AND partition = the_partition AND token = the_token
        AND revision = from_revision AND sequence = from_sequence;
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO found_head FROM ledger.heads WHERE log = the_log AND partition = the_partition;
    IF found_head.token IS DISTINCT FROM the_token THEN
        RAISE EXCEPTION 'token % is not the newest (%)', the_token, found_head.token
            USING ERRCODE = 'QU001';
    END IF;
    RAISE EXCEPTION 'log % partition % ends at % (revision %), not at % (revision %)', the_log,
        the_partition, found_head.sequence, found_head.revision, from_sequence, from_revision
        USING ERRCODE = 'QU002';
END
$$;
"""

# Refuses even the owner, who could drop the trigger but not by accident.
_APPEND_ONLY = """
CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on ledger.% refused: the record is append only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.events
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
"""

_SERVICE_ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_service') THEN
        BEGIN
            CREATE ROLE quorum_service NOLOGIN;
        EXCEPTION
            WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_service') THEN
        GRANT USAGE ON SCHEMA ledger TO quorum_service;
        GRANT SELECT, INSERT ON ledger.events, ledger.inputs, ledger.outbox, ledger.dead_letters,
            ledger.ignored TO quorum_service;
        GRANT SELECT, INSERT, UPDATE ON ledger.heads, ledger.offsets, ledger.snapshots,
            ledger.outbox_heads TO quorum_service;
        GRANT SELECT ON ledger.alembic_version TO quorum_service;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Create the tables, the writer's gate, the append-only trigger and the service's role."""
    for statements in (_TABLES, _ADVANCE, _APPEND_ONLY, _SERVICE_ROLE):
        op.execute(statements)
