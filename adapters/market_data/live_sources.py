"""The live sources that the settings name, opened and closed together."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import structlog

from adapters.market_data.alpaca_bars import (
    DATA_URL,
    MINUTE,
    STREAM_URL,
    AlpacaBarHistory,
    AlpacaBarStream,
)
from adapters.market_data.live_feed import LiveFeed
from adapters.market_data.news_feed import NewsFeed
from adapters.market_data.sessions import trading_sessions
from domain.errors import ConfigurationError, FeedUnavailable
from domain.market import NewsItem
from domain.metrics import Metric
from domain.ports.clock import Clock
from domain.ports.market_feed import BarHistory, BarStream
from domain.ports.metrics import Metrics
from domain.settings import FeedSettings

_DAYS = timedelta(days=7)
_log = structlog.get_logger(__name__)


@asynccontextmanager
async def live_bars(
    settings: FeedSettings, clock: Clock, metrics: Metrics
) -> AsyncIterator[LiveFeed]:
    """Open the feed of bars for as long as the block lasts.

    Raises
    ------
    ConfigurationError
        If no source, no symbol or no keys are named, or the calendar is unknown.
    """
    if settings.source == "none" or not settings.symbols:
        raise ConfigurationError(
            "No live feed is named.",
            next_step="Set QUORUM_FEED__SOURCE and QUORUM_FEED__SYMBOLS (docs/venues.md).",
        )
    async with AsyncExitStack() as stack:
        stream, history = await _bar_source(settings, stack)
        today = clock.now().date()
        sessions = trading_sessions(settings.exchange, today - _DAYS, today + 52 * _DAYS)
        yield LiveFeed(
            stream,
            history,
            interval=MINUTE,
            stale_after=timedelta(seconds=settings.stale_after_seconds),
            clock=clock,
            metrics=metrics,
            is_open=sessions.is_open,
        )


async def _bar_source(
    settings: FeedSettings, stack: AsyncExitStack
) -> tuple[BarStream, BarHistory]:
    timeout = settings.timeout_seconds
    if settings.source != "alpaca":
        # ccxt takes a second to import, which only its feeds shall cost.
        from adapters.brokers.exchange_connection import ExchangeConnection  # noqa: PLC0415
        from adapters.market_data.exchange_bars import ExchangeBars  # noqa: PLC0415

        connection = ExchangeConnection(
            settings.source,  # pyright: ignore[reportArgumentType] - "none" was refused
            url=settings.url,
            timeout_seconds=timeout,
        )
        bars = ExchangeBars(connection, settings.symbols, MINUTE)
        stack.push_async_callback(bars.close)
        return bars, bars
    keys = settings.key.get_secret_value(), settings.secret.get_secret_value()
    if not all(keys):
        raise ConfigurationError(
            "Alpaca's bars need keys.",
            next_step="Set QUORUM_FEED__KEY and QUORUM_FEED__SECRET; a paper account's will do.",
        )
    history = AlpacaBarHistory(
        *keys,
        url=settings.url or DATA_URL,
        exchange_feed=settings.exchange_feed,
        timeout_seconds=timeout,
    )
    stack.push_async_callback(history.close)
    stream = AlpacaBarStream(
        *keys,
        settings.symbols,
        url=settings.stream_url or STREAM_URL,
        exchange_feed=settings.exchange_feed,
        timeout_seconds=timeout,
    )
    return stream, history


async def live_news(
    settings: FeedSettings, clock: Clock, metrics: Metrics
) -> AsyncGenerator[NewsItem]:
    """Yield headlines as the news feeds tell them; one that is away is asked again later."""
    feeds = [
        NewsFeed(
            symbol,
            url,
            maximum_bytes=settings.news_maximum_bytes,
            timeout_seconds=settings.timeout_seconds,
            clock=clock,
            metrics=metrics,
        )
        for symbol, url in sorted(settings.news.items())
    ]
    try:
        while feeds:
            for feed in feeds:
                try:
                    items = await feed.poll()
                except FeedUnavailable as problem:
                    metrics.count(Metric.FEED_FAILURES, source="news")
                    _log.warning("a news feed is away", why=problem.what)
                    continue
                for item in items:
                    yield item
            await asyncio.sleep(settings.news_poll_seconds)
    finally:
        for feed in feeds:
            await feed.close()
