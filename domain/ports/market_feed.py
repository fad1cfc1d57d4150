"""Where live bars and headlines come from."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from domain.market import MarketData, NewsItem


class BarStream(Protocol):
    """Finished bars as they close."""

    def listen(self) -> AsyncIterator[MarketData]:
        """Yield bars for as long as one connection lasts.

        Raises
        ------
        domain.errors.FeedUnavailable
            If the source can't be reached, or the connection ends.
        """
        ...


class BarHistory(Protocol):
    """Finished bars of the past; what it does not have was never traded."""

    async def bars(self, symbol: str, after: datetime, until: datetime) -> Sequence[MarketData]:
        """Return the bars with after < close ≤ until, oldest first.

        Raises
        ------
        domain.errors.FeedUnavailable
            If there is no usable answer.
        """
        ...


class NewsSource(Protocol):
    """Headlines about symbols."""

    async def poll(self) -> Sequence[NewsItem]:
        """Return the headlines that it has by now and did not tell before, oldest first.

        Raises
        ------
        domain.errors.FeedUnavailable
            If there is no usable answer.
        """
        ...
