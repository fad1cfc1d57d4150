"""A paper session on a live feed: the objects of `orchestration.paper`, fed as bars close.

Agents are warmed up with the source's own bars of the last days, so that what they read is of one
length and one source. Time is the bars': a session's record is replayed as any other.
"""

import asyncio
from contextlib import aclosing
from datetime import timedelta

from adapters.bus.memory import MemoryBus
from adapters.clock import SystemClock
from adapters.ledger.memory import MemoryLedger
from adapters.market_data.live_feed import LiveFeed
from adapters.market_data.live_sources import live_bars, live_news
from adapters.metrics import PrometheusMetrics
from adapters.processes.run_file import stop_requested
from domain.errors import DataQualityError
from domain.messages import Message
from domain.settings import Settings
from domain.streams import Stream, partition_of
from orchestration.backtest import champions_of
from orchestration.gap import frame_of
from orchestration.paper import plane, recorded_in
from orchestration.replay import Replay


def run_live_paper(settings: Settings, seconds: float | None) -> list[Message]:
    """Trade the live feed that the settings name; return what the gateway recorded, in order.

    Parameters
    ----------
    seconds
        How long; None goes on until SIGINT or SIGTERM, which also end it before.

    Raises
    ------
    ConfigurationError
        If the settings name no live feed.
    FeedUnavailable
        If the source has no history to warm up with.
    ModelRefused
        If an agent has no champion on this machine.
    """
    champions_of(settings)  # without one an agent would wait for ever

    async def until_stopped() -> list[Message]:
        with stop_requested() as stop:
            if seconds is not None:
                asyncio.get_running_loop().call_later(seconds, stop.set)
            return await trade(settings, stop)

    return asyncio.run(until_stopped())


async def trade(settings: Settings, stop: asyncio.Event) -> list[Message]:
    """Trade the live feed until `stop` is set; return what the gateway recorded, in order."""
    bus, ledger = MemoryBus(), MemoryLedger()
    clock, metrics = SystemClock(), PrometheusMetrics()
    async with live_bars(settings.feed, clock, metrics) as feed:
        after = clock.now() - timedelta(days=settings.feed.history_days)
        past = [data for symbol in settings.feed.symbols for data in await feed.past(symbol, after)]
        if not past:
            raise DataQualityError(
                f"The source has no bar of the last {settings.feed.history_days} days.",
                next_step="Check QUORUM_FEED__SYMBOLS, or raise QUORUM_FEED__HISTORY_DAYS.",
            )
        async with plane(settings, bus, ledger, frame_of(past)), asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(_bars(settings, bus, feed)),
                tasks.create_task(_news(settings, bus, clock, metrics)),
            ]
            await stop.wait()
            for task in running:
                task.cancel()
    return await recorded_in(ledger)


async def _bars(settings: Settings, bus: MemoryBus, feed: LiveFeed) -> None:
    replay, latest = Replay(bus, settings.partitions), None
    async with aclosing(feed.messages()) as messages:
        async for message in messages:
            if latest is not None and message.occurred_at > latest:
                await replay.tick(message.occurred_at)  # what was open before is past its deadline
            latest = max(latest or message.occurred_at, message.occurred_at)
            await replay.tell(message)


async def _news(
    settings: Settings, bus: MemoryBus, clock: SystemClock, metrics: PrometheusMetrics
) -> None:
    async with aclosing(live_news(settings.feed, clock, metrics)) as items:
        async for item in items:
            partition = partition_of(item.symbol, settings.partitions)
            await bus.publish(Stream.NEWS, partition, item)
