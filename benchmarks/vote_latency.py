"""One vote over HTTP, beside the same vote in process and a bare Starlette endpoint."""

import asyncio
import time

import httpx
import psutil
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.bus.memory import MemoryBus
from adapters.clock import open_clock
from adapters.http_server import bind, http_server
from adapters.metrics import PrometheusMetrics
from adapters.processes import Supervisor
from adapters.processes.run_file import find_process
from adapters.profile import connected
from adapters.time_series import open_time_series
from agents.build import build_agent
from benchmarks.measure import Row, alternately_async, median, percentile, run
from benchmarks.state import demo_settings
from consensus.audit import read_log
from domain.messages import encode
from domain.ports.ledger import Log
from domain.ports.time_series import Table
from domain.settings import Settings
from domain.voting import AgentId, ConsensusResult, TradingProposal
from orchestration.live_plane import AGENTS, process_specs
from orchestration.record import ask
from serving.model_source import LocalModelSource

_AGENT = AgentId.RISK_MANAGER
_ROUNDS, _WARM_UP = 400, 50
_READY_SECONDS = 60.0


def measure() -> list[Row]:
    settings = demo_settings()
    proposals = ask(settings, _proposals)
    with connected(settings) as ready, Supervisor(ready.home) as supervisor:
        for spec in process_specs(ready):
            if spec.name == AGENTS[_AGENT]:
                supervisor.add(spec)
        supervisor.start()
        supervisor.wait_until_ready(_READY_SECONDS)
        found = asyncio.run(_measure(ready, proposals))
        (status,) = supervisor.status()
        memory = psutil.Process(status.pid).memory_full_info().uss / 2**20
    http, starlette, process = (
        [1000 * seconds for seconds in found[name][_WARM_UP:]]
        for name in ("http", "starlette", "in process")
    )
    return [
        Row(
            figure="a vote over HTTP, median",
            unit="ms",
            ours=median(http),
            beside="a bare Starlette endpoint",
            theirs=median(starlette),
        ),
        Row(
            figure="a vote over HTTP, median",
            unit="ms",
            ours=median(http),
            beside="the same vote in process",
            theirs=median(process),
        ),
        Row(
            figure="a vote over HTTP, 99th percentile",
            unit="ms",
            ours=percentile(http, 0.99),
            beside="a bare Starlette endpoint",
            theirs=percentile(starlette, 0.99),
        ),
        Row(figure="memory of an agent's service alone", unit="MB", ours=memory),
    ]


async def _proposals(ledger) -> list[TradingProposal]:
    events = [entry.message async for entry in read_log(ledger, Log.DECISIONS)]
    return [event.proposal for event in events if isinstance(event, ConsensusResult)]


async def _measure(settings: Settings, proposals: list[TradingProposal]) -> dict[str, list[float]]:
    service = find_process(settings.home, AGENTS[_AGENT])
    bodies = [encode(proposal) for proposal in proposals]
    agent = _in_process(settings)
    next_one = _Turns(len(proposals))

    async def echo(request: Request) -> Response:
        return Response(await request.body(), media_type="application/json")

    async with (
        http_server(
            Starlette(routes=[Route("/", echo, methods=["POST"])]), bind("127.0.0.1", 0)
        ) as port,
        httpx.AsyncClient(headers={"content-type": "application/json"}) as client,
    ):

        async def post(url: str) -> float:
            body = bodies[next_one()]
            began = time.perf_counter()
            (await client.post(url, content=body)).raise_for_status()
            return time.perf_counter() - began

        async def in_process() -> float:
            proposal = proposals[next_one()]
            began = time.perf_counter()
            await agent.vote_on_decision(proposal)
            return time.perf_counter() - began

        return await alternately_async(
            {
                "http": lambda: post(f"{service.url}/vote"),
                "starlette": lambda: post(f"http://127.0.0.1:{port}/"),
                "in process": in_process,
            },
            _ROUNDS + _WARM_UP,
        )


def _in_process(settings: Settings):
    metrics = PrometheusMetrics()
    models = LocalModelSource(settings.home, _AGENT, trial=lambda _: None, metrics=metrics)
    agent = build_agent(_AGENT, MemoryBus(), models, metrics, open_clock(settings), settings)
    store = open_time_series(settings)
    agent.warm_up(store.read(Table.BARS), store.read(Table.NEWS))
    return agent


class _Turns:
    def __init__(self, count: int) -> None:
        self._count = count
        self._turn = 0

    def __call__(self) -> int:
        self._turn += 1
        return self._turn % self._count


if __name__ == "__main__":
    run(measure)
