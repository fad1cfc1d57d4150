"""Train the four agents, or take their classic policies; both come out in the same form."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache

import polars as pl

from agents.execution import training as execution
from agents.indicators import compute_frame
from agents.learning.loop import one_thread
from agents.learning.samples import Panel, Slices, panel, split
from agents.learning.task import Lesson, Task
from agents.learning.trials import Trials, make_trials
from agents.market_analyst import training as market_analyst
from agents.model import OUTPUTS, Epoch, Model, TrainedModel
from agents.network import PolicyNetwork
from agents.portfolio_optimizer import training as portfolio_optimizer
from agents.price_history import price_histories
from agents.risk_manager import training as risk_manager
from domain.settings import TradingSettings
from domain.voting import AgentId

#: Agent → the module that says what it learns.
TASKS: Mapping[AgentId, Task] = {
    AgentId.MARKET_ANALYST: market_analyst,
    AgentId.RISK_MANAGER: risk_manager,
    AgentId.PORTFOLIO_OPTIMIZER: portfolio_optimizer,
    AgentId.EXECUTION: execution,
}


def train(
    agent: AgentId,
    bars: pl.DataFrame,
    features: pl.DataFrame | None = None,
    news: pl.DataFrame | None = None,
    experiences: pl.DataFrame | None = None,
    *,
    until: datetime,
    seed: int,
    settings: TradingSettings,
) -> TrainedModel:
    """Return `agent`'s model as learned from what was known before `until`.

    The same arguments give the same weights bit for bit, in any process.

    Parameters
    ----------
    bars, news
        Tables BARS and NEWS; later rows than `until` are not read.
    features
        Table FEATURES; computed from bars and news where it is not given.
    experiences
        Table EXPERIENCES: additional samples of the Market Analyst.
    settings
        Limits and costs that the agents are calibrated for.

    Raises
    ------
    domain.errors.DataQualityError
        If the history before `until` is too short.
    """
    lesson = _lesson(bars, features, news, experiences, until=until, seed=seed, settings=settings)
    task = TASKS[agent]
    with one_thread():
        network = PolicyNetwork(len(task.INPUTS), len(OUTPUTS[agent]), task.LEARNING.hidden_units)
        task.policy(network)
        network.initialise(seed)
        curve = task.learn(network, lesson, replace(task.LEARNING, seed=seed))
        return _finished(task, network, lesson, curve, seed)


def classic(
    agent: AgentId,
    bars: pl.DataFrame,
    features: pl.DataFrame | None = None,
    news: pl.DataFrame | None = None,
    *,
    until: datetime,
    seed: int,
    settings: TradingSettings,
) -> TrainedModel:
    """Return `agent`'s version 1: hand-set weights, with score and confidence calibrated.

    Parameters and errors as `train`.
    """
    lesson = _lesson(bars, features, news, None, until=until, seed=seed, settings=settings)
    task = TASKS[agent]
    with one_thread():
        return _finished(task, _classic_network(agent), lesson, [], seed)


def _classic_network(agent: AgentId) -> PolicyNetwork:
    task = TASKS[agent]
    network = PolicyNetwork(len(task.INPUTS), len(OUTPUTS[agent]), 0)
    task.policy(network)
    return network.eval()


def _lesson(
    bars: pl.DataFrame,
    features: pl.DataFrame | None,
    news: pl.DataFrame | None,
    experiences: pl.DataFrame | None,
    *,
    until: datetime,
    seed: int,
    settings: TradingSettings,
) -> Lesson:
    known = bars.filter(pl.col("timestamp") < until)
    table = compute_frame(known, news) if features is None else features
    slices = split(panel(known, table, until))

    @cache
    def trials() -> Trials:
        task = TASKS[AgentId.MARKET_ANALYST]
        # Patterns move no proposal, so the trials need no record of them.
        unread = replace(lesson, histories={})
        analyst = task.calibrate(_classic_network(AgentId.MARKET_ANALYST), unread)
        return make_trials(analyst, known, table, slices.tuning, limits=settings, seed=seed)

    lesson = Lesson(slices, until, settings, trials, price_histories(known), experiences)
    return lesson


def _finished(
    task: Task, network: PolicyNetwork, lesson: Lesson, curve: list[Epoch], seed: int
) -> TrainedModel:
    model = task.calibrate(network, lesson)
    return TrainedModel(
        model=model,
        metrics=_metrics(task, model, lesson.slices.validation, lesson.limits),
        loss_curve=curve,
        rows=_rows(lesson.slices),
        seed=seed,
    )


def _metrics(task: Task, model: Model, rows: Panel, limits: TradingSettings) -> dict[str, float]:
    skill = task.skill(model, rows, limits)
    means = {name: float(values.mean()) for name, values in skill.values.items()}
    return {**means, **task.summary(model, rows, limits)}


def _rows(slices: Slices) -> dict[str, int]:
    return {name: part.rows for name, part in vars(slices).items()}
