"""Feed recorded bars to the live plane at the pace at which it drains them.

One bar at a time, and the next only when every stage has finished with the last: gateway marks
and fills, the analyst proposes, four agents vote, the consensus decides, the gateway orders. So a
replay takes the live path, over the real bus, and is deterministic all the same.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta

import polars as pl
import structlog

from domain.identity import derive_id
from domain.market import FeedChanged, MarketData, NewsItem, Tick
from domain.ports.bus import MessageBus
from domain.streams import Stream, partition_of
from domain.voting import AgentId
from evaluation.platform_backtest import market_data

_log = structlog.get_logger(__name__)

#: Every stage of the live plane in the order in which a bar passes them: (group, stream).
STAGES: tuple[tuple[str, Stream], ...] = (
    ("gateway", Stream.MARKET),
    (f"agent.{AgentId.MARKET_ANALYST}", Stream.MARKET),
    *((f"agent.{agent}", Stream.PROPOSALS) for agent in AgentId),
    ("consensus", Stream.PROPOSALS),
    ("consensus", Stream.VOTES),
    ("consensus", Stream.TIME),
    ("gateway", Stream.DECISIONS),
)

#: The stages, and the agents' guardrails behind them: what they take in ends before the next bar.
GUARDED_STAGES = (
    *STAGES,
    *((f"experience.{agent}", Stream.EXPERIENCES) for agent in AgentId),
)

_POLL_SECONDS = 0.001


def news_items(news: pl.DataFrame) -> Iterator[NewsItem]:
    """Yield the headlines' messages, oldest first.

    Parameters
    ----------
    news
        Columns symbol, timestamp (UTC), headline, source; or no columns, where there is none.
    """
    if news.is_empty():
        return
    for row in news.sort("timestamp", "symbol", "headline").iter_rows(named=True):
        moment = row["timestamp"]
        identity = derive_id("news", row["symbol"], moment.isoformat(), row["headline"])
        yield NewsItem(
            message_id=identity,
            correlation_id=identity,
            occurred_at=moment,
            symbol=row["symbol"],
            published_at=moment,
            headline=row["headline"],
            source=row["source"],
        )


class Replay:
    """Publishes bars and waits for the plane.

    Parameters
    ----------
    bus
        The live plane's bus.
    partitions
        How many partitions each stream has.
    stage_timeout_seconds
        How long one stage may take before the replay goes on without it (it is logged, and a
        tick of logical time then closes the round by the rule of degraded participation).
    stages
        What is waited for after each bar, in order.
    """

    def __init__(
        self,
        bus: MessageBus,
        partitions: int,
        *,
        stage_timeout_seconds: float = 60.0,
        stages: Sequence[tuple[str, Stream]] = STAGES,
    ) -> None:
        self._stages = stages
        self._bus = bus
        self._partitions = partitions
        self._timeout = stage_timeout_seconds

    async def announce(self, news: pl.DataFrame) -> None:
        """Publish headlines ahead of the bars, before the agents start.

        No stage's backlog tells whether an agent has read a headline, but every agent reads what
        the streams hold before it is ready; and it reads as of an instant, so never early.
        """
        for item in news_items(news):
            await self._bus.publish(Stream.NEWS, partition_of(item.symbol, self._partitions), item)

    async def feed(self, bars: pl.DataFrame) -> AsyncIterator[MarketData]:
        """Publish every bar in turn; yields each one after the plane has drained it."""
        latest = None
        for data in market_data(bars):
            if latest is not None and data.occurred_at > latest:
                await self.close_rounds(latest)
            latest = data.occurred_at
            await self.tell(data)
            yield data
        if latest is not None:
            await self.close_rounds(latest)

    async def tell(self, message: MarketData | FeedChanged) -> None:
        """Publish what a feed tells of a symbol, and wait until the plane has drained it."""
        partition = partition_of(message.symbol, self._partitions)
        await self._bus.publish(Stream.MARKET, partition, message)
        await self.drain(partition)

    async def close_rounds(self, moment: datetime) -> None:
        """Let logical time pass the voting deadline, so that no round stays open overnight."""
        await self.tick(moment + timedelta(hours=1))

    async def tick(self, after: datetime) -> None:
        """Let logical time be `after` everywhere."""
        for partition in range(self._partitions):
            identity = derive_id("tick", partition, after.isoformat())
            tick = Tick(message_id=identity, correlation_id=identity, occurred_at=after)
            await self._bus.publish(Stream.TIME, partition, tick)
            await self.drain(partition)

    async def drain(self, partition: int) -> None:
        """Wait until each stage in turn has finished with everything on `partition`."""
        for group, stream in self._stages:
            try:
                async with asyncio.timeout(self._timeout):
                    # The bus has no event for "drained"; polling is what it offers.
                    while (await self._bus.backlog(group, stream, partition)).total:  # noqa: ASYNC110
                        await asyncio.sleep(_POLL_SECONDS)
            except TimeoutError:
                _log.warning("stage did not finish in time", group=group, stream=stream)
