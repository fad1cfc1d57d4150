"""A paper session: the live plane's own objects in one process, on a recorded feed.

Processors, handlers, engine, agents, gateway and paper venue are the ones that the services run,
with the bus and the ledger in memory instead of on servers; every message is encoded, published,
recorded and acknowledged as there. What it recorded is kept as a file, for `quorum gap`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl

from adapters.bus.memory import MemoryBus
from adapters.clock import EventClock
from adapters.files import write_atomically
from adapters.ledger.memory import MemoryLedger
from adapters.metrics import PrometheusMetrics
from adapters.model_registry.deployed import DeployedModels
from adapters.time_series import open_time_series
from agents.build import build_agent
from agents.model_files import load
from consensus.decisions import STREAMS, DecisionHandler
from consensus.processor import Processor
from consensus.service import PROCESS, rules_from
from domain.errors import DataQualityError
from domain.messages import Message, decode, encode
from domain.ports.ledger import Log
from domain.ports.model_source import DeployedModel
from domain.ports.time_series import Table
from domain.settings import Settings
from domain.streams import Stream
from domain.voting import AgentId
from orchestration.backtest import champions_of
from orchestration.replay import Replay
from serving.following import follow
from serving.model_source import LocalModelSource
from serving.stream_worker import StreamWorker
from serving.voting import Voting
from trading.handler import LOG_PARTITION, GatewayHandler
from trading.order_context import Surroundings
from trading.paper_venue import PaperVenue
from trading.service import PROCESS as GATEWAY
from trading.service import sessions_of, sources

_POLL_SECONDS = 0.001
_PAGE = 10_000
_YEAR = timedelta(days=365)


def session_file(settings: Settings, name: str) -> Path:
    """Return where the paper session of that name is kept."""
    return settings.home / "paper" / f"{name}.jsonl"


class Feed(NamedTuple):
    """What a session trades.

    Parameters
    ----------
    history
        Bars that the agents know at the start.
    bars
        Those that come, in the shape of the table BARS.
    news
        Headlines; agents read each from its instant on.
    """

    history: pl.DataFrame
    bars: pl.DataFrame
    news: pl.DataFrame


def stored_feed(settings: Settings, start: datetime | None, end: datetime | None) -> Feed:
    """Return the stored bars with start ≤ timestamp < end; without a start the last year of them.

    Raises
    ------
    DataQualityError
        If there are none.
    """
    store = open_time_series(settings)
    bars = store.read(Table.BARS, end=end)
    if not bars.is_empty():
        start = start or bars["timestamp"].max() - _YEAR  # type: ignore[operator]
        comes = bars.filter(pl.col("timestamp") >= start)
        if not comes.is_empty():
            history = bars.filter(pl.col("timestamp") < start)
            return Feed(history, comes, store.read(Table.NEWS, end=end))
    raise DataQualityError(
        "No bar is stored in that time.",
        next_step="Ingest bars first (`quorum train`), or choose other days.",
    )


def run_paper(settings: Settings, feed: Feed) -> list[Message]:
    """Trade a feed through the live objects and return what the gateway recorded, in order.

    Raises
    ------
    ModelRefused
        If an agent has no champion on this machine.
    """
    champions_of(settings)  # without one an agent would wait for ever
    return asyncio.run(_session(settings, feed))


def keep(settings: Settings, name: str, events: list[Message]) -> Path:
    """Write a session's record, whole or not at all, and return its file."""
    path = session_file(settings, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, b"\n".join(map(encode, events)) + b"\n")
    return path


def kept(settings: Settings, name: str) -> list[Message]:
    """Return the record of a session.

    Raises
    ------
    DataQualityError
        If there is none of that name.
    """
    path = session_file(settings, name)
    if not path.exists():
        raise DataQualityError(
            f"There is no paper session {name!r} in {path.parent}.",
            next_step="Run one: `quorum paper`.",
        )
    return [decode(line) for line in path.read_bytes().splitlines()]


async def _session(settings: Settings, feed: Feed) -> list[Message]:
    bus, ledger = MemoryBus(), MemoryLedger()
    replay = Replay(bus, settings.partitions)
    await replay.announce(feed.news)
    async with plane(settings, bus, ledger, feed.history):
        async for _ in replay.feed(feed.bars):
            pass
    return await recorded_in(ledger)


@asynccontextmanager
async def plane(
    settings: Settings, bus: MemoryBus, ledger: MemoryLedger, history: pl.DataFrame
) -> AsyncIterator[None]:
    """Run a consensus processor a partition, the gateway and the four agents."""
    stop = asyncio.Event()
    processors = [*_consensus(settings, bus, ledger), _gateway(settings, bus, ledger)]
    running = [asyncio.create_task(processor.run(stop)) for processor in processors]
    while not all(processor.ready for processor in processors):
        await asyncio.sleep(_POLL_SECONDS)
        for ended in (task for task in running if task.done()):
            ended.result()
    try:
        async with asyncio.TaskGroup() as agents:
            tasks = [
                task
                for agent in AgentId
                for task in await _agent(agents, agent, settings, bus, history)
            ]
            yield
            for task in tasks:
                task.cancel()
    finally:
        stop.set()
        await asyncio.gather(*running)


def _consensus(settings: Settings, bus: MemoryBus, ledger: MemoryLedger) -> list[Processor]:
    metrics = PrometheusMetrics()
    return [
        Processor(
            bus,
            ledger,
            DecisionHandler(rules_from(settings), metrics, partition=partition),
            metrics,
            group=PROCESS,
            partition=partition,
            sources=[(stream, partition) for stream in STREAMS],
            last=[Stream.TIME],
            ahead=True,
        )
        for partition in range(settings.partitions)
    ]


def _gateway(settings: Settings, bus: MemoryBus, ledger: MemoryLedger) -> Processor:
    metrics, sessions = PrometheusMetrics(), sessions_of(settings)
    handler = GatewayHandler(
        PaperVenue(settings.trading, sessions),
        EventClock(),
        metrics,
        settings,
        around=Surroundings(sessions=sessions),
    )
    return Processor(
        bus,
        ledger,
        handler,
        metrics,
        group=GATEWAY,
        partition=LOG_PARTITION,
        sources=sources(settings.partitions),
    )


async def _agent(
    tasks: asyncio.TaskGroup,
    agent_id: AgentId,
    settings: Settings,
    bus: MemoryBus,
    history: pl.DataFrame,
) -> list[asyncio.Task[None]]:
    """Start an agent with its champion; returns its tasks once it is up to date with the bus."""

    def trial(deployed: DeployedModel) -> None:
        load(deployed.folder, agent_id)

    async def stays() -> None:
        """Keep the model that the session began with."""

    metrics = PrometheusMetrics()
    source = LocalModelSource(DeployedModels.of(settings), agent_id, trial=trial, metrics=metrics)
    store = open_time_series(settings)
    agent = build_agent(agent_id, bus, source, metrics, EventClock(), settings, store)
    agent.warm_up(history)
    worker, voting = StreamWorker(bus, metrics), Voting(agent, stays, None)
    started = await follow(tasks, worker, voting.observe, agent.prepare, settings.partitions)
    streams = [Stream.PROPOSALS]
    if agent_id is AgentId.MARKET_ANALYST:
        streams.append(Stream.MARKET)
    for stream in streams:
        backlog = [(stream, partition) for partition in range(settings.partitions)]
        consuming = worker.consume(f"agent.{agent_id}", agent_id, backlog, voting.act)
        started.append(tasks.create_task(consuming))
    return started


async def recorded_in(ledger: MemoryLedger) -> list[Message]:
    """Return what the gateway recorded, in order."""
    events: list[Message] = []
    while page := await ledger.events(Log.ORDERS, LOG_PARTITION, after=len(events), limit=_PAGE):
        events += [entry.message for entry in page]
    return events
