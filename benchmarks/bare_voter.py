"""An agent without its service: votes in process, then behind a bare Starlette endpoint.

It reads a JSON list of proposals from standard input, measures votes on them, prints one line
(`Measured`), and serves ``/vote`` until standard input ends. It is as small as a service process.
"""

import asyncio
import sys
import time
from datetime import datetime

import msgspec
import polars as pl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.bus.memory import MemoryBus
from adapters.clock import open_clock
from adapters.http_server import bind, http_server
from adapters.metrics import PrometheusMetrics
from adapters.model_registry.deployed import DeployedModels
from adapters.time_series import open_time_series
from agents.base import BaseAgent
from agents.build import build_agent
from domain.market import MarketData
from domain.messages import decode, encode
from domain.ports.time_series import Table
from domain.settings import load_settings
from domain.voting import AgentId, TradingProposal
from orchestration.replay import market_data
from serving.model_source import LocalModelSource

#: What starts it: one thread for arithmetic, and no pandas, as in a service.
_START = """
from serving.__main__ import keep_small
keep_small()
from benchmarks.bare_voter import main
main()
"""
COMMAND = (sys.executable, "-c", _START)
_TURNS = 5


class Measured(msgspec.Struct, frozen=True):
    """Seconds of votes whose features were kept, of a bar's work, of a bar's first vote."""

    port: int
    cached: list[float]
    bar: list[float]
    first: list[float]


def main() -> None:
    raw = msgspec.json.decode(sys.stdin.readline(), type=list[msgspec.Raw])
    proposals = [decode(bytes(each)) for each in raw]
    asyncio.run(_run(AgentId(sys.argv[1]), proposals))


async def _run(agent_id: AgentId, proposals: list[TradingProposal]) -> None:
    agent, bars = _agent(agent_id, min(proposal.occurred_at for proposal in proposals))
    bar, first = await _as_bars_come(agent, bars, proposals)
    cached = [await _vote(agent, proposal) for proposal in proposals * _TURNS]

    async def vote(request: Request) -> Response:
        cast = await agent.vote_on_decision(decode(await request.body()))
        return Response(encode(cast), media_type="application/json")

    app = Starlette(routes=[Route("/vote", vote, methods=["POST"])])
    async with http_server(app, bind("127.0.0.1", 0)) as port:
        print(msgspec.json.encode(Measured(port, cached, bar, first)).decode(), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _agent(agent_id: AgentId, first: datetime) -> tuple[BaseAgent, list[MarketData]]:
    """Return the agent, warmed up to the proposals' first day, and the bars from it on."""
    settings, metrics = load_settings(), PrometheusMetrics()
    models = LocalModelSource(
        DeployedModels.of(settings), agent_id, trial=lambda _: None, metrics=metrics
    )
    clock, store = open_clock(settings), open_time_series(settings)
    agent = build_agent(agent_id, MemoryBus(), models, metrics, clock, settings, store)
    bars = store.read(Table.BARS)
    agent.warm_up(bars.filter(pl.col("timestamp") < first), store.read(Table.NEWS))
    return agent, list(market_data(bars.filter(pl.col("timestamp") >= first)))


async def _as_bars_come(
    agent: BaseAgent, bars: list[MarketData], proposals: list[TradingProposal]
) -> tuple[list[float], list[float]]:
    """Take the bars in one by one, and vote at a day's end on the proposals made on it."""
    asked = {proposal.correlation_id: proposal for proposal in proposals}
    work: list[float] = []
    votes: list[float] = []
    for place, bar in enumerate(bars):
        began = time.perf_counter()
        await agent.observe(bar)
        agent.prepare(bar)
        work.append(time.perf_counter() - began)
        if place + 1 < len(bars) and bars[place + 1].observed_at == bar.observed_at:
            continue
        today = [each for each in bars[: place + 1] if each.observed_at == bar.observed_at]
        votes += [
            await _vote(agent, asked[each.message_id]) for each in today if each.message_id in asked
        ]
    return work, votes


async def _vote(agent: BaseAgent, proposal: TradingProposal) -> float:
    began = time.perf_counter()
    await agent.vote_on_decision(proposal)
    return time.perf_counter() - began
