"""How an agent comes to know the market: stored history, then the streams from their start."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import polars as pl

from adapters.bus import open_bus
from adapters.keys import sealing
from adapters.profile import connected
from adapters.time_series import open_time_series
from domain.messages import Message
from domain.ports.bus import MessageBus
from domain.ports.metrics import Metrics
from domain.ports.time_series import Table
from domain.producers import Producer
from domain.settings import Settings
from domain.streams import Stream
from domain.voting import AgentId
from serving.stream_worker import Handle, StreamWorker

#: What builds an agent's view, read from the start at every start.
_FOLLOWED = (Stream.MARKET, Stream.NEWS, Stream.PORTFOLIO)


async def follow(
    tasks: asyncio.TaskGroup,
    worker: StreamWorker,
    observe: Handle,
    prepare: Callable[[Message], None],
    partitions: int,
) -> list[asyncio.Task[None]]:
    """Follow what the view is made of; returns when the view holds what stood there.

    What a message means for votes (`prepare`) is worked out once no backlog waits behind it.
    """
    caught_up: list[asyncio.Event] = []
    following: list[asyncio.Task[None]] = []
    for stream in _FOLLOWED:
        for partition in range(partitions):
            here = asyncio.Event()
            caught_up.append(here)
            handle = partial(_take_in, observe, prepare, here)
            following.append(tasks.create_task(worker.follow(stream, partition, handle, here)))
    for event in caught_up:
        await event.wait()
    return following


async def _take_in(
    observe: Handle, prepare: Callable[[Message], None], caught_up: asyncio.Event, message: Message
) -> None:
    await observe(message)
    if caught_up.is_set():
        prepare(message)


@asynccontextmanager
async def agent_bus(
    settings: Settings, agent_id: AgentId, metrics: Metrics
) -> AsyncIterator[MessageBus]:
    """Open the bus; in the embedded profile the server is started, or adopted, beside the loop."""
    connection = connected(settings, servers=["valkey"], producer=Producer(agent_id))
    filled = await asyncio.to_thread(connection.__enter__)
    try:
        bus = open_bus(filled, metrics, encode=sealing(filled, Producer(agent_id)))
        try:
            yield bus
        finally:
            await bus.close()
    finally:
        await asyncio.to_thread(connection.__exit__, None, None, None)


def history(settings: Settings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return stored bars and headlines up to the setting's instant."""
    store = open_time_series(settings)
    until = settings.serving.history_until
    return store.read(Table.BARS, end=until), store.read(Table.NEWS, end=until)
