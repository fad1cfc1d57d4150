"""One vote of each agent: in process, through its service, and through a bare endpoint."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import msgspec
import psutil

from adapters.processes import Supervisor
from adapters.processes.run_file import find_process
from adapters.profile import connected
from benchmarks.bare_voter import COMMAND, Measured
from benchmarks.measure import Row, alternately_async, median, percentile, run
from benchmarks.state import demo_settings
from consensus.audit import read_log
from domain.messages import encode
from domain.ports.ledger import Log
from domain.settings import Settings, as_environment
from domain.voting import AgentId, ConsensusResult
from orchestration.live_plane import AGENTS, process_specs
from orchestration.record import ask

_ROUNDS = 400
_READY_SECONDS = 60.0
#: Milliseconds that a vote may take, features kept: in process, and through the service.
_GOALS = {agent: (1.0, 3.0) if agent is AgentId.MARKET_ANALYST else (2.0, 4.0) for agent in AgentId}


def measure() -> list[Row]:
    settings = demo_settings()
    bodies = ask(settings, _proposals)
    rows: list[Row] = []
    with connected(settings) as ready:
        for agent in AgentId:
            with _service(ready, agent) as served, _bare(ready, agent, bodies) as bare:
                rows += _rows(agent, bodies, served, bare)
    return rows


def _rows(
    agent: AgentId, bodies: list[bytes], served: tuple[str, int], bare: tuple[Measured, int]
) -> list[Row]:
    (url, pid), (measured, bare_pid) = served, bare
    cached, first, bar = map(_milliseconds, (measured.cached, measured.first, measured.bar))
    found = asyncio.run(_over_http(bodies, url, f"http://127.0.0.1:{measured.port}"))
    service, endpoint = (_milliseconds(found[name]) for name in ("service", "bare"))
    inside, through = _GOALS[agent]
    peer = "the same agent behind a bare Starlette endpoint"

    def row(what: str, ours: float, beside: str = "", theirs: float | None = None) -> Row:
        return Row(figure=f"{agent}: {what}", unit="ms", ours=ours, beside=beside, theirs=theirs)

    return [
        row("a vote in process, features kept, median", median(cached), "at most", inside),
        row("a bar's first vote in process, median", median(first), "at most", inside),
        row("a bar's work as it comes, median", median(bar)),
        row("a vote through its service, median", median(service), "at most", through),
        row("a vote through its service, median", median(service), peer, median(endpoint)),
        row(
            "a vote through its service, 99th percentile",
            percentile(service, 0.99),
            peer,
            percentile(endpoint, 0.99),
        ),
        Row(
            figure=f"{agent}: memory of the service",
            unit="MB",
            ours=_megabytes(pid),
            beside=peer,
            theirs=_megabytes(bare_pid),
        ),
    ]


def _milliseconds(seconds: list[float]) -> list[float]:
    return [1000 * each for each in seconds]


def _megabytes(pid: int) -> float:
    return psutil.Process(pid).memory_full_info().uss / 2**20


async def _proposals(ledger) -> list[bytes]:
    events = [entry.message async for entry in read_log(ledger, Log.DECISIONS)]
    return [bytes(encode(e.proposal)) for e in events if isinstance(e, ConsensusResult)]


@contextmanager
def _service(settings: Settings, agent: AgentId) -> Iterator[tuple[str, int]]:
    """Yield the address and process id of the agent's service, alone."""
    with Supervisor(settings.home) as supervisor:
        for spec in process_specs(settings):
            if spec.name == AGENTS[agent]:
                supervisor.add(spec)
        supervisor.start()
        supervisor.wait_until_ready(_READY_SECONDS)
        (status,) = supervisor.status()
        yield find_process(settings.home, AGENTS[agent]).url, status.pid


@contextmanager
def _bare(
    settings: Settings, agent: AgentId, bodies: list[bytes]
) -> Iterator[tuple[Measured, int]]:
    with subprocess.Popen(
        [*COMMAND, agent],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **as_environment(settings)},
    ) as process:
        process.stdin.write(b"[" + b",".join(bodies) + b"]\n")
        process.stdin.flush()
        line = next(line for line in process.stdout if line.startswith(b"{"))
        yield msgspec.json.decode(line, type=Measured), process.pid


async def _over_http(bodies: list[bytes], service: str, bare: str) -> dict[str, list[float]]:
    async with httpx.AsyncClient(headers={"content-type": "application/json"}) as client:

        async def post(url: str, body: bytes) -> float:
            began = time.perf_counter()
            (await client.post(url, content=body)).raise_for_status()
            return time.perf_counter() - began

        for body in bodies:  # so that both hold every bar's features
            await post(f"{service}/vote", body)
            await post(f"{bare}/vote", body)
        turns = {name: iter(bodies * _ROUNDS) for name in ("service", "bare")}
        return await alternately_async(
            {
                "service": lambda: post(f"{service}/vote", next(turns["service"])),
                "bare": lambda: post(f"{bare}/vote", next(turns["bare"])),
            },
            _ROUNDS,
        )


if __name__ == "__main__":
    run(measure)
