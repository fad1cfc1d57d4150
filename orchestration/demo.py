"""The whole loop on the packaged sample: learn, serve, trade unseen months, learn again, report."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from adapters.bus import open_bus
from adapters.keys import sealing
from adapters.ledger import migrate
from adapters.profile import connected
from adapters.time_series import open_time_series
from assets.training import training_cutoff
from domain.errors import DataQualityError
from domain.ports.time_series import Table
from domain.producers import Producer
from domain.settings import Settings
from domain.voting import AgentId
from orchestration.command_line.stages import Stage, Stages
from orchestration.demo_report import Run, next_commands, read_record, write_report
from orchestration.live_plane import running_live_plane
from orchestration.pipeline import RetrainingResult, run_pipeline, run_retraining
from orchestration.record import ask
from orchestration.replay import Replay
from orchestration.state_folder import prepared_for_demo

#: The agent that the demo retrains on what it experienced.
RETRAINED = AgentId.MARKET_ANALYST


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What a demo came to.

    Parameters
    ----------
    decision_log_hash
        Over the whole decision log; the same for the same seed and days.
    outcomes
        Decisions by outcome.
    retraining
        Absent where the replay was too short for an outcome to mature.
    seconds
        Wall time by stage.
    """

    report: Path
    decision_log_hash: str
    outcomes: Mapping[str, int]
    retraining: RetrainingResult | None
    seconds: Mapping[str, float]
    next_commands: Sequence[str]


def run_demo(settings: Settings, stages: Stages, *, days: int | None = None) -> DemoResult:
    """Run every stage in order and write the report.

    Parameters
    ----------
    settings
        Their state folder must be empty, absent, or one that the demo made before.
    days
        How many of the unseen trading days to replay; all by default.

    Raises
    ------
    ConfigurationError
        If the state folder holds something else.
    QuorumError
        Whatever a stage refuses.
    """
    with ExitStack() as held:
        with stages.stage("Empty the state folder") as stage:
            held.enter_context(prepared_for_demo(settings.home))
            stage.say(str(settings.home))
        with stages.stage(_servers(settings)):
            live = held.enter_context(connected(settings))
            migrate(live.ledger_url.get_secret_value())
        with stages.stage("Learn: bars → champions") as stage:
            pipeline = run_pipeline(live, lambda step: stage.say(f"{step.stage}: {step.name}"))
            promoted = sum(p.promoted for p in pipeline.promotions.values())
            stage.say(f"{len(pipeline.checks)} checks, {promoted} of 4 learned models promoted")
        bars = unseen_bars(live, days)
        with ExitStack() as plane:
            with stages.stage("Serve: consensus, gateway, 4 agents"):
                asyncio.run(announce(live, bars))
                plane.enter_context(running_live_plane(starting_at(live, bars)))
            with stages.stage("Trade the unseen days") as stage:
                asyncio.run(_replay(live, bars, stage))
        with stages.stage(f"Retrain the {RETRAINED.replace('_', ' ')}") as stage:
            retraining = _retrain(live, stage)
        with stages.stage("Write the report") as stage:
            record = ask(live, read_record)
            run = Run(bars=bars, record=record, pipeline=pipeline, retraining=retraining)
            report = write_report(live, run)
            stage.say(str(report))
    return DemoResult(
        report=report,
        decision_log_hash=record.decision_log_hash,
        outcomes=record.outcomes,
        retraining=retraining,
        seconds=stages.seconds,
        next_commands=next_commands(settings, record),
    )


def unseen_bars(settings: Settings, days: int | None) -> pl.DataFrame:
    """Return the bars that no model has learned from, of the first `days` trading days.

    Raises
    ------
    DataQualityError
        If there are none.
    """
    store = open_time_series(settings)
    bars = store.read(Table.BARS, start=training_cutoff(settings, store))
    if bars.is_empty():
        raise DataQualityError(
            "There is no bar after the training cutoff, so nothing could be traded unseen.",
            next_step="Set QUORUM_TRAINING__UNTIL to an earlier day.",
        )
    wanted = bars["timestamp"].unique().sort()[:days]
    return bars.filter(pl.col("timestamp") <= wanted[-1])


def _servers(settings: Settings) -> str:
    """Return what is started, and what runs already where the settings name a bus."""
    if not settings.bus_url:
        return "Start PostgreSQL and Valkey"
    bus = "RabbitMQ" if settings.bus_url.startswith("amqp") else "the named Redis or Valkey"
    return f"Start PostgreSQL, reach {bus}"


def starting_at(settings: Settings, bars: pl.DataFrame) -> Settings:
    """Return settings under which agents start with the history before the first of `bars`."""
    serving = settings.serving.model_copy(update={"history_until": bars["timestamp"].min()})
    return settings.model_copy(update={"serving": serving})


async def announce(settings: Settings, bars: pl.DataFrame) -> None:
    """Put the headlines of the time of `bars` on the bus, where agents find them."""
    first, last = bars["timestamp"].min(), bars["timestamp"].max()
    after: datetime = last + timedelta(microseconds=1)  # type: ignore[assignment,operator]
    news = open_time_series(settings).read(Table.NEWS, start=first, end=after)  # type: ignore[arg-type]
    bus = open_bus(settings, encode=sealing(settings, Producer.FEED))
    try:
        await Replay(bus, settings.partitions).announce(news)
    finally:
        await bus.close()


async def _replay(settings: Settings, bars: pl.DataFrame, stage: Stage) -> None:
    bus = open_bus(settings, encode=sealing(settings, Producer.FEED))
    try:
        replay = Replay(bus, settings.partitions)
        done = 0
        async for data in replay.feed(bars):
            done += 1
            stage.advance(done, bars.height, f"{data.observed_at:%Y-%m-%d} {data.symbol}")
        stage.say(f"{done} bars, {bars['timestamp'].n_unique()} days")
    finally:
        await bus.close()


def _retrain(settings: Settings, stage: Stage) -> RetrainingResult | None:
    try:
        result = run_retraining(
            settings, RETRAINED, progress=lambda step: stage.say(f"{step.stage}: {step.name}")
        )
    except DataQualityError as problem:
        stage.say(f"not done: {problem.what}")
        return None
    verb = "promoted" if result.promotion.promoted else "not promoted"
    stage.say(f"{result.promotion.candidate} {verb}: {result.promotion.reason}")
    return result
