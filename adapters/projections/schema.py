"""The read side's tables, as SQLAlchemy Core sees them; a test compares the migrations.

Each table says what becomes of a row whose key is there already: ``keep`` what is there,
``replace`` it by what the new row knows, or ``add`` the new row's figures to it.
"""

from typing import Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "projections"

metadata = MetaData(schema=SCHEMA)

# Ordered by bytes, so that an index on it finds ids by their beginning.
_NAME = Text(collation="C")
_INSTANT = DateTime(timezone=True)

OnRepeat = Literal["keep", "replace", "add"]


def _table(name: str, on_repeat: OnRepeat, *columns: Column) -> Table:
    return Table(name, metadata, *columns, info={"on_repeat": on_repeat})


#: How far each partition of each log is projected; no projection itself.
heads = Table(
    "heads",
    metadata,
    Column("log", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("ignored", BigInteger, nullable=False),
    Column("caught_up_at", _INSTANT),
)

event_index = _table(
    "event_index",
    "keep",
    Column("log", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("message_id", _NAME, nullable=False),
    Column("correlation_id", _NAME, nullable=False),
    Column("type", _NAME, nullable=False),
)

decisions = _table(
    "decisions",
    "keep",
    Column("decision_id", _NAME, primary_key=True),
    Column("proposal_id", _NAME, nullable=False),
    Column("correlation_id", _NAME, nullable=False),
    Column("occurred_at", _INSTANT, nullable=False),
    Column("symbol", _NAME, nullable=False),
    Column("action", _NAME, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("reference_price", Numeric, nullable=False),
    Column("price_target", Numeric, nullable=False),
    Column("proposal_confidence_ppm", Integer, nullable=False),
    Column("proposal_rationale", Text, nullable=False),
    Column("proposal_model", _NAME, nullable=False),
    Column("data_version", _NAME, nullable=False),
    Column("outcome", _NAME, nullable=False),
    Column("reason", _NAME, nullable=False),
    Column("weighted_score", Numeric),
    Column("variance", Numeric),
    Column("participation", Integer, nullable=False),
    Column("degraded", Boolean, nullable=False),
    Column("rule_version", _NAME, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)

votes = _table(
    "votes",
    "keep",
    Column("message_id", _NAME, primary_key=True),
    Column("proposal_id", _NAME, primary_key=True),
    Column("decision_id", _NAME, nullable=False),
    Column("agent_id", _NAME, primary_key=True),
    Column("occurred_at", _INSTANT, nullable=False),
    Column("symbol", _NAME, nullable=False),
    Column("counted", Boolean, nullable=False),
    Column("ignored_reason", _NAME, primary_key=True),
    Column("score", Integer),
    Column("confidence_ppm", Integer),
    Column("weight", Numeric),
    Column("rationale", Text, nullable=False),
    Column("veto", _NAME, nullable=False),
    Column("model_version", _NAME, nullable=False),
    Column("bound", Numeric),  # of late votes: what they hold what comes against
)

#: Decisions that were sent to a person, and how they ended; waiting without a `final_id`.
reviews = _table(
    "reviews",
    "replace",
    Column("decision_id", _NAME, primary_key=True),
    Column("partition", Integer),
    Column("sequence", BigInteger),
    Column("occurred_at", _INSTANT),
    Column("final_id", _NAME),
)

#: Decisions per minute of their own time.
throughput = _table(
    "throughput",
    "add",
    Column("minute", _INSTANT, primary_key=True),
    Column("outcome", _NAME, primary_key=True),
    Column("reason", _NAME, primary_key=True),
    Column("decisions", BigInteger, nullable=False),
)

#: The last price and the last decision of each symbol, with their places in the logs.
latest = _table(
    "latest",
    "replace",
    Column("symbol", _NAME, primary_key=True),
    Column("price", JSONB),
    Column("price_sequence", BigInteger),
    Column("decision", JSONB),
    Column("decision_sequence", BigInteger),
)

orders = _table(
    "orders",
    "replace",
    Column("client_order_id", _NAME, primary_key=True),
    Column("decision_id", _NAME, nullable=False),
    Column("correlation_id", _NAME, nullable=False),
    Column("symbol", _NAME, nullable=False),
    Column("side", _NAME, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("arrival_price", Numeric, nullable=False),
    Column("status", _NAME, nullable=False),
    Column("reason", Text, nullable=False),
    Column("denied_by", _NAME, nullable=False),
    Column("created_at", _INSTANT, nullable=False),
    Column("updated_at", _INSTANT, nullable=False),
)

executions = _table(
    "executions",
    "keep",
    Column("execution_id", _NAME, primary_key=True),
    Column("client_order_id", _NAME, nullable=False),
    Column("decision_id", _NAME, nullable=False),
    Column("symbol", _NAME, nullable=False),
    Column("side", _NAME, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("price", Numeric, nullable=False),
    Column("fee", Numeric, nullable=False),
    Column("slippage_bps", Numeric, nullable=False),
    Column("leaves_quantity", Numeric, nullable=False),
    Column("executed_at", _INSTANT, nullable=False),
)

equity = _table(
    "equity",
    "keep",
    Column("partition", Integer, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("occurred_at", _INSTANT, nullable=False),
    Column("equity", Numeric, nullable=False),
    Column("cash", Numeric, nullable=False),
    Column("reserved", Numeric, nullable=False),
    Column("gross_exposure", Numeric, nullable=False),
)

#: What is held now.
portfolio = _table(
    "portfolio",
    "replace",
    Column("partition", Integer, primary_key=True),
    Column("occurred_at", _INSTANT, nullable=False),
    Column("portfolio", JSONB, nullable=False),
)

experiences = _table(
    "experiences",
    "keep",
    Column("message_id", _NAME, primary_key=True),
    Column("decision_id", _NAME, nullable=False),
    Column("occurred_at", _INSTANT, nullable=False),
    Column("symbol", _NAME, nullable=False),
    Column("action", _NAME, nullable=False),
    Column("outcome", _NAME, nullable=False),
    Column("reward", Numeric, nullable=False),
    Column("horizon_days", Integer, nullable=False),
    Column("agent_contributions", JSONB, nullable=False),
    Column("scores", JSONB, nullable=False),
    Column("confidences_ppm", JSONB, nullable=False),
    Column("state", JSONB, nullable=False),
    Column("next_state", JSONB, nullable=False),
    Column("realised", JSONB, nullable=False),
)

#: The sums of `domain.scorecards.Scorecard`.
scorecards = _table(
    "scorecards",
    "add",
    Column("day", Date, primary_key=True),
    Column("agent_id", _NAME, primary_key=True),
    Column("model_version", _NAME, primary_key=True),
    Column("counted", BigInteger, nullable=False),
    Column("decided", BigInteger, nullable=False),
    Column("agreed", BigInteger, nullable=False),
    Column("score_sum", BigInteger, nullable=False),
    Column("confidence_ppm_sum", BigInteger, nullable=False),
    Column("timed", BigInteger, nullable=False),
    Column("latency_us_sum", BigInteger, nullable=False),
    Column("matured", BigInteger, nullable=False),
    Column("right", BigInteger, nullable=False),
    Column("squared_error_sum", Numeric, nullable=False),
)

ignored_votes = _table(
    "ignored_votes",
    "add",
    Column("day", Date, primary_key=True),
    Column("agent_id", _NAME, primary_key=True),
    Column("model_version", _NAME, primary_key=True),
    Column("reason", _NAME, primary_key=True),
    Column("votes", BigInteger, nullable=False),
)

#: Every table that is filled from the logs.
PROJECTED = tuple(table for table in metadata.sorted_tables if table is not heads)
