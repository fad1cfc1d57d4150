"""The live plane on RabbitMQ decides what it decides on Valkey, though the server is killed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from pydantic import SecretStr

from adapters.bus.rabbitmq import RabbitBus
from adapters.keys import sealing
from adapters.ledger import migrate, open_ledger
from consensus.audit import read_log, verify_ledger
from consensus.service import ConsensusService
from domain.ports.ledger import Log
from domain.producers import Producer
from domain.voting import AgentId
from orchestration import demo as whole_loop
from orchestration.replay import Replay
from serving.agent_runtime import AgentRuntime
from tests.end_to_end.conftest import DAYS
from trading.service import GatewayService

pytestmark = pytest.mark.timeout(600)

PATIENCE_SECONDS = 120
KILLED_AT_BARS = (30, 60)


@pytest.fixture
def settings(demo, rabbitmq, empty_database):
    """The demo's models and bars; a record and a bus of our own."""
    migrate(empty_database)
    return demo.settings.model_copy(
        update={"bus_url": rabbitmq.url, "ledger_url": SecretStr(empty_database)}
    )


@asynccontextmanager
async def live_plane(settings) -> AsyncIterator[None]:
    """Consensus, gateway and four agents, in this process."""
    stop = asyncio.Event()
    services = [
        asyncio.create_task(service.run(stop))
        for service in (ConsensusService(settings), GatewayService(settings))
    ]
    agents = [AgentRuntime(agent, settings) for agent in AgentId]
    for agent in agents:
        agent.start()
    try:
        while any(agent.problems() for agent in agents):  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.05)
        yield
    finally:
        for agent in agents:
            await agent.stop()
        stop.set()
        await asyncio.gather(*services)


async def replayed(settings, bars, server) -> None:
    """Feed the bars; in the middle of two of them the server is killed and started again."""
    bus = RabbitBus(
        settings.bus_url,
        patience_seconds=PATIENCE_SECONDS,
        encode=sealing(settings, Producer.FEED),
    )
    replay = Replay(bus, settings.partitions, stage_timeout_seconds=PATIENCE_SECONDS)
    crashes: list[asyncio.Task[None]] = []

    async def crash() -> None:
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)

    async with AsyncExitStack() as closing:
        closing.push_async_callback(bus.close)
        done = 0
        async for _ in replay.feed(bars):
            done += 1
            if done == KILLED_AT_BARS[0]:
                await asyncio.to_thread(server.settle)
            if done in KILLED_AT_BARS:  # while the next bar is on its way
                crashes.append(asyncio.create_task(crash()))
        await asyncio.gather(*crashes)


async def test_the_same_decisions_though_the_server_is_killed_twice(
    demo, record, settings, rabbitmq
):
    bars = whole_loop.unseen_bars(settings, DAYS)
    starting = settings.serving.model_copy(update={"history_until": bars["timestamp"].min()})
    settings = settings.model_copy(update={"serving": starting})
    await whole_loop.announce(settings, bars)
    async with live_plane(settings):
        await replayed(settings, bars, rabbitmq)
    ledger = open_ledger(settings)
    found = await verify_ledger(ledger, Log.DECISIONS)
    orders = [entry.message async for entry in read_log(ledger, Log.ORDERS)]
    await ledger.close()
    assert found.sound
    assert found.log_hash == demo.printed("Decision-log hash")
    assert Counter(map(type, orders)) == Counter(map(type, record.orders))
