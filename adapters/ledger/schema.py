"""The tables that are queried, as SQLAlchemy Core sees them; a test compares the migrations."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
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
    UniqueConstraint("log", "message_id"),
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
