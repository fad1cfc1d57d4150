"""Combinatorial purged cross-validation of an agent's training: many back-tests instead of one.

Every choice of test groups is learned from anew, on the rows whose labels don't reach into them,
and each path puts one test of every group together (López de Prado, 2018, chapter 12).
"""

from datetime import datetime

import numpy as np

from agents.learning.loop import LearningSettings, one_thread
from agents.learning.samples import HORIZON_DAYS, Panel, Slices
from agents.learning.task import Lesson
from agents.learning.training import TASKS, classic_network, fitted
from agents.learning.trials import Trials
from agents.model import Model
from agents.network import PolicyNetwork
from domain.settings import TradingSettings
from domain.voting import AgentId
from evaluation.arrays import Floats
from evaluation.luck import apart
from evaluation.own_task import MEASURES, losses
from evaluation.splits import Instants, Split, combinatorial, groups_of, path_count, paths

#: Share of a split's training days, the last ones, that early stopping and calibration take.
_TUNING_SHARE = 0.2


def path_gains(
    model: Model,
    rows: Panel,
    *,
    until: datetime,
    learning: LearningSettings,
    limits: TradingSettings,
    groups: int = 6,
    tests: int = 2,
) -> list[Floats]:
    """Return per path the gain of training over the classic policy, one entry per instant.

    Parameters
    ----------
    model
        The candidate: what isn't trained again (score and confidence) is taken from it.
    rows
        All rows with a known future, sorted by time.
    learning
        How the network is fitted, its seed included.
    """
    agent = model.specification.agent
    task = TASKS[agent]
    _, day = np.unique(rows.times, return_inverse=True)
    starts = day.astype(np.int64)
    group = groups_of(starts, groups)
    parts: dict[tuple[int, int], Floats] = {}
    splits = combinatorial(starts, starts + HORIZON_DAYS, groups=groups, tests=tests)
    with one_thread():
        for number, split in enumerate(splits):
            lesson = _lesson(rows, starts, split, until, limits)
            network, _ = fitted(agent, lesson, learning)
            models = [_finished(model, n, lesson) for n in (classic_network(agent), network)]
            for tested in split.groups:
                test = rows.take(group == tested)
                plain, trained = (
                    losses(agent, task.skill(m, test, limits).frame()) for m in models
                )
                parts[number, tested] = plain - trained
    of_path = paths(groups, tests)
    return [
        np.concatenate([parts[int(np.argmax(of_path[:, g] == path)), g] for g in range(groups)])
        for path in range(path_count(groups, tests))
    ]


def path_sharpes(agent: AgentId, gains: list[Floats]) -> Floats:
    """Return the Sharpe ratio per period of each path's gain; 0 for one that never moves."""
    periods = [apart(path, MEASURES[agent].overlap) for path in gains]
    return np.array([float(p.mean() / s) if (s := p.std(ddof=1)) > 0 else 0.0 for p in periods])


def _lesson(
    rows: Panel, starts: Instants, split: Split, until: datetime, limits: TradingSettings
) -> Lesson:
    """Return the split's rows as a lesson; the last days learned from are for tuning."""
    days = np.unique(starts[split.training])
    cut = days[int(len(days) * (1.0 - _TUNING_SHARE))]
    inside = np.isin(np.arange(rows.rows), split.training)
    slices = Slices(
        training=rows.take(inside & (starts < cut - HORIZON_DAYS)),
        tuning=rows.take(inside & (starts >= cut)),
        validation=rows.take(np.isin(np.arange(rows.rows), split.test)),
    )
    return Lesson(slices, until, limits, _no_trials, {})


def _no_trials() -> Trials:
    raise AssertionError("Own tasks need no trial proposals.")


def _finished(like: Model, network: PolicyNetwork, lesson: Lesson) -> Model:
    """Return the network with the candidate's specification; chances are fitted to the lesson."""
    agent = like.specification.agent
    if agent is AgentId.MARKET_ANALYST:
        return TASKS[agent].calibrate(network, lesson)
    return Model(like.specification, network)
