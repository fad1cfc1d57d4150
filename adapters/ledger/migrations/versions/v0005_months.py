"""The tables that grow, parted by the month of recording; ids that stay unique over all months.

Months are made ahead by `ledger.make_months`, which the service may call though it owns nothing.
The decisions log has months of its own: the other logs' readers begin at their first event, so
only its months, and the journal's, can leave the database one by one.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OLD = """
ALTER TABLE ledger.events RENAME TO old_events;
ALTER TABLE ledger.input_blocks RENAME TO old_input_blocks;
"""

_TABLES = """
CREATE TABLE ledger.events (
    log text NOT NULL,
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    message_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    data bytea NOT NULL,
    hash bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY LIST (log);
CREATE TABLE ledger.events_decisions PARTITION OF ledger.events FOR VALUES IN ('decisions')
    PARTITION BY RANGE (recorded_at);
CREATE TABLE ledger.events_other PARTITION OF ledger.events DEFAULT
    PARTITION BY RANGE (recorded_at);
ALTER TABLE ledger.events_decisions ADD PRIMARY KEY (log, partition, sequence, recorded_at);
ALTER TABLE ledger.events_other ADD PRIMARY KEY (log, partition, sequence, recorded_at);
CREATE TABLE ledger.event_ids (
    id bytea PRIMARY KEY,
    partition integer NOT NULL,
    sequence bigint NOT NULL
);
CREATE TABLE ledger.input_blocks (
    LIKE ledger.old_input_blocks INCLUDING CONSTRAINTS INCLUDING COMPRESSION,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (log, partition, last, recorded_at)
) PARTITION BY RANGE (recorded_at);
"""

# No unique key over months is possible on the parted table itself. This one costs 16 bytes an
# event, and goes on knowing what was decided in months that are archived.
_IDS = """
CREATE FUNCTION ledger.event_id(log text, message_id text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN substring(sha256(convert_to(log || chr(31) || message_id, 'UTF8')) FROM 1 FOR 16);

CREATE FUNCTION ledger.keep_ids() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger.event_ids (id, partition, sequence)
    SELECT ledger.event_id(log, message_id), partition, sequence FROM recorded;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_ids AFTER INSERT ON ledger.events REFERENCING NEW TABLE AS recorded
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.keep_ids();
"""

_MAKE_MONTHS = """
CREATE FUNCTION ledger.make_month(parted regclass, month timestamp) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent text := (SELECT relname FROM pg_class WHERE oid = parted);
    child text := parent || to_char(month, '_YYYY_MM');
BEGIN
    IF to_regclass(format('ledger.%I', child)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('LOCK TABLE ledger.%I IN SHARE UPDATE EXCLUSIVE MODE', parent);
    IF to_regclass(format('ledger.%I', child)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Attaching, other than creating it in its place, lets writers go on meanwhile.
    EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.%I INCLUDING ALL)', child, parent);
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.%I'
        ' FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', child);
    EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
        parent, child, month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
END
$$;

CREATE FUNCTION ledger.make_months(ahead integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM ledger.make_month(
        parted.partrelid, date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => n)
    )
    FROM pg_partitioned_table AS parted
    JOIN pg_class AS parent ON parent.oid = parted.partrelid
    CROSS JOIN generate_series(0, ahead) AS n
    WHERE parted.partstrat = 'r' AND parent.relnamespace = 'ledger'::regnamespace
    ORDER BY parent.relname, n;
END
$$;
REVOKE ALL ON FUNCTION ledger.make_month, ledger.make_months FROM PUBLIC;
"""

_MOVE = """
SELECT ledger.make_months(3);
INSERT INTO ledger.events (log, partition, sequence, message_id, occurred_at, data, hash)
    SELECT log, partition, sequence, message_id, occurred_at, data, hash FROM ledger.old_events;
INSERT INTO ledger.input_blocks SELECT *, now() FROM ledger.old_input_blocks;
DROP TABLE ledger.old_events, ledger.old_input_blocks;
"""

_APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.events
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.events_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.events_other
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.event_ids
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.input_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.ignored
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
"""

_SERVICE_ROLE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_service') THEN
        GRANT SELECT, INSERT ON ledger.events, ledger.event_ids, ledger.input_blocks
            TO quorum_service;
        GRANT EXECUTE ON FUNCTION ledger.make_months TO quorum_service;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Part the tables, move what they hold, and keep the ids."""
    for statements in (
        _OLD,
        _TABLES,
        _IDS,
        _MAKE_MONTHS,
        _MOVE,
        _APPEND_ONLY,
        _SERVICE_ROLE,
    ):
        op.execute(statements)
