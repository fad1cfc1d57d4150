"""What an agent knows of the market: bars and headlines per symbol, as of any instant."""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable
from datetime import datetime
from operator import itemgetter

import numpy as np
import polars as pl

from agents.feature_rows import FeatureRows
from agents.indicators import FEATURE_NAMES
from agents.indicators.incremental import TechnicalState, advanced
from agents.model import Model
from agents.price_history import (
    Floats,
    Microseconds,
    PriceHistory,
    price_histories,
    to_instant,
    to_microseconds,
)
from agents.sentiment.news import NO_NEWS, News, news_of_frame, score_headline
from domain.errors import InvalidValue
from domain.identity import derive_id
from domain.market import FeedChanged, FeedState, MarketData, NewsItem


class _Series:
    """A growing table of one symbol's bars: a row per column of `PriceHistory`."""

    def __init__(self, history: PriceHistory | None = None) -> None:
        self.length = 0 if history is None else history.length
        capacity = max(256, 2 * self.length)
        self.times: Microseconds = np.zeros(capacity, np.int64)
        self.values: Floats = np.zeros((5, capacity))
        if history is not None:
            self.times[: self.length] = history.times
            self.values[:, : self.length] = np.stack(history.prices())

    def append(self, time: int, values: tuple[float, ...]) -> None:
        if self.length == len(self.times):
            self.times = np.concatenate([self.times, np.zeros_like(self.times)])
            self.values = np.concatenate([self.values, np.zeros_like(self.values)], axis=1)
        self.times[self.length] = time
        self.values[:, self.length] = values
        self.length += 1

    @property
    def latest(self) -> int:
        return int(self.times[self.length - 1]) if self.length else -1

    def up_to(self, time: int, *, inclusive: bool) -> PriceHistory:
        side = "right" if inclusive else "left"
        end = int(np.searchsorted(self.times[: self.length], time, side=side))
        return PriceHistory(self.times[:end], *self.values[:, :end])


class MarketView:
    """Bars and headlines, warmed up from history and kept up to date from messages.

    Reading is always as of an instant, so a vote is the same whether the view has moved on since
    or not. Of other symbols than the proposal's, only bars strictly before that instant are
    read: whether their bar of the same instant has arrived already depends on the transport.
    """

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}
        self._news: dict[str, News] = {}
        self._headlines: dict[str, set[str]] = {}
        self._bar_times: dict[str, dict[str, int]] = {}
        self._prepared: dict[tuple[str, int], Floats] = {}
        self._rows: dict[str, FeatureRows] = {}
        self._technical: dict[str, TechnicalState] = {}
        self._feeds: dict[str, list[tuple[int, FeedState]]] = {}
        self._arrived = asyncio.Condition()

    @property
    def symbols(self) -> list[str]:
        """Symbols known, in order."""
        return sorted(self._series)

    def warm_up(
        self,
        bars: pl.DataFrame,
        news: pl.DataFrame | None = None,
        features: pl.DataFrame | None = None,
    ) -> None:
        """Take in history from the tables BARS and NEWS; replaces what the view held of it.

        The rows of table FEATURES, where given, need not be computed again.
        """
        for symbol, history in ({} if bars.is_empty() else price_histories(bars)).items():
            self._series[symbol] = _Series(history)
            self._bar_times.pop(symbol, None)
        self._news.update(news_of_frame(news))
        if news is not None and not news.is_empty():
            for symbol, headline in news.select("symbol", "headline").iter_rows():
                self._headlines.setdefault(symbol, set()).add(headline)
        self._rows.clear()
        self._technical.clear()
        self._prepared = {}
        if features is not None:
            values = features.select(FEATURE_NAMES).to_numpy()
            keys = zip(
                features["symbol"].to_list(),
                features["timestamp"].dt.epoch("us").to_list(),
                strict=True,
            )
            self._prepared = {key: values[row] for row, key in enumerate(keys)}

    async def update(self, message: MarketData | NewsItem | FeedChanged) -> None:
        """Take in one message; a bar that is known already, or older than the newest, is ignored.

        Quotes (no open, high, low) are not bars and are ignored.
        """
        if isinstance(message, NewsItem):
            self._add_headline(message)
            return
        if isinstance(message, FeedChanged):
            known = self._feeds.setdefault(message.symbol, [])
            insort(known, (to_microseconds(message.since), message.state), key=itemgetter(0))
            return
        if message.open is None or message.high is None or message.low is None:
            return
        series = self._series.setdefault(message.symbol, _Series())
        time = to_microseconds(message.observed_at)
        if time <= series.latest:
            return
        prices = (message.open, message.high, message.low, message.price, message.volume)
        series.append(time, tuple(map(float, prices)))
        self._bar_times.setdefault(message.symbol, {})[message.message_id] = time
        async with self._arrived:
            self._arrived.notify_all()

    def _add_headline(self, item: NewsItem) -> None:
        known = self._headlines.setdefault(item.symbol, set())
        if item.headline in known:
            return
        known.add(item.headline)
        held = self._news.get(item.symbol, NO_NEWS)
        time = to_microseconds(item.published_at)
        at = int(np.searchsorted(held.times, time, side="right"))
        score = score_headline(item.headline)
        self._news[item.symbol] = News(
            np.insert(held.times, at, time), np.insert(held.scores, at, score)
        )
        if item.symbol in self._rows:
            self._rows[item.symbol].hear(time, self._news[item.symbol])

    def feed_state(self, symbol: str, at: datetime) -> FeedState:
        """Return what the symbol's feed told of its bar at `at`; LIVE where it told nothing.

        What it tells stands before the bar in the stream, so that reading later changes nothing.
        """
        known = self._feeds.get(symbol, [])
        place = bisect_left(known, to_microseconds(at), key=itemgetter(0))
        return known[place - 1][1] if place else FeedState.LIVE

    def has(self, symbol: str, observed_at: datetime) -> bool:
        """Tell whether the bar that closed at `observed_at` (or a later one) is here."""
        series = self._series.get(symbol)
        return series is not None and series.latest >= to_microseconds(observed_at)

    async def wait_for(self, symbol: str, observed_at: datetime, timeout: float) -> bool:  # noqa: ASYNC109
        """Wait at most `timeout` seconds for the bar; returns whether it is here."""

        def here() -> bool:
            return self.has(symbol, observed_at)

        return await self._wait(here, timeout)

    async def wait_for_bar(self, symbol: str, bar_id: str, timeout: float) -> datetime | None:  # noqa: ASYNC109
        """Wait at most `timeout` seconds for the bar with this message id; returns its instant."""
        await self._wait(lambda: self.bar_time(symbol, bar_id) is not None, timeout)
        return self.bar_time(symbol, bar_id)

    async def _wait(self, here: Callable[[], bool], timeout: float) -> bool:  # noqa: ASYNC109
        if here():
            return True
        try:
            async with asyncio.timeout(timeout), self._arrived:
                await self._arrived.wait_for(here)
        except TimeoutError:
            return False
        return True

    def bar_time(self, symbol: str, bar_id: str) -> datetime | None:
        """Return the instant at which the bar with this message id closed, if the view holds it."""
        known = self._bar_times.setdefault(symbol, {})
        series = self._series.get(symbol)
        if bar_id not in known and series is not None and len(known) < series.length:
            for time in series.times[: series.length].tolist():
                known.setdefault(derive_id("bar", symbol, to_instant(time).isoformat()), time)
        time = known.get(bar_id)
        return None if time is None else to_instant(time)

    def history(self, symbol: str, until: datetime, *, inclusive: bool = True) -> PriceHistory:
        """Return the bars of `symbol` that closed by `until` (or strictly before it)."""
        series = self._series.get(symbol)
        if series is None:
            raise InvalidValue(
                f"No bars of {symbol} are known.", next_step="Warm the view up with its history."
            )
        return series.up_to(to_microseconds(until), inclusive=inclusive)

    def features(
        self, symbol: str, until: datetime, *, inclusive: bool = True
    ) -> dict[str, float] | None:
        """Return the newest bar's features as of `until`; None where there is no bar."""
        history = self.history(symbol, until, inclusive=inclusive)
        if not history.length:
            return None
        _, (row,) = self._newest(symbol, history, 1)
        return dict(zip(FEATURE_NAMES, row.tolist(), strict=True))

    def prepare(self, model: Model, symbol: str) -> None:
        """Work out the newest bar's features and what the model makes of them, to be kept."""
        series = self._series.get(symbol)
        if series is not None:
            history = series.up_to(series.latest, inclusive=True)
            times, features = self._newest(symbol, history, 1)
            self._rows[symbol].outputs(model, times, features)

    def past_outputs(
        self, model: Model, symbol: str, before: datetime, count: int
    ) -> tuple[Microseconds, Floats]:
        """Return the newest `count` bars' times and what the model makes of their features.

        Only bars strictly before `before` are read. Rows × the model's outputs; NaN where an
        input is missing.
        """
        history = self.history(symbol, before, inclusive=False)
        times, features = self._newest(symbol, history, count)
        return times, self._rows[symbol].outputs(model, times, features)

    def _newest(
        self, symbol: str, history: PriceHistory, count: int
    ) -> tuple[Microseconds, Floats]:
        return self._rows.setdefault(symbol, FeatureRows()).newest(
            history,
            count,
            self._news.get(symbol, NO_NEWS),
            lambda time: self._prepared.get((symbol, time)),
        )

    def indicators(self, symbol: str, until: datetime) -> dict[str, float]:
        """Return the newest bar's indicators as of `until`, in natural units.

        The state of the newest instant asked for is kept, so that the next bars only advance it;
        of an earlier instant all bars are read again.

        Raises
        ------
        InvalidValue
            If no bar of the symbol is known by then, or one of them can't be.
        """
        history = self.history(symbol, until)
        if not history.length:
            raise InvalidValue(
                f"No bar of {symbol} is known by {until.isoformat()}.",
                next_step="Ask for a later instant.",
            )
        held = self._technical.get(symbol, TechnicalState())
        if held.time > history.times[-1]:
            return advanced(TechnicalState(), history).values
        self._technical[symbol] = advanced(held, history)
        return self._technical[symbol].values

    def returns(self, symbols: list[str], before: datetime, days: int) -> Floats:
        """Return simple daily returns (days × symbols) on the days that all `symbols` traded.

        Only bars strictly before `before` are read; at most the newest `days` rows come back.
        """
        return self.dated_returns(symbols, before, days)[1]

    def dated_returns(
        self, symbols: list[str], before: datetime, days: int
    ) -> tuple[Microseconds, Floats]:
        """As `returns`, with the close instant that each return is counted from."""
        histories = [self.history(s, before, inclusive=False).last(days + 1) for s in symbols]
        common = histories[0].times
        for history in histories[1:]:
            # Most symbols trade on the same days, and then nothing is to be sorted out.
            if not np.array_equal(common, history.times):
                common = np.intersect1d(common, history.times, assume_unique=True)
        closes = np.column_stack([h.close[np.searchsorted(h.times, common)] for h in histories])
        return common[:-1], closes[1:] / closes[:-1] - 1.0
