"""The gate's verdict on a model folder. Imports torch; assets import it when they run."""

from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import polars as pl

from agents.learning.samples import HORIZON_DAYS, first_instant, panel, split
from agents.model import Model
from agents.model_files import load
from agents.validation import validation_metrics
from assets.records import ModelFolder
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import Settings
from domain.voting import AgentId
from evaluation.gate import (
    Check,
    GateReport,
    coverage_check,
    finite_check,
    judge,
    latency_check,
    skill_check,
)
from evaluation.skill import paired_skill

#: Time that one vote's inference may take (99th percentile).
LATENCY_BUDGET_SECONDS = 0.05
_TIMED_VOTES = 100
#: Share of days on which the 95 % value at risk is promised to be exceeded.
VAR_LEVEL = 0.05


class Measure(NamedTuple):
    """The own-task loss of an agent: a column of `validation_metrics`, its sign, and its name."""

    column: str
    sign: float
    title: str


MEASURES = {
    AgentId.MARKET_ANALYST: Measure("brier", 1.0, "Brier score"),
    AgentId.RISK_MANAGER: Measure("qlike", 1.0, "QLIKE of the variance forecast"),
    AgentId.PORTFOLIO_OPTIMIZER: Measure("log_return", -1.0, "log return after costs"),
    AgentId.EXECUTION: Measure("volume_error", 1.0, "error of the volume forecast"),
}


def validate(
    agent: AgentId,
    candidate: ModelFolder,
    incumbent: Path,
    incumbent_name: str,
    *,
    store: TimeSeriesStore,
    settings: Settings,
) -> GateReport:
    """Judge a candidate against the incumbent on the validation slice of the candidate's data."""
    until = datetime.fromisoformat(candidate.until)
    known, table_of_features = (store.read(t, end=until) for t in (Table.BARS, Table.FEATURES))
    start = first_instant(split(panel(known, table_of_features, until)).validation)
    models = [load(Path(candidate.folder), agent), load(incumbent, agent)]
    new, old = (
        validation_metrics(
            model, known, table_of_features, start=start, end=until, settings=settings.trading
        )
        for model in models
    )
    name = f"{agent} {candidate.kind} {Path(candidate.folder).name[:8]}"
    return judge(agent, name, incumbent_name, _checks(agent, models[0], new, old))


def _checks(agent: AgentId, model: Model, new: pl.DataFrame, old: pl.DataFrame) -> list[Check]:
    measure = MEASURES[agent]
    losses = [measure.sign * frame[measure.column].to_numpy() for frame in (old, new)]
    skill = paired_skill(new["timestamp"].to_list(), *losses)
    checks = [
        skill_check(skill, metric=measure.title, overlap=HORIZON_DAYS),
        finite_check(losses[1]),
        latency_check(_latencies(model), LATENCY_BUDGET_SECONDS),
    ]
    if agent is AgentId.RISK_MANAGER:
        by_symbol = new.partition_by("symbol", as_dict=True, maintain_order=True)
        breached = {str(key[0]): rows["exception_95"].to_numpy() for key, rows in by_symbol.items()}
        checks.append(coverage_check(breached, VAR_LEVEL))
    return checks


def _latencies(model: Model) -> list[float]:
    row = np.zeros((1, len(model.specification.inputs)))
    model.predict(row)
    seconds = []
    for _ in range(_TIMED_VOTES):
        start = perf_counter()
        model.predict(row)
        seconds.append(perf_counter() - start)
    return seconds
