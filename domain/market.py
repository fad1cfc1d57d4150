"""What the market says: bars and quotes of one symbol, and headlines about it."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import msgspec

from domain.errors import InvalidValue
from domain.messages import Message, Value, message_type, set_field, utc
from domain.money import not_negative, positive

Symbol = Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9][A-Z0-9.\-/:_]{0,31}$")]


@message_type
class MarketData(Message, frozen=True, kw_only=True):
    """One observation of one symbol: a bar, or a quote with a last price.

    Parameters
    ----------
    symbol
        The instrument.
    observed_at
        Venue time at which the observation was complete: a bar's close, never its start.
    nanosecond
        The venue's nanoseconds below `observed_at`'s microsecond (0–999), where it gives them.
    price
        Last traded price; a bar's close. Quote currency.
    volume
        Quantity traded during the bar, 0 for a quote.
    bid, ask
        Best prices, where the source has them.
    open, high, low
        The bar's other prices; absent for a quote.
    technical_indicators
        Indicator name → value, as computed by `agents.market_analyst` for this bar.
    """

    symbol: Symbol
    observed_at: datetime
    nanosecond: Annotated[int, msgspec.Meta(ge=0, le=999)] = 0
    price: Decimal
    volume: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    technical_indicators: dict[str, float] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "observed_at", utc(self.observed_at, "observed_at"))
        set_field(self, "price", positive(self.price, "price"))
        set_field(self, "volume", not_negative(self.volume, "volume"))
        for name in ("bid", "ask", "open", "high", "low"):
            if (value := getattr(self, name)) is not None:
                set_field(self, name, positive(value, name))
        if self.bid is not None and self.ask is not None and self.bid > self.ask:
            raise InvalidValue(
                f"Crossed quote: bid {self.bid} above ask {self.ask}.",
                next_step="Drop the quote at its source.",
            )
        if self.high is not None and self.low is not None:
            prices = [p for p in (self.open, self.price) if p is not None]
            if self.high < max(prices) or self.low > min(prices):
                raise InvalidValue(
                    f"Impossible bar: high {self.high}, low {self.low}, open {self.open}, "
                    f"close {self.price}.",
                    next_step="Quarantine the row at its source.",
                )


class Bar(Value, frozen=True, kw_only=True):
    """A finished bar as stored: open, high, low, close and volume over `interval`."""

    symbol: Symbol
    observed_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    interval: str = "1d"


@message_type
class NewsItem(Message, frozen=True, kw_only=True):
    """A headline about one symbol, with where it came from."""

    symbol: Symbol
    published_at: datetime
    headline: str
    source: str

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "published_at", utc(self.published_at, "published_at"))


class FeedState(StrEnum):
    """What a symbol's bars can be taken for.

    LIVE: each came when it closed. GAP: bars were missed, and come late or not yet. STALE: the
    next one is overdue.
    """

    LIVE = "LIVE"
    GAP = "GAP"
    STALE = "STALE"


@message_type
class FeedChanged(Message, frozen=True, kw_only=True):
    """A symbol's feed is in `state` from its bar at `since` on, that one not among them.

    It stands in the stream before the bars that it is about.
    """

    symbol: Symbol
    state: FeedState
    since: datetime
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "since", utc(self.since, "since"))


@message_type
class Tick(Message, frozen=True, kw_only=True):
    """Logical time: tells the consensus engine that `occurred_at` has passed."""


@message_type
class TimeObserved(Message, frozen=True, kw_only=True):
    """What time it is, told before a backlog is handled: it judges no deadline, only age."""
