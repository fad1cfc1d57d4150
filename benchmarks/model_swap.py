"""A breach until the old version is served, and a swap of models under load, on a real service.

No MLflow, PostgreSQL or Dagster runs meanwhile: what it takes is on the service's machine.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import msgspec
import numpy as np
import polars as pl
import psutil

from adapters.bus import open_bus
from adapters.keys import sealing
from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.manifest import verified
from adapters.model_registry.signing import ModelKeys
from adapters.processes.run_file import find_process
from adapters.profile import connected
from adapters.time_series import open_time_series
from agents.learning.training import classic
from agents.model import TrainedModel
from agents.model_files import save
from benchmarks.measure import Row, percentile, run
from domain.identity import derive_id
from domain.messages import decode, encode
from domain.model_life import ModelLife, apply, next_move
from domain.models import DeploymentStatus, ModelVersion
from domain.portfolio import Portfolio, PortfolioUpdated
from domain.ports.time_series import Table
from domain.producers import Producer
from domain.settings import Settings
from domain.streams import Stream
from domain.voting import Action, AgentId, TradingProposal, Vote

_AGENT = AgentId.EXECUTION
_DAYS = 1_000
_START = datetime(2008, 1, 1, 21, tzinfo=UTC)
_END = _START + timedelta(days=_DAYS - 1)
_TRIES, _PER_SECOND, _SECONDS, _SWAPS = 100, 200, 6, 12
_READY_SECONDS = 90.0


def measure() -> list[Row]:
    with TemporaryDirectory(prefix="quorum-swap-") as folder:
        settings = Settings(home=Path(folder))
        desk = _Desk(settings)
        with connected(settings, servers=["valkey"]) as ready:
            environment = {
                **os.environ,
                "QUORUM_HOME": folder,
                "QUORUM_BUS_URL": ready.bus_url,
                "QUORUM_LOG_FORMAT": "json",
                "QUORUM_LOG_LEVEL": "ERROR",
            }
            command = [sys.executable, "-m", "serving", _AGENT]
            with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as child:
                try:
                    return asyncio.run(_measure(ready, desk, child.pid))
                finally:
                    child.terminate()
                    child.wait(30)


class _Desk:
    """Versions of one agent on this machine, and their moves."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.models = DeployedModels.of(settings)
        bars = _history()
        open_time_series(settings).write(Table.BARS, bars)
        first = classic(_AGENT, bars, until=_END, seed=7, settings=settings.trading)
        self._saved = Path(settings.home) / "saved"
        self._save(first, "even")
        for tensor in first.model.network.state_dict().values():
            tensor.mul_(1.05)  # another model, whose votes can be told from the first's
        self._save(first, "odd")
        for number in (1, 2):
            self.add(number)
            self.go(number, DeploymentStatus.VALIDATED, DeploymentStatus.LIVE)

    def _save(self, trained: TrainedModel, name: str) -> None:
        save(self._saved / name, trained)

    def add(self, number: int) -> None:
        """Install a version; even numbers have other weights than odd ones."""
        folder = self.settings.home / "models" / _AGENT / str(number)
        shutil.copytree(self._saved / ("odd" if number % 2 else "even"), folder)
        version = ModelVersion(
            model_id=f"quorum-{_AGENT}",
            version=number,
            agent_type=_AGENT,
            performance_metrics={},
            deployment_status=DeploymentStatus.REGISTERED,
            created_at=_END,
            model_artifacts=verified(folder, _AGENT),
        )
        signed = ModelKeys.of(self.settings).sign(version)
        (folder.parent / f"{number}.json").write_bytes(encode(signed))

    def go(self, number: int, *path: DeploymentStatus) -> None:
        """Move a version as the registry would have it."""
        moves = list(self.models.moves(_AGENT))
        life: ModelLife = self.models.life(_AGENT)
        for after in path:
            moves.append(
                next_move(
                    life, number, after, actor="person:benchmark", reason="r", occurred_at=_END
                )
            )
            life = apply(life, moves[-1])
        self.models.follow(_AGENT, moves)


async def _measure(settings: Settings, desk: _Desk, pid: int) -> list[Row]:
    service = await _ready(settings)
    bus = open_bus(settings, encode=sealing(settings, Producer.GATEWAY))
    async with httpx.AsyncClient(base_url=service, timeout=10) as http:
        calm = await _load(http, [])
        swapping = await _load(http, [desk] * _SWAPS)
        memory = psutil.Process(pid).memory_full_info().uss / 2**20
        took = [await _breach(desk, bus, http, 3 + n) for n in range(_TRIES)]
    await bus.close()
    normal, during = (1000 * percentile(each.seconds, 0.99) for each in (calm, swapping))
    return [
        Row(figure="breach → old version served, median", unit="s", ours=percentile(took, 0.5)),
        Row(
            figure=f"breach → old version served, 99th percentile of {_TRIES}",
            unit="s",
            ours=percentile(took, 0.99),
            beside="limit",
            theirs=5.0,
        ),
        Row(
            figure=f"vote at {_PER_SECOND}/s, {_SWAPS} swaps in {_SECONDS} s, 99th percentile",
            unit="ms",
            ours=during,
            beside="without swaps",
            theirs=normal,
        ),
        Row(figure="errors in it", unit="requests", ours=swapping.errors),
        Row(figure="mixed answers in it", unit="requests", ours=swapping.mixed),
        Row(figure="swaps that answers show", unit="versions", ours=swapping.changes),
        Row(figure="memory of the service", unit="MB", ours=memory, beside="limit", theirs=350),
    ]


class _Load(msgspec.Struct):
    """What came of a time of load."""

    seconds: list[float]
    errors: int
    mixed: int
    changes: int


async def _load(http: httpx.AsyncClient, swaps: list[_Desk]) -> _Load:
    """Ask for votes at a steady rate, however long the answers take, while models are swapped."""
    body = encode(_proposal())
    answers: list[tuple[float, int, Vote | None]] = []

    async def ask() -> None:
        began = time.perf_counter()
        answer = await http.post("/vote", content=body)
        vote = decode(answer.content) if answer.status_code == 200 else None
        answers.append((time.perf_counter() - began, answer.status_code, vote))

    async def swap() -> None:
        for number, desk in enumerate(swaps):
            await asyncio.sleep(_SECONDS / (len(swaps) + 1))
            await asyncio.to_thread(desk.go, 1 + number % 2, DeploymentStatus.LIVE)

    swapping = asyncio.create_task(swap())
    began, tasks = time.perf_counter(), []
    for number in range(_PER_SECOND * _SECONDS):
        await asyncio.sleep(max(0.0, began + number / _PER_SECOND - time.perf_counter()))
        tasks.append(asyncio.create_task(ask()))
    await asyncio.gather(swapping, *tasks)
    votes = [vote for _, _, vote in answers if isinstance(vote, Vote)]
    said: dict[str, set[tuple[int, int, str]]] = {}
    for vote in votes:
        kept = said.setdefault(vote.model_version, set())
        kept.add((vote.score, vote.confidence_ppm, vote.rationale))
    labels = [vote.model_version for vote in votes]
    return _Load(
        seconds=[seconds for seconds, _, _ in answers],
        errors=sum(status != 200 for _, status, _ in answers),
        mixed=sum(len(each) - 1 for each in said.values()),
        changes=sum(a != b for a, b in pairwise(labels)),
    )


async def _breach(desk: _Desk, bus, http: httpx.AsyncClient, number: int) -> float:
    """Promote a version, let equity fall, and wait until the service tells another version."""
    desk.add(number)
    desk.go(number, DeploymentStatus.VALIDATED, DeploymentStatus.LIVE)
    await _serves(http, lambda version: version == number)
    await bus.publish(Stream.PORTFOLIO, 0, _portfolio(f"high {number}", 1_000_000))
    began = time.perf_counter()
    await bus.publish(Stream.PORTFOLIO, 0, _portfolio(f"low {number}", 500_000))
    await _serves(http, lambda version: version < number)
    return time.perf_counter() - began


async def _serves(http: httpx.AsyncClient, wanted) -> None:
    async with asyncio.timeout(60):
        while not wanted((await http.post("/version")).json()["version"]):  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def _ready(settings: Settings) -> str:
    async with asyncio.timeout(_READY_SECONDS), httpx.AsyncClient() as http:
        while True:
            found = find_process(settings.home, f"agent.{_AGENT}")
            if found and (await http.get(f"{found.url}/readyz")).status_code == 200:
                return found.url
            await asyncio.sleep(0.1)


def _portfolio(name: str, cash: int) -> PortfolioUpdated:
    return PortfolioUpdated(
        message_id=name,
        correlation_id=name,
        occurred_at=datetime.now(UTC),
        portfolio=Portfolio(cash=Decimal(cash)),
    )


def _proposal() -> TradingProposal:
    bar = derive_id("bar", "AAA", _END.isoformat())
    return TradingProposal(
        message_id=derive_id("proposal", bar, "benchmark"),
        correlation_id=bar,
        causation_id=bar,
        occurred_at=_END,
        symbol="AAA",
        action=Action.BUY,
        quantity=Decimal(100),
        reference_price=Decimal(20),
        price_target=Decimal(21),
        horizon_days=5,
        rationale="",
        confidence_ppm=550_000,
        portfolio=Portfolio(cash=Decimal(1_000_000)),
        model_version="market_analyst@1:0",
    )


def _history() -> pl.DataFrame:
    random = np.random.default_rng(7)
    frames = []
    for symbol in ("AAA", "BBB"):
        close = np.round(20 * np.exp(np.cumsum(random.normal(0.0003, 0.015, _DAYS))), 4)
        opened = np.round(close * np.exp(random.normal(0, 0.004, _DAYS)), 4)
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [symbol] * _DAYS,
                    "timestamp": [_START + timedelta(days=n) for n in range(_DAYS)],
                    "open": opened,
                    "high": np.maximum(opened, close) * 1.002,
                    "low": np.minimum(opened, close) * 0.998,
                    "close": close,
                    "volume": np.round(random.lognormal(14, 0.4, _DAYS)),
                    "raw_close": close,
                    "source": ["benchmark"] * _DAYS,
                },
                schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
            )
        )
    return pl.concat(frames)


if __name__ == "__main__":
    run(measure)
