"""Bars of crypto exchanges through `ccxt`: asked for, as no stream of theirs is needed for minutes.

An exchange stamps a bar with its start and shows the unfinished one too; here a bar bears its
close, and is told once the exchange's own clock is past it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from adapters.brokers.exchange_connection import REFUSED, ExchangeConnection
from adapters.market_data.bar import bar, unreachable, unreadable
from domain.errors import VenueUnavailable
from domain.market import MarketData

_PAGE = 1000
_MOST_PAGES = 1000
_FIELDS = ("open", "high", "low", "close", "volume")


class ExchangeBars:
    """Bars of the past and, by asking again, of the present.

    Implements `domain.ports.market_feed.BarHistory` and `BarStream`.

    Parameters
    ----------
    connection
        The exchange; no keys are needed.
    symbols
        The pairs that `listen` asks about.
    interval
        A bar's length: one minute or a whole number of minutes below an hour.
    since
        The close after which `listen` tells the bars of a pair; by default from now on.
    """

    def __init__(
        self,
        connection: ExchangeConnection,
        symbols: Sequence[str],
        interval: timedelta,
        since: Mapping[str, datetime] | None = None,
    ) -> None:
        self._connection = connection
        self._symbols = tuple(symbols)
        self._interval = interval
        self._told = dict(since or {})

    async def close(self) -> None:
        """Release the connections."""
        await self._connection.close()

    async def bars(self, symbol: str, after: datetime, until: datetime) -> Sequence[MarketData]:
        """Return the bars with after < close ≤ until, oldest first.

        Raises
        ------
        FeedUnavailable
            If there is no usable answer.
        """
        found: dict[datetime, MarketData] = {}
        begin = after
        for _ in range(_MOST_PAGES):
            page = await self._page(symbol, begin)
            for one in page:
                if after < one.observed_at <= until:
                    found[one.observed_at] = one
            if len(page) < _PAGE or page[-1].observed_at >= until:
                return [found[moment] for moment in sorted(found)]
            begin = page[-1].observed_at
        raise unreadable(self._connection.name, f"more than {_MOST_PAGES} pages of bars")

    async def listen(self) -> AsyncIterator[MarketData]:
        """Yield each pair's bars as they close, by asking a few times a bar.

        Raises
        ------
        FeedUnavailable
            If there is no usable answer.
        """
        while True:
            for symbol in self._symbols:
                now = await self._now()
                after = self._told.setdefault(symbol, now - self._interval)
                for one in await self.bars(symbol, after, now):
                    self._told[symbol] = one.observed_at
                    yield one
            await asyncio.sleep(self._interval.total_seconds() / 10)

    async def _now(self) -> datetime:
        """Return the present by the exchange's clock."""
        try:
            offset = await self._connection.clock_offset()
        except VenueUnavailable as problem:
            raise unreachable(self._connection.name, problem.what) from None
        return datetime.now(UTC) - timedelta(seconds=offset)

    async def _page(self, symbol: str, begin: datetime) -> list[MarketData]:
        name, minutes = self._connection.name, int(self._interval.total_seconds() // 60)
        api = self._connection.api
        since = int((begin - self._interval).timestamp() * 1000) + 1  # of starts, not of closes
        try:
            await self._connection.list_pairs((symbol,))
            told = await self._connection.ask(
                "fetchOHLCV", lambda: api.fetch_ohlcv(symbol, f"{minutes}m", since, _PAGE)
            )
            _demand_times(name, api.last_json_response)
        except VenueUnavailable as problem:
            raise unreachable(name, problem.what) from None
        except REFUSED as refusal:
            raise unreadable(name, str(refusal)[:200]) from None
        if not isinstance(told, list):
            raise unreadable(name, "no list of bars")
        found: list[MarketData] = []
        for row in told:
            if not isinstance(row, list) or len(row) < 6 or not isinstance(row[0], int):
                raise unreadable(name, "a bar of another shape")
            began = datetime.fromtimestamp(row[0] / 1000, UTC)
            found.append(
                bar(symbol, began + self._interval, dict(zip(_FIELDS, row[1:6], strict=True)))
            )
        return sorted(found, key=lambda one: one.observed_at)


def _demand_times(name: str, answer: object) -> None:
    """Refuse bars without a time, which `ccxt` leaves out: they would be taken for untraded."""
    rows = answer.get("data") if isinstance(answer, dict) else answer  # pyright: ignore[reportUnknownMemberType]
    for row in rows if isinstance(rows, list) else [None]:
        if not isinstance(row, list) or not row or not str(row[0]).isdigit():
            raise unreadable(name, "a bar without a time")
