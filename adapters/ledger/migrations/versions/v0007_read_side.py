"""The read side in a schema of its own, which a rebuild replaces in one step.

What the former tables held is in the logs: the projector fills the new ones.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_FORMER = """
DROP TABLE ledger.projection_heads, ledger.event_index, ledger.decisions, ledger.votes,
    ledger.orders, ledger.executions, ledger.equity, ledger.experiences;
"""

_TABLES = """
CREATE SCHEMA projections;
CREATE TABLE projections.heads (
    log text NOT NULL,
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    ignored bigint NOT NULL,
    caught_up_at timestamptz,
    PRIMARY KEY (log, partition)
);
CREATE TABLE projections.event_index (
    log text NOT NULL,
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    PRIMARY KEY (log, partition, sequence)
);
CREATE INDEX ON projections.event_index (correlation_id);
CREATE INDEX ON projections.event_index (message_id);
CREATE TABLE projections.decisions (
    decision_id text COLLATE "C" PRIMARY KEY,
    proposal_id text COLLATE "C" NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    quantity numeric NOT NULL,
    reference_price numeric NOT NULL,
    price_target numeric NOT NULL,
    proposal_confidence_ppm integer NOT NULL,
    proposal_rationale text NOT NULL,
    proposal_model text COLLATE "C" NOT NULL,
    data_version text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    weighted_score numeric,
    variance numeric,
    participation integer NOT NULL,
    degraded boolean NOT NULL,
    rule_version text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    sequence bigint NOT NULL
);
CREATE INDEX ON projections.decisions (occurred_at);
CREATE INDEX ON projections.decisions (symbol, occurred_at);
CREATE INDEX ON projections.decisions (outcome, occurred_at);
CREATE INDEX ON projections.decisions (proposal_id);
CREATE TABLE projections.votes (
    message_id text COLLATE "C" NOT NULL,
    proposal_id text COLLATE "C" NOT NULL,
    decision_id text COLLATE "C" NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    counted boolean NOT NULL,
    ignored_reason text COLLATE "C" NOT NULL,
    score integer,
    confidence_ppm integer,
    weight numeric,
    rationale text NOT NULL,
    veto text COLLATE "C" NOT NULL,
    model_version text COLLATE "C" NOT NULL,
    PRIMARY KEY (message_id, proposal_id, agent_id, ignored_reason)
);
CREATE INDEX ON projections.votes (proposal_id);
CREATE TABLE projections.reviews (
    decision_id text COLLATE "C" PRIMARY KEY,
    partition integer,
    sequence bigint,
    occurred_at timestamptz,
    final_id text COLLATE "C"
);
CREATE INDEX ON projections.reviews (occurred_at, partition, sequence) WHERE final_id IS NULL;
CREATE TABLE projections.throughput (
    minute timestamptz NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    decisions bigint NOT NULL,
    PRIMARY KEY (minute, outcome, reason)
);
CREATE TABLE projections.latest (
    symbol text COLLATE "C" PRIMARY KEY,
    price jsonb,
    price_sequence bigint,
    decision jsonb,
    decision_sequence bigint
);
CREATE TABLE projections.orders (
    client_order_id text COLLATE "C" PRIMARY KEY,
    decision_id text COLLATE "C" NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    side text COLLATE "C" NOT NULL,
    quantity numeric NOT NULL,
    arrival_price numeric NOT NULL,
    status text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    denied_by text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX ON projections.orders (decision_id);
CREATE TABLE projections.executions (
    execution_id text COLLATE "C" PRIMARY KEY,
    client_order_id text COLLATE "C" NOT NULL,
    decision_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    side text COLLATE "C" NOT NULL,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    fee numeric NOT NULL,
    slippage_bps numeric NOT NULL,
    leaves_quantity numeric NOT NULL,
    executed_at timestamptz NOT NULL
);
CREATE INDEX ON projections.executions (decision_id);
CREATE INDEX ON projections.executions (client_order_id);
CREATE TABLE projections.equity (
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    equity numeric NOT NULL,
    cash numeric NOT NULL,
    reserved numeric NOT NULL,
    gross_exposure numeric NOT NULL,
    PRIMARY KEY (partition, sequence)
);
CREATE INDEX ON projections.equity (occurred_at);
CREATE TABLE projections.portfolio (
    partition integer PRIMARY KEY,
    occurred_at timestamptz NOT NULL,
    portfolio jsonb NOT NULL
);
CREATE TABLE projections.experiences (
    message_id text COLLATE "C" PRIMARY KEY,
    decision_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    reward numeric NOT NULL,
    horizon_days integer NOT NULL,
    agent_contributions jsonb NOT NULL,
    scores jsonb NOT NULL,
    confidences_ppm jsonb NOT NULL,
    state jsonb NOT NULL,
    next_state jsonb NOT NULL
);
CREATE INDEX ON projections.experiences (decision_id);
CREATE INDEX ON projections.experiences (occurred_at);
CREATE TABLE projections.scorecards (
    day date NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    model_version text COLLATE "C" NOT NULL,
    counted bigint NOT NULL,
    decided bigint NOT NULL,
    agreed bigint NOT NULL,
    score_sum bigint NOT NULL,
    confidence_ppm_sum bigint NOT NULL,
    timed bigint NOT NULL,
    latency_us_sum bigint NOT NULL,
    matured bigint NOT NULL,
    "right" bigint NOT NULL,
    squared_error_sum numeric NOT NULL,
    PRIMARY KEY (day, agent_id, model_version)
);
CREATE TABLE projections.ignored_votes (
    day date NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    model_version text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    votes bigint NOT NULL,
    PRIMARY KEY (day, agent_id, model_version, reason)
);
"""

# The projector reads what a partition ignored from where it stopped.
_TAIL_OF_IGNORED = "CREATE INDEX ON ledger.ignored (log, partition, number);"

_SERVICE_ROLE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_service') THEN
        GRANT USAGE ON SCHEMA projections TO quorum_service;
        GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA projections TO quorum_service;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Replace the projections' tables by empty ones in a schema of their own."""
    for statements in (_FORMER, _TABLES, _TAIL_OF_IGNORED, _SERVICE_ROLE):
        op.execute(statements)
