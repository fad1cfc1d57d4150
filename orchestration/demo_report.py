"""The demo's report: what the record, the registry and the batch runs hold, on one page."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shlex import quote
from shutil import which

import polars as pl
from msgspec.structs import replace

from adapters.model_registry import open_model_registry
from adapters.time_series import open_time_series
from agents.learning.samples import HORIZON_DAYS
from assets.records import Registration
from consensus.audit import read_log
from domain.chain import log_hash
from domain.messages import Message
from domain.model_life import ModelMove
from domain.models import ModelVersion
from domain.ports.ledger import Ledger, Log
from domain.ports.time_series import Table
from domain.settings import Settings
from domain.voting import AgentId, ConsensusResult, Outcome
from evaluation.report import ChallengerComparison, ReportInput, RunParameters, write
from evaluation.report.inputs import SCHEMAS
from orchestration.pipeline import PipelineResult, RetrainingResult
from orchestration.report_input import benchmark_frame, model_frame, record_frames

#: Checks that the report shows with the models, not with the data.
_CHECKS_OF_MODELS = frozenset({"gate", "deployed_as_claimed"})


@dataclass(frozen=True)
class Record:
    """What the ledger holds after the replay."""

    decisions: list[ConsensusResult]
    orders: list[Message]
    decision_log_hash: str

    @property
    def outcomes(self) -> dict[str, int]:
        """Proposals by what the votes came to, whatever a review made of it later."""
        first = {d.proposal.proposal_id: d.outcome for d in reversed(self.decisions)}
        return {outcome.value: [*first.values()].count(outcome) for outcome in Outcome}


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the demo has gathered: the bars it replayed, the record, and the batch runs.

    Parameters
    ----------
    world, truth, moves
        Of a planted world: its name, what is true in it, and what became of the models.
    """

    bars: pl.DataFrame
    record: Record
    pipeline: PipelineResult
    retraining: RetrainingResult | None
    world: str = ""
    truth: str = ""
    moves: Sequence[ModelMove] = ()


async def read_record(ledger: Ledger) -> Record:
    """Return the decisions, the orders log and the hash of the decision log."""
    decided = [entry.message async for entry in read_log(ledger, Log.DECISIONS)]
    return Record(
        decisions=[message for message in decided if isinstance(message, ConsensusResult)],
        orders=[entry.message async for entry in read_log(ledger, Log.ORDERS)],
        decision_log_hash=log_hash(await ledger.heads(Log.DECISIONS)),
    )


def next_commands(settings: Settings, record: Record) -> tuple[str, str, str]:
    """Return three commands worth trying after the demo."""
    executed = [d.decision_id for d in record.decisions if d.outcome is Outcome.EXECUTE]
    explained = (executed or [d.decision_id for d in record.decisions] or ["<decision>"])[0]
    quorum = f"QUORUM_HOME={quote(str(settings.home))} {_program()}"
    return (f"{quorum} explain {explained}", f"{quorum} audit verify", f"{quorum} up")


def _program() -> str:
    """Return how this shell calls the command that runs: by name, or by its path."""
    return "quorum" if which("quorum") else quote(os.path.relpath(sys.argv[0]))


def write_report(settings: Settings, run: Run) -> Path:
    """Write the report below the state folder and return its path."""
    path = settings.home / "reports" / "demo.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    registry = open_model_registry(settings)
    versions = [version for agent in AgentId for version in registry.versions(agent)]
    store = open_time_series(settings)
    registrations = _registrations(run)
    frames = record_frames(run.record.decisions, run.record.orders)
    report = ReportInput(
        run=_parameters(settings, run, store.version(Table.BARS), versions),
        equity=frames["equity"],
        benchmark=benchmark_frame(run.bars, settings.trading.starting_cash),
        decisions=frames["decisions"],
        votes=frames["votes"],
        orders=frames["orders"],
        executions=frames["executions"],
        outcomes=frames["outcomes"],
        quality_checks=_quality_checks(run.pipeline),
        quarantined=_quarantined(store.read(Table.QUARANTINE)),
        models=model_frame(versions, _trained_until(registrations)),
        gates=tuple(replace(r.verdict, candidate=r.label) for r in registrations),
        challenger=None if run.retraining is None else _comparison(run.retraining),
        truth=run.truth,
        moves=tuple(run.moves),
    )
    write(report, path)
    return path


def _registrations(run: Run) -> list[Registration]:
    found = list(run.pipeline.registrations.values())
    return found if run.retraining is None else [*found, run.retraining.challenger]


def _comparison(retraining: RetrainingResult) -> ChallengerComparison:
    found, promotion = retraining.comparison, retraining.promotion
    return ChallengerComparison(
        agent_id=found.agent,
        champion=found.champion,
        challenger=found.challenger,
        metric=found.measure,
        action="promoted" if promotion.promoted else f"not promoted: {promotion.reason}",
        verdict=found.verdict,
        differences=pl.DataFrame(
            {
                "timestamp": [datetime.fromisoformat(instant) for instant in found.instants],
                "difference": list(found.differences),
            },
            schema={"timestamp": pl.Datetime("us", "UTC"), "difference": pl.Float64},
        ),
        overlap=HORIZON_DAYS,
    )


def _parameters(
    settings: Settings, run: Run, data_version: str, versions: Sequence[ModelVersion]
) -> RunParameters:
    days = run.bars["timestamp"].n_unique()
    trading, world = settings.trading, f" --world {run.world}" if run.world else ""
    return RunParameters(
        command=f"quorum demo{world} --seed {settings.seed} --days {days}",
        seed=settings.seed,
        symbols=tuple(sorted(run.bars["symbol"].unique())),
        market=f"A planted world on the sample's calendar. {run.truth}"
        if run.world
        else "Daily bars of five US stocks, 2000–2013 (Quandl WIKI, public domain), "
        "total-return adjusted",
        news=""
        if run.world
        else "Generated headlines: seeded noise that knows nothing of the prices",
        costs=f"Half-spread {trading.half_spread_bps} bps, square-root impact "
        f"{trading.impact_coefficient} daily volatilities, {trading.fee_per_share} USD per share.",
        decision_log_hash=run.record.decision_log_hash,
        data_version=data_version,
        code_version=versions[0].code_version,
        starting_cash=float(trading.starting_cash),
        execute_at_weighted_score=float(settings.consensus.execute_at_weighted_score),
        review_above_variance=float(settings.consensus.review_above_variance),
        next_commands=next_commands(settings, run.record),
    )


def _quality_checks(pipeline: PipelineResult) -> pl.DataFrame:
    rows = [
        {
            "check": check.name,
            "subject": check.asset,
            "passed": check.passed,
            "blocking": check.severity == "ERROR",
            "observed": check.description,
            "expected": "",
        }
        for check in pipeline.checks
        if check.name not in _CHECKS_OF_MODELS
    ]
    return pl.DataFrame(rows, schema=SCHEMAS["quality_checks"])


def _quarantined(rows: pl.DataFrame) -> pl.DataFrame:
    schema = SCHEMAS["quarantined"]
    if rows.is_empty():
        return pl.DataFrame(schema=schema)
    return rows.select(
        pl.col("symbol").cast(schema["symbol"]),
        pl.col("timestamp").cast(schema["timestamp"]),
        pl.col("reason").cast(schema["reason"]),
        pl.col("record").cast(schema["row"]).alias("row"),
    )


def _trained_until(registrations: Iterable[Registration]) -> dict[str, datetime | None]:
    """Return label → end of what the model has learned from; the classic policies are not there."""
    return {r.label: datetime.fromisoformat(r.until) for r in registrations}
