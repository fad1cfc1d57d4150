"""The tables that are queried, as SQLAlchemy Core sees them; a test compares the migrations."""

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    ForeignKey,
    Function,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
)

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

review_claims = Table(
    "review_claims",
    metadata,
    Column("decision_id", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("claimed_at", _INSTANT, nullable=False),
    Column("expires_at", _INSTANT, nullable=False),
)

review_notices = Table(
    "review_notices",
    metadata,
    Column("notice_id", Text, primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", _INSTANT, nullable=False),
    Column("delivered_at", _INSTANT),
)
