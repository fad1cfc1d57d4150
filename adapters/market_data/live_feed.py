"""One gapless feed out of a stream that breaks: what agents read of live bars.

Each symbol's bars leave in order, each once. A bar that does not follow the last one waits until
the history was asked what lies between: then those leave first, told as GAP. While the history
does not answer, the symbol's bars wait, told as GAP too: no indicator ever sees a hole that is not
the market's own. A symbol whose next bar is overdue while its market is open is told as STALE.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from domain.errors import FeedUnavailable
from domain.identity import derive_id
from domain.market import FeedChanged, FeedState, MarketData
from domain.metrics import Metric
from domain.ports.clock import Clock
from domain.ports.market_feed import BarHistory, BarStream
from domain.ports.metrics import Metrics

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_CODES = {FeedState.LIVE: 0, FeedState.GAP: 1, FeedState.STALE: 2}
_log = structlog.get_logger(__name__)


def longest_wait(failures: int) -> float:
    """Return the longest wait before the next connection (seconds): doubled up to a cap."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(failures - 1, 16))


class LiveFeed:
    """Bars and the state of their feed, in the order in which agents are to read them.

    Parameters
    ----------
    stream
        Where bars come from as they close.
    history
        Where those are asked for that did not come.
    interval
        A bar's length.
    stale_after
        How long a bar may be overdue.
    is_open
        Whether the market trades at an instant.
    draw
        A number from [0, 1): the part of the longest wait that is waited (full jitter).
    """

    def __init__(
        self,
        stream: BarStream,
        history: BarHistory,
        *,
        interval: timedelta,
        stale_after: timedelta,
        clock: Clock,
        metrics: Metrics,
        is_open: Callable[[datetime], bool] = lambda _: True,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._stream, self._history = stream, history
        self._last: dict[str, datetime] = {}
        self._interval, self._stale_after = interval, stale_after
        self._clock, self._metrics = clock, metrics
        self._is_open, self._draw = is_open, draw
        self._state: dict[str, FeedState] = {}
        self._held: dict[str, list[MarketData]] = {}
        self._arriving: asyncio.Queue[MarketData] = asyncio.Queue(maxsize=10_000)

    async def messages(
        self, check_seconds: float = 1.0
    ) -> AsyncGenerator[MarketData | FeedChanged]:
        """Yield bars and changes of state until cancelled or closed.

        Parameters
        ----------
        check_seconds
            How often it is looked whether a bar is overdue, or one that waits may leave.
        """
        listening = asyncio.create_task(self._listen(), name="live feed")
        try:
            while True:
                try:
                    async with asyncio.timeout(check_seconds):
                        data = await self._arriving.get()
                except TimeoutError:
                    for message in await self.check():
                        yield message
                else:
                    for message in await self.take(data):
                        yield message
                if listening.done():
                    listening.result()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def past(self, symbol: str, after: datetime) -> Sequence[MarketData]:
        """Return a symbol's bars that closed later than `after`; the feed goes on behind them.

        Raises
        ------
        FeedUnavailable
            If the history does not answer.
        """
        found = await self._history.bars(symbol, after, self._clock.now())
        if found:
            self._last[symbol] = found[-1].observed_at
        return found

    async def take(self, data: MarketData) -> list[MarketData | FeedChanged]:
        """Return what leaves because a bar came."""
        symbol, last = data.symbol, self._last.get(data.symbol)
        if symbol in self._held:
            self._held[symbol].append(data)
            return []
        if last is not None and data.observed_at <= last:
            self._metrics.count(Metric.FEED_IGNORED, reason="known")
            return []
        if last is not None and data.observed_at - last > self._interval:
            self._held[symbol] = [data]
            return await self._release(symbol)
        return [*self._become(symbol, FeedState.LIVE, "on time"), self._leave(data)]

    async def check(self) -> list[MarketData | FeedChanged]:
        """Return what leaves because time passed: bars that waited, and what is overdue."""
        left: list[MarketData | FeedChanged] = []
        for symbol in sorted(self._held):
            left += await self._release(symbol)
        now = self._clock.now()
        for symbol, last in sorted(self._last.items()):
            overdue = now - last - self._interval > self._stale_after and self._is_open(now)
            if overdue and self._state.get(symbol, FeedState.LIVE) is FeedState.LIVE:
                left += self._become(symbol, FeedState.STALE, f"nothing since {last.isoformat()}")
        return left

    async def _release(self, symbol: str) -> list[MarketData | FeedChanged]:
        """Return a symbol's waiting bars behind those that lie before them, if these are known."""
        held = sorted(self._held[symbol], key=lambda data: data.observed_at)
        try:
            missed = await self._history.bars(symbol, self._last[symbol], held[-1].observed_at)
        except FeedUnavailable as problem:
            self._metrics.count(Metric.FEED_FAILURES, source="history")
            _log.warning("bars are missing and not to be had yet", symbol=symbol, why=problem.what)
            return [*self._become(symbol, FeedState.GAP, "bars are missing")]
        del self._held[symbol]
        came = {data.observed_at for data in held}
        late = [data for data in missed if data.observed_at not in came]
        left: list[MarketData | FeedChanged] = []
        if late or len(held) > 1:
            left += self._become(symbol, FeedState.GAP, f"{len(late)} bars came late")
        newest = held.pop()
        between = {data.observed_at: data for data in [*late, *held]}
        left += [
            self._leave(between[moment])
            for moment in sorted(between)
            if self._last[symbol] < moment < newest.observed_at
        ]
        return [*left, *self._become(symbol, FeedState.LIVE, "complete"), self._leave(newest)]

    def _leave(self, data: MarketData) -> MarketData:
        self._last[data.symbol] = data.observed_at
        return data

    def _become(self, symbol: str, state: FeedState, reason: str) -> list[FeedChanged]:
        """Return the change of a symbol's state from its last bar on; nothing where it is none."""
        before = self._state.get(symbol, FeedState.LIVE)
        self._state[symbol] = state
        self._metrics.gauge(Metric.FEED_STATE, _CODES[state], symbol=symbol)
        since = self._last.get(symbol)
        if state is before or since is None:
            return []
        _log.info("the feed changed", symbol=symbol, state=state, reason=reason)
        identity = derive_id("feed", symbol, state, since.isoformat())
        return [
            FeedChanged(
                message_id=identity,
                correlation_id=identity,
                occurred_at=since,
                symbol=symbol,
                state=state,
                since=since,
                reason=reason,
            )
        ]

    async def _listen(self) -> None:
        """Keep a connection; between two there is a jittered wait that grows up to a cap."""
        failures = 0
        while True:
            try:
                async for data in self._stream.listen():
                    failures = 0
                    await self._arriving.put(data)
            except FeedUnavailable as problem:
                _log.warning("the feed broke", why=problem.what, failures=failures + 1)
            failures += 1
            self._metrics.count(Metric.FEED_FAILURES, source="stream")
            await asyncio.sleep(self._draw() * longest_wait(failures))
