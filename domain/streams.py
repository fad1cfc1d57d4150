"""Names of the streams, and which partition a symbol belongs to."""

from collections.abc import Mapping
from enum import StrEnum
from zlib import crc32


class Stream(StrEnum):
    """A stream of messages; each is split into partitions by symbol."""

    MARKET = "market.bars"
    NEWS = "market.news"
    PROPOSALS = "proposals"
    VOTES = "votes"
    TIME = "time"
    REVIEWS = "reviews"
    DECISIONS = "decisions"
    TRADING_STATE = "trading.state"
    ORDERS = "orders"
    EXECUTIONS = "executions"
    PORTFOLIO = "portfolio"
    EXPERIENCES = "experiences"
    DEAD_LETTERS = "dead-letters"
    SERVICE = "service"
    """Never on a bus: what a service tells its own handler, as it stands in the journal."""


NEEDED_BY: Mapping[Stream, frozenset[str]] = {
    Stream.PROPOSALS: frozenset({"consensus"}),
    Stream.VOTES: frozenset({"consensus"}),
    Stream.TIME: frozenset({"consensus"}),
    Stream.REVIEWS: frozenset({"consensus"}),
    Stream.MARKET: frozenset({"gateway"}),
    Stream.DECISIONS: frozenset({"gateway"}),
    Stream.TRADING_STATE: frozenset({"gateway"}),
}
"""Groups that keep a record of what they took in, and must not miss a message of the stream."""


def partition_of(symbol: str, partitions: int) -> int:
    """Return the partition (0 … partitions - 1) that keeps `symbol`'s messages in order.

    CRC-32, because Python's own hash of a string differs between processes.
    """
    return crc32(symbol.encode()) % partitions
