"""The demo on a planted world: a learned model climbs to life, and falls where its edge ends."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from adapters.bus import open_bus
from adapters.keys import sealing
from adapters.ledger import migrate
from adapters.model_registry import open_model_registry
from adapters.model_registry.deployed import DeployedModels
from adapters.processes.probe import ask
from adapters.processes.run_file import find_process
from adapters.profile import connected
from assets.succession import reconcile
from domain.errors import EnvironmentProblem
from domain.model_life import FALLEN, ModelMove
from domain.models import DeploymentStatus
from domain.producers import Producer
from domain.settings import Settings
from domain.voting import AgentId
from domain.worlds import World
from orchestration.command_line.stages import Stage, Stages
from orchestration.demo import announce, starting_at, unseen_bars
from orchestration.demo_report import Run, next_commands, read_record, write_report
from orchestration.live_plane import AGENTS, running_live_plane
from orchestration.pipeline import run_pipeline, run_trials
from orchestration.planted import Planted, on_world, plant
from orchestration.record import ask as ask_record
from orchestration.replay import GUARDED_STAGES, Replay
from orchestration.state_folder import prepared_for_demo

#: Trading days between two looks at the versions on trial.
_DAYS_PER_LOOK = 15
_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class WorldResult:
    """What a demo on a planted world came to.

    Parameters
    ----------
    moves
        Every move of every model, agent by agent.
    promoted, rolled_back
        Versions (``agent@number``) that came to life by their trial, and that fell.
    """

    report: Path
    decision_log_hash: str
    outcomes: Mapping[str, int]
    breaks_on: str | None
    moves: Sequence[ModelMove]
    promoted: Sequence[str]
    rolled_back: Sequence[str]
    seconds: Mapping[str, float]
    next_commands: Sequence[str]


def run_world(
    settings: Settings, stages: Stages, world: World, *, days: int | None = None
) -> WorldResult:
    """Plant a world, learn from it, and trade its unseen days with the models' life going on.

    Raises
    ------
    ConfigurationError
        If the state folder holds what the demo did not make.
    QuorumError
        Whatever a stage refuses.
    """
    with ExitStack() as held:
        with stages.stage("Plant the world") as stage:
            held.enter_context(prepared_for_demo(settings.home))
            planted = plant(world, settings.home / "world")
            stage.say(_truth(planted))
        with stages.stage("Start PostgreSQL and Valkey"):
            live = held.enter_context(connected(on_world(settings, planted)))
            migrate(live.ledger_url.get_secret_value())
        with stages.stage("Learn: bars → versions on trial") as stage:
            pipeline = run_pipeline(live, lambda step: stage.say(f"{step.stage}: {step.name}"))
            stage.say(f"{len(pipeline.checks)} checks; on trial: {_on_trial(live) or 'none'}")
        bars = unseen_bars(live, days)
        with ExitStack() as plane:
            with stages.stage("Serve: consensus, gateway, 4 agents"):
                asyncio.run(announce(live, bars))
                plane.enter_context(running_live_plane(starting_at(live, bars)))
            with stages.stage("Trade the unseen days") as stage:
                _trade(live, bars, stage)
        moves = _settled_moves(live)
        with stages.stage("Write the report") as stage:
            record = ask_record(live, read_record)
            run = Run(
                bars=bars, record=record, pipeline=pipeline, retraining=None, world=world,
                truth=_truth(planted), moves=moves,
            )  # fmt: skip
            report = write_report(live, run)
            stage.say(str(report))
    return WorldResult(
        report=report,
        decision_log_hash=record.decision_log_hash,
        outcomes=record.outcomes,
        breaks_on=planted.breaks_on.isoformat() if planted.breaks_on else None,
        moves=moves,
        promoted=[_name(m) for m in moves if m.after is DeploymentStatus.LIVE and m.displaced],
        rolled_back=[_name(m) for m in moves if m.after in FALLEN],
        seconds=stages.seconds,
        next_commands=next_commands(settings, record),
    )


def _truth(planted: Planted) -> str:
    if planted.breaks_on is None:
        return "A trend that lasts to the end is planted."
    return f"A trend is planted that turns into its opposite on {planted.breaks_on}."


def _name(move: ModelMove) -> str:
    return f"{move.agent}@{move.version}"


def _on_trial(settings: Settings) -> str:
    deployed = DeployedModels.of(settings)
    numbers = ((agent, deployed.life(agent).on_trial) for agent in AgentId)
    return ", ".join(f"{agent}@{number}" for agent, number in numbers if number)


def _trade(settings: Settings, bars: pl.DataFrame, stage: Stage) -> None:
    """Replay some days at a time; between them the versions on trial are judged."""
    instants = bars["timestamp"].unique().sort()
    for first in range(0, len(instants), _DAYS_PER_LOOK):
        if first and _on_trial(settings):
            for agent, found in run_trials(settings).items():
                stage.say(f"{agent}: {found.reason}")
        _await_served(settings)
        some = instants[first : first + _DAYS_PER_LOOK]
        asyncio.run(_replay(settings, bars.filter(pl.col("timestamp").is_in(some.implode()))))
        stage.advance(first + len(some), len(instants), f"{some[-1]:%Y-%m-%d}")
    stage.say(f"{bars.height} bars, {len(instants)} days")


async def _replay(settings: Settings, bars: pl.DataFrame) -> None:
    bus = open_bus(settings, encode=sealing(settings, Producer.FEED))
    try:
        async for _ in Replay(bus, settings.partitions, stages=GUARDED_STAGES).feed(bars):
            pass
    finally:
        await bus.close()


class _Served(msgspec.Struct):
    """What an agent's ``/readyz`` tells of the versions it serves."""

    model: str = ""
    trial: str = ""
    rung: str = ""


def _await_served(settings: Settings) -> None:
    """Wait until every service serves the champion and the trial that this machine names.

    Raises
    ------
    EnvironmentProblem
        If one does not in time.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while waited := [agent for agent in AgentId if not _serves(settings, agent)]:
        if time.monotonic() > deadline:
            raise EnvironmentProblem(
                f"Not served as decided: {', '.join(waited)}.",
                next_step=f"Look at the services' logs in {settings.home / 'logs'}.",
            )
        time.sleep(_POLL_SECONDS)


def _serves(settings: Settings, agent: AgentId) -> bool:
    deployed = DeployedModels.of(settings)
    life, champion = deployed.life(agent), deployed.current(agent)
    number = life.on_trial
    trial = deployed.version(agent, number).version.label if number else ""
    rung = life.of(number).status if number else ""
    wanted = _Served(champion.version.label if champion else "", trial, rung)
    run_file = find_process(settings.home, AGENTS[agent])
    answer = ask(f"{run_file.url}/readyz") if run_file else None
    return answer is not None and msgspec.json.decode(answer.content, type=_Served) == wanted


def _settled_moves(settings: Settings) -> list[ModelMove]:
    """Return all moves, once the registry has heard of those that services made alone."""
    registry, deployed = open_model_registry(settings), DeployedModels.of(settings)
    for agent in AgentId:
        reconcile(registry, deployed, agent)
    return [move for agent in AgentId for move in registry.moves(agent)]
