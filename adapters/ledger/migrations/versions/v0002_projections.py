"""The read side: tables that projections fill from the logs, and can fill again."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE ledger.projection_heads (
    log text NOT NULL,
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (log, partition)
);
CREATE TABLE ledger.event_index (
    log text NOT NULL,
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    message_id text NOT NULL,
    correlation_id text NOT NULL,
    type text NOT NULL,
    PRIMARY KEY (log, partition, sequence)
);
CREATE INDEX ON ledger.event_index (correlation_id);
CREATE INDEX ON ledger.event_index (message_id);
CREATE TABLE ledger.decisions (
    decision_id text PRIMARY KEY,
    proposal_id text NOT NULL,
    correlation_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    symbol text NOT NULL,
    action text NOT NULL,
    quantity numeric NOT NULL,
    reference_price numeric NOT NULL,
    price_target numeric NOT NULL,
    proposal_confidence_ppm integer NOT NULL,
    proposal_rationale text NOT NULL,
    proposal_model text NOT NULL,
    data_version text NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    weighted_score numeric,
    variance numeric,
    participation integer NOT NULL,
    degraded boolean NOT NULL,
    rule_version text NOT NULL,
    partition integer NOT NULL,
    sequence bigint NOT NULL
);
CREATE INDEX ON ledger.decisions (occurred_at);
CREATE INDEX ON ledger.decisions (symbol, occurred_at);
CREATE INDEX ON ledger.decisions (proposal_id);
CREATE TABLE ledger.votes (
    proposal_id text NOT NULL,
    decision_id text NOT NULL,
    message_id text NOT NULL,
    agent_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    symbol text NOT NULL,
    counted boolean NOT NULL,
    ignored_reason text NOT NULL,
    score integer,
    confidence_ppm integer,
    weight numeric,
    rationale text NOT NULL,
    veto text NOT NULL,
    model_version text NOT NULL,
    PRIMARY KEY (proposal_id, agent_id, message_id, ignored_reason)
);
CREATE INDEX ON ledger.votes (agent_id, occurred_at);
CREATE TABLE ledger.orders (
    client_order_id text PRIMARY KEY,
    decision_id text NOT NULL,
    correlation_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    quantity numeric NOT NULL,
    arrival_price numeric NOT NULL,
    status text NOT NULL,
    reason text NOT NULL,
    denied_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX ON ledger.orders (decision_id);
CREATE TABLE ledger.executions (
    execution_id text PRIMARY KEY,
    client_order_id text NOT NULL,
    decision_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    fee numeric NOT NULL,
    slippage_bps numeric NOT NULL,
    leaves_quantity numeric NOT NULL,
    executed_at timestamptz NOT NULL
);
CREATE INDEX ON ledger.executions (decision_id);
CREATE INDEX ON ledger.executions (client_order_id);
CREATE TABLE ledger.equity (
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    equity numeric NOT NULL,
    cash numeric NOT NULL,
    reserved numeric NOT NULL,
    gross_exposure numeric NOT NULL,
    PRIMARY KEY (partition, sequence)
);
CREATE INDEX ON ledger.equity (occurred_at);
CREATE TABLE ledger.experiences (
    message_id text PRIMARY KEY,
    decision_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    symbol text NOT NULL,
    action text NOT NULL,
    outcome text NOT NULL,
    reward numeric NOT NULL,
    horizon_days integer NOT NULL,
    agent_contributions jsonb NOT NULL,
    scores jsonb NOT NULL,
    confidences_ppm jsonb NOT NULL,
    state jsonb NOT NULL,
    next_state jsonb NOT NULL
);
CREATE INDEX ON ledger.experiences (decision_id);
CREATE INDEX ON ledger.experiences (occurred_at);
"""

_SERVICE_ROLE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.projection_heads, ledger.event_index,
            ledger.decisions, ledger.votes, ledger.orders, ledger.executions, ledger.equity,
            ledger.experiences TO quorum_service;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Create the projections' tables."""
    op.execute(_TABLES)
    op.execute(_SERVICE_ROLE)
