"""The tables that are queried, as SQLAlchemy Core sees them; a test compares the migrations."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    ForeignKey,
    Function,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "ledger"

metadata = MetaData(schema=SCHEMA)


def event_id(log: str, message_id: ColumnElement[str] | str) -> Function[bytes]:
    """Return the key in `event_ids` of a log's event, to be computed by the database."""
    return func.ledger.event_id(log, message_id)


_INSTANT = DateTime(timezone=True)

events = Table(
    "events",
    metadata,
    Column("log", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("occurred_at", _INSTANT, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("recorded_at", _INSTANT, primary_key=True, server_default=func.now()),
)

# Where the event of an id stands; `event_id` gives the key.
event_ids = Table(
    "event_ids",
    metadata,
    Column("id", LargeBinary, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("log", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("stream_partition", Integer, nullable=False),
    Column("position", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("trace", Text, nullable=False),
    Column("recorded_at", _INSTANT, nullable=False, server_default=func.now()),
    UniqueConstraint("log", "stream", "stream_partition", "position"),
)

dead_letter_answers = Table(
    "dead_letter_answers",
    metadata,
    Column("letter", BigInteger, ForeignKey(dead_letters.c.number), primary_key=True),
    Column("action", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("recorded_at", _INSTANT, nullable=False, server_default=func.now()),
)

projection_heads = Table(
    "projection_heads",
    metadata,
    Column("log", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
)

event_index = Table(
    "event_index",
    metadata,
    Column("log", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("type", Text, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", Text, primary_key=True),
    Column("proposal_id", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("occurred_at", _INSTANT, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("reference_price", Numeric, nullable=False),
    Column("price_target", Numeric, nullable=False),
    Column("proposal_confidence_ppm", Integer, nullable=False),
    Column("proposal_rationale", Text, nullable=False),
    Column("proposal_model", Text, nullable=False),
    Column("data_version", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("weighted_score", Numeric),
    Column("variance", Numeric),
    Column("participation", Integer, nullable=False),
    Column("degraded", Boolean, nullable=False),
    Column("rule_version", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)

votes = Table(
    "votes",
    metadata,
    Column("proposal_id", Text, primary_key=True),
    Column("decision_id", Text, nullable=False),
    Column("message_id", Text, primary_key=True),
    Column("agent_id", Text, primary_key=True),
    Column("occurred_at", _INSTANT, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("counted", Boolean, nullable=False),
    Column("ignored_reason", Text, primary_key=True),
    Column("score", Integer),
    Column("confidence_ppm", Integer),
    Column("weight", Numeric),
    Column("rationale", Text, nullable=False),
    Column("veto", Text, nullable=False),
    Column("model_version", Text, nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("decision_id", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("arrival_price", Numeric, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("denied_by", Text, nullable=False),
    Column("created_at", _INSTANT, nullable=False),
    Column("updated_at", _INSTANT, nullable=False),
)

executions = Table(
    "executions",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("client_order_id", Text, nullable=False),
    Column("decision_id", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("price", Numeric, nullable=False),
    Column("fee", Numeric, nullable=False),
    Column("slippage_bps", Numeric, nullable=False),
    Column("leaves_quantity", Numeric, nullable=False),
    Column("executed_at", _INSTANT, nullable=False),
)

equity = Table(
    "equity",
    metadata,
    Column("partition", Integer, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("occurred_at", _INSTANT, nullable=False),
    Column("equity", Numeric, nullable=False),
    Column("cash", Numeric, nullable=False),
    Column("reserved", Numeric, nullable=False),
    Column("gross_exposure", Numeric, nullable=False),
)

experiences = Table(
    "experiences",
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("decision_id", Text, nullable=False),
    Column("occurred_at", _INSTANT, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reward", Numeric, nullable=False),
    Column("horizon_days", Integer, nullable=False),
    Column("agent_contributions", JSONB, nullable=False),
    Column("scores", JSONB, nullable=False),
    Column("confidences_ppm", JSONB, nullable=False),
    Column("state", JSONB, nullable=False),
    Column("next_state", JSONB, nullable=False),
)
