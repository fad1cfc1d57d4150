"""The gate's verdict on a model folder. Imports torch; assets import it when they run.

Its own task first, on days that neither model has seen. Only a candidate that passes there is
trained again for the cross-validation and put into the whole platform's back-test; for the others
these checks say that they were not made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace as changed
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl

from agents.indicators import WINDOW, compute_frame
from agents.learning.loop import LearningSettings
from agents.learning.samples import (
    HORIZON_DAYS,
    Panel,
    Slices,
    first_instant,
    panel,
    split,
    within,
)
from agents.learning.training import TASKS
from agents.model import Model
from agents.model_files import load
from assets.records import ModelFolder
from assets.trials import PastTrials
from assets.whole import Incumbent, doubled, earned_more
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import Settings
from domain.voting import AgentId
from evaluation import endurance
from evaluation.arrays import Floats
from evaluation.coverage import coverage_check, independence_check, zone_check
from evaluation.cross_validation import path_gains, path_sharpes
from evaluation.gate import (
    Check,
    CheckOutcome,
    GateReport,
    calibration_check,
    finite_check,
    judge,
    latency_check,
    look_ahead_check,
    skill_check,
)
from evaluation.look_ahead import look_ahead
from evaluation.luck import Contest, apart, luck_checks
from evaluation.own_task import MEASURES, losses
from evaluation.splits import overlapping

#: Time that one vote's inference may take (99th percentile), and what its tensors may hold.
LATENCY_BUDGET_SECONDS = 0.05
MEMORY_BUDGET_BYTES = 32 * 2**20
_TIMED_VOTES = 100
#: Share of days on which the 95 % value at risk is promised to be exceeded.
VAR_LEVEL = 0.05
#: Noise put on every input, in its own deviations, and instants whose features are made again.
_NOISE, _CUTS = 0.1, 2
#: Days between a transition's decision and its record, at most; what overlaps is not judged on.
_MATURING = timedelta(days=3 * HORIZON_DAYS)


class _Judged(NamedTuple):
    """All rows, their slices, those that both models are judged on, and how they did there."""

    every: Panel
    slices: Slices
    rows: Panel
    new: pl.DataFrame
    old: pl.DataFrame


def validate(
    agent: AgentId,
    candidate: ModelFolder,
    incumbents: Mapping[AgentId, Incumbent],
    past: PastTrials,
    *,
    store: TimeSeriesStore,
    settings: Settings,
) -> GateReport:
    """Judge a candidate against the incumbent on the validation slice of the candidate's data.

    Parameters
    ----------
    incumbents
        Who votes now, all four agents: the one to beat, and its colleagues.
    past
        The agent's trials, the candidate's own among them.
    """
    until = datetime.fromisoformat(candidate.until)
    known, features = (store.read(t, end=until) for t in (Table.BARS, Table.FEATURES))
    rows = panel(known, features, until)
    slices = split(rows)
    start, end = first_instant(slices.validation), _judged_until(candidate, store, until)
    judged_rows = within(rows, start, end)
    model, incumbent = (
        load(Path(candidate.folder), agent),
        load(incumbents[agent].folder, agent),
    )
    new, old = (
        TASKS[agent].skill(m, judged_rows, settings.trading).frame() for m in (model, incumbent)
    )
    judged = _Judged(rows, slices, judged_rows, new, old)
    checks = [
        *_skill(agent, candidate, judged, past, settings),
        *_endurance(agent, model, incumbent, judged, settings),
        *_soundness(
            agent,
            candidate,
            model,
            judged,
            known=known,
            features=features,
            news=store.read(Table.NEWS),
        ),
    ]
    passed = all(check.outcome is CheckOutcome.PASS for check in checks)
    if passed:
        usable = rows.take(rows.known)
        learning = changed(
            msgspec.convert(candidate.learning, LearningSettings), seed=settings.seed
        )
        gains = path_gains(model, usable, until=until, learning=learning, limits=settings.trading)
        checks.append(endurance.paths_check(path_sharpes(agent, gains)))
        checks += earned_more(
            agent, model, incumbents, bars=known, features=features, end=end, settings=settings
        )
    else:
        checks += [
            endurance.unmeasured("cross-validation paths", "all > 0"),
            endurance.unmeasured("earnings of the whole", "not shown to be less"),
            endurance.unmeasured("earnings at doubled costs", "not shown to be less"),
        ]
    name = f"{agent} {candidate.kind} {Path(candidate.folder).name[:8]}"
    return judge(agent, name, incumbents[agent].label, checks)


def _judged_until(candidate: ModelFolder, store: TimeSeriesStore, until: datetime) -> datetime:
    """Return the end of what it is judged on: before the first transition it has learned from."""
    if not candidate.experiences:
        return until
    lived = store.read(Table.EXPERIENCES, end=until)["timestamp"].min()
    return min(until, lived - _MATURING)  # type: ignore[operator,type-var]


def _skill(
    agent: AgentId, candidate: ModelFolder, judged: _Judged, past: PastTrials, settings: Settings
) -> list[Check]:
    """Ask whether it is better at its task, and whether that is more than luck."""
    measure = MEASURES[agent]
    new, old = losses(agent, judged.new), losses(agent, judged.old)
    others = [
        np.asarray(found)
        for run, found in sorted(past.losses.items())
        if run != candidate.run_id and len(found) == len(new)
    ]
    trials = np.column_stack([new, *others])
    before = _joined(judged.slices)
    naive = TASKS[agent].naive(judged.rows, before, settings.trading)
    benchmarks = {"the incumbent": old} | {
        name: losses(agent, skill.frame()) for name, skill in naive.items()
    }
    over = {
        name: apart(loss[:, None] - trials, measure.overlap) for name, loss in benchmarks.items()
    }
    contest = Contest(
        gains=over["the incumbent"],
        over_benchmarks=over,
        trials=max(past.count, trials.shape[1]),
        seed=settings.seed,
    )
    skill = skill_check(old - new, metric=measure.title, overlap=measure.overlap)
    return [skill, *luck_checks(contest, 0)]


def _endurance(
    agent: AgentId, model: Model, incumbent: Model, judged: _Judged, settings: Settings
) -> list[Check]:
    """Ask whether the gain lasts, and whether its chances and risks are what it says."""
    measure, rows = MEASURES[agent], judged.rows
    gains = losses(agent, judged.old) - losses(agent, judged.new)
    checks = [endurance.regime_check(gains, _regimes(judged), measure.overlap)]
    noise = np.random.default_rng(settings.seed).standard_normal(rows.features.shape)
    noisy = changed(rows, features=rows.features + _NOISE * rows.features.std(axis=0) * noise)
    harder = [("input noise", "with noise on every input", noisy, settings.trading)]
    if measure.costs:
        harder.append(("costs doubled", "at doubled costs", rows, doubled(settings.trading)))
    for name, when, under, limits in harder:
        old, new = (
            losses(agent, TASKS[agent].skill(m, under, limits).frame()) for m in (incumbent, model)
        )
        checks.append(endurance.lasting_check(name, old - new, when=when, overlap=measure.overlap))
    if "chance" in judged.new.columns:
        checks.append(
            calibration_check(
                judged.new["chance"].to_numpy(),
                judged.old["chance"].to_numpy(),
                judged.new["happened"].to_numpy(),
                seed=settings.seed,
                # The symbols of one day, and the days of one horizon, hang together.
                block=float(HORIZON_DAYS * max(1, rows.rows // len(np.unique(rows.times)))),
            )
        )
    if agent is AgentId.RISK_MANAGER:
        at_95, at_99, before = (
            _breaches(frame, column)
            for frame, column in (
                (judged.new, "exception_95"),
                (judged.new, "exception_99"),
                (judged.old, "exception_99"),
            )
        )
        checks += [
            coverage_check(at_95, VAR_LEVEL),
            independence_check(at_95),
            zone_check(at_99, before),
        ]
    return checks


def _soundness(
    agent: AgentId,
    candidate: ModelFolder,
    model: Model,
    judged: _Judged,
    *,
    known: pl.DataFrame,
    features: pl.DataFrame,
    news: pl.DataFrame,
) -> list[Check]:
    """Ask whether it knows the future, answers what it can't know, and is quick and small."""
    slices, task = judged.slices, TASKS[agent]
    learned = _joined(slices)
    found = look_ahead(
        features,
        lambda cut: compute_frame(*(_recent(frame, cut) for frame in (known, news))),
        _cuts(judged.rows, features),
    )
    checks = [
        look_ahead_check(sum(found.different.values()) + found.missing, found.rows + found.missing),
        endurance.purge_check(_overlaps(judged, learned), learned.rows),
        finite_check(MEASURES[agent].sign * judged.new[MEASURES[agent].column].to_numpy()),
        endurance.missing_check(_answered(model, judged.rows)),
        latency_check(_latencies(model), LATENCY_BUDGET_SECONDS),
        endurance.memory_check(
            sum(t.numel() * t.element_size() for t in model.network.state_dict().values()),
            MEMORY_BUDGET_BYTES,
        ),
    ]
    if model.network.hidden_units and not candidate.experiences:
        used: Floats = model.network.input_mean.numpy()
        checks.append(endurance.scale_check(used, slices.training.columns(task.INPUTS).mean(0)))
    return checks


def _joined(slices: Slices) -> Panel:
    """Return all rows that were learned or calibrated from."""
    parts = (slices.training, slices.tuning)
    return Panel(
        **{name: np.concatenate([getattr(p, name) for p in parts]) for name in vars(parts[0])}
    )


def _overlaps(judged: _Judged, learned: Panel) -> int:
    """Return how many of the rows learned from have labels that reach into the judged days."""
    days = np.unique(judged.every.times)
    before, after = (np.searchsorted(days, part.times) for part in (learned, judged.rows))
    starts = np.concatenate([before, after]).astype(np.int64)
    order = np.argsort(starts, kind="stable")
    test = np.flatnonzero(order >= learned.rows)
    reached = overlapping(starts[order], starts[order] + HORIZON_DAYS, test)
    return int(reached.sum()) - len(test)


def _regimes(judged: _Judged) -> Sequence[str]:
    """Return the regime of each judged instant, by the mean volatility of the symbols then."""
    times, where = np.unique(judged.rows.times, return_inverse=True)
    monthly = np.exp(judged.rows.columns(("log_volatility_21",))[:, 0])
    volatility = np.bincount(where, weights=monthly) / np.bincount(where)
    instants = judged.new["timestamp"].unique().sort().dt.epoch("us").to_numpy()
    return endurance.regimes(volatility[np.isin(times, instants)]).tolist()


def _breaches(frame: pl.DataFrame, column: str) -> dict[str, Floats]:
    by_symbol = frame.partition_by("symbol", as_dict=True, maintain_order=True)
    return {str(key[0]): rows[column].to_numpy() for key, rows in by_symbol.items()}


def _recent(frame: pl.DataFrame, cut: datetime) -> pl.DataFrame:
    """Return the rows up to `cut` that an indicator can remember."""
    if frame.is_empty():
        return frame
    return frame.filter(pl.col("timestamp").is_between(cut - timedelta(days=2 * WINDOW), cut))


def _cuts(rows: Panel, features: pl.DataFrame) -> list[datetime]:
    """Return instants in the middle of what is judged."""
    moments = features["timestamp"].unique().sort()
    inside = moments.filter(moments >= first_instant(rows))
    return inside.gather_every(max(1, len(inside) // (_CUTS + 1)))[1 : _CUTS + 1].to_list()


def _answered(model: Model, rows: Panel) -> dict[str, int]:
    """Return for each input how many rows get a number although it is missing."""
    inputs = model.specification.inputs
    sample = rows.columns(inputs)[:_TIMED_VOTES]
    answered: dict[str, int] = {}
    for place, name in enumerate(inputs):
        spoiled = sample.copy()
        spoiled[:, place] = np.nan
        # The agent asks for its inputs by name and abstains on None; the network has to agree.
        asked = model.inputs_of(dict(zip(inputs, spoiled[0].tolist(), strict=True)))
        numbers = int(np.isfinite(model.predict(spoiled)).any(axis=1).sum())
        answered[name] = numbers if asked is None else len(sample)
    return answered


def _latencies(model: Model) -> list[float]:
    row = np.zeros((1, len(model.specification.inputs)))
    model.predict(row)
    seconds = []
    for _ in range(_TIMED_VOTES):
        start = perf_counter()
        model.predict(row)
        seconds.append(perf_counter() - start)
    return seconds
