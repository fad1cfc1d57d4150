"""A finished bar as a message: the same one whichever source tells it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from domain.errors import FeedUnavailable, InvalidValue
from domain.identity import derive_id
from domain.market import MarketData

_NAMES = ("open", "high", "low", "close", "volume")


def bar(symbol: str, closed_at: datetime, prices: Mapping[str, Any]) -> MarketData:
    """Return a bar's message.

    Parameters
    ----------
    closed_at
        When the bar was complete.
    prices
        ``open``, ``high``, ``low``, ``close`` and ``volume``, as the source wrote them.

    Raises
    ------
    FeedUnavailable
        If one is missing, no number, or they contradict each other.
    """
    identity = derive_id("bar", symbol, closed_at.astimezone(UTC).isoformat())
    try:
        numbers = {name: Decimal(str(prices[name])) for name in _NAMES}
        return MarketData(
            message_id=identity,
            correlation_id=identity,
            occurred_at=closed_at,
            symbol=symbol,
            observed_at=closed_at,
            price=numbers["close"],
            volume=numbers["volume"],
            open=numbers["open"],
            high=numbers["high"],
            low=numbers["low"],
        )
    except (KeyError, TypeError, InvalidOperation, InvalidValue) as problem:
        raise unreadable("the bar feed", f"a bar of {symbol}: {problem}") from None


def unreachable(source: str, why: str) -> FeedUnavailable:
    """Return the error for a source that does not answer."""
    return FeedUnavailable(
        f"{source} can't be reached: {why}.",
        kept="What was told before stands; agents are told that bars are missing.",
        next_step="Nothing is to be done unless it lasts: it is tried again.",
    )


def unreadable(source: str, what: str) -> FeedUnavailable:
    """Return the error for an answer that can't be read."""
    return FeedUnavailable(
        f"{source} told what can't be read: {what}.",
        kept="Nothing of it was taken in.",
        next_step="Compare the source's format with the one that docs/venues.md names.",
    )
