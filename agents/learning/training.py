"""Train the four agents, or take their classic policies; both come out in the same form."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache

import polars as pl

from agents.execution import training as execution
from agents.indicators import compute_frame
from agents.learning.experiences import rewarded_states
from agents.learning.loop import LearningSettings, one_thread
from agents.learning.samples import Slices, panel, split
from agents.learning.task import Lesson, Task
from agents.learning.trials import Trials, make_trials
from agents.market_analyst import training as market_analyst
from agents.model import OUTPUTS, Epoch, TrainedModel
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
    learning: LearningSettings | None = None,
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
    learning
        How the network is fitted; the agent's own by default. `seed` takes the place of its seed.

    Raises
    ------
    domain.errors.DataQualityError
        If the history before `until` is too short.
    """
    lesson = _lesson(bars, features, news, experiences, until=until, seed=seed, settings=settings)
    task = TASKS[agent]
    with one_thread():
        network, curve = fitted(agent, lesson, replace(learning or task.LEARNING, seed=seed))
        return _finished(task, network, lesson, curve, seed)


def fitted(
    agent: AgentId, lesson: Lesson, learning: LearningSettings
) -> tuple[PolicyNetwork, list[Epoch]]:
    """Return a network fitted to the lesson, starting from the classic policy, and its curve."""
    task = TASKS[agent]
    network = PolicyNetwork(len(task.INPUTS), len(OUTPUTS[agent]), learning.hidden_units)
    task.policy(network)
    network.initialise(learning.seed)
    return network, task.learn(network, lesson, learning)


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
        return _finished(task, classic_network(agent), lesson, [], seed)


def classic_network(agent: AgentId) -> PolicyNetwork:
    """Return the hand-set policy of an agent."""
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
        analyst = task.calibrate(classic_network(AgentId.MARKET_ANALYST), unread)
        return make_trials(analyst, known, table, slices.tuning, limits=settings, seed=seed)

    lesson = Lesson(slices, until, settings, trials, price_histories(known), experiences)
    return lesson


def _finished(
    task: Task, network: PolicyNetwork, lesson: Lesson, curve: list[Epoch], seed: int
) -> TrainedModel:
    model = task.calibrate(network, lesson)
    rows = lesson.slices.validation
    skill = task.skill(model, rows, lesson.limits)
    return TrainedModel(
        model=model,
        metrics={
            **{name: float(values.mean()) for name, values in skill.values.items()},
            **task.summary(model, rows, lesson.limits),
        },
        loss_curve=curve,
        rows={**_rows(lesson.slices), "experiences": _experiences(task, lesson) if curve else 0},
        seed=seed,
        validation=skill.frame(),
    )


def _rows(slices: Slices) -> dict[str, int]:
    return {name: part.rows for name, part in vars(slices).items()}


def _experiences(task: Task, lesson: Lesson) -> int:
    """Return how many transitions of the replay buffer were learned from beside history."""
    if task is not TASKS[AgentId.MARKET_ANALYST]:
        return 0
    return len(rewarded_states(lesson.experiences, task.INPUTS, lesson.until)[0])
