"""What the Portfolio Optimizer learns: weights that grow wealth after costs.

The gradient of log wealth flows straight through the allocation (a direct policy gradient, without
estimating any value): batched episodes of the panel, rebalanced every `HORIZON_DAYS` days. What is
learned is a tilt of the classic weights; the classic policy has none.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.calibration import chance_at_most
from agents.exposure import BASIS_POINTS, cost_bps
from agents.learning.loop import LearningSettings, Loss, Samples, fit
from agents.learning.samples import HORIZON_DAYS, Panel
from agents.learning.task import Lesson, Skill, draft, judged, score_from
from agents.model import Epoch, Model
from agents.network import PolicyNetwork
from agents.portfolio_optimizer.episodes import run_episodes
from agents.portfolio_optimizer.judgement import (
    CORRELATION_DAYS,
    FEWEST_DAYS,
    allocation_weights,
    assess,
    classic_weights,
    present_covariance,
)
from agents.price_history import Floats, Microseconds
from domain.settings import TradingSettings
from domain.voting import AgentId

INPUTS = (
    "log_volatility_ewma", "log_volatility_21", "momentum_21", "momentum_63", "drawdown_63",
    "distance_50", "rsi_14", "volume_slope_21",
)  # fmt: skip
LEARNING = LearningSettings(
    seed=0, hidden_units=8, batch_rows=128, epochs=30, learning_rate=1e-3, weight_decay=0.1
)
CONSTANTS = {
    "exposure": 0.9,
    "risk_aversion": 2.0,
    "review_days": float(HORIZON_DAYS),
    "view_weight": 1.0,
}

_PERIODS = 12
_FEWEST_ASSETS = 2
_USUAL_PRICE = 50.0


class Grid(NamedTuple):
    """The panel as days × assets: inputs (0 where absent), simple forward returns, presence.

    `classic` are the weights that the tilt is learned on, 0 where absent.
    """

    times: Microseconds
    inputs: Floats
    returns: Floats
    present: NDArray[np.bool_]
    classic: Floats


def grid(rows: Panel, every: int = 1) -> Grid:
    """Return each `every`-th of the days on which at least two assets have features.

    Correlations are those of the returns in `rows` before the day; none where they are too few.
    """
    times, day = np.unique(rows.times, return_inverse=True)
    symbols, asset = np.unique(rows.symbols, return_inverse=True)
    shape = len(times), len(symbols)

    def table(column: Floats) -> Floats:
        filled = np.zeros(shape)
        filled[day, asset] = column
        return filled

    inputs = np.zeros((*shape, len(INPUTS)))
    inputs[day, asset] = rows.columns(INPUTS)
    present = table(np.ones(rows.rows)) > 0.0
    returns = table(np.expm1(rows.forward_return))
    daily = np.where(present, np.expm1(table(rows.day_return)), np.nan)
    volatility = np.exp(table(rows.columns(("log_volatility_ewma",))[:, 0]))
    days = np.flatnonzero(present.sum(axis=1) >= _FEWEST_ASSETS)[::every]
    classic = np.zeros(shape)
    for row in days:
        here = present[row]
        # The return in a day's row is the next day's: the newest that is known is yesterday's.
        past = daily[max(0, row - CORRELATION_DAYS) : row, here]
        past = past[np.isfinite(past).all(axis=1)]
        if len(past) < FEWEST_DAYS:
            past = np.zeros((1, int(here.sum())))
        classic[row, here] = classic_weights(present_covariance(past, volatility[row, here]))
    return Grid(times[days], inputs[days], returns[days], present[days], classic[days])


def policy(network: PolicyNetwork) -> None:
    """Set the classic allocation: no tilt."""
    network.set_policy(np.zeros((1, len(INPUTS))), np.zeros(1))


def learn(network: PolicyNetwork, lesson: Lesson, settings: LearningSettings) -> list[Epoch]:
    """Fit the allocation by the gradient of log wealth after costs over windows of 12 periods."""
    network.standardise_by(lesson.slices.training.columns(INPUTS))
    training, tuning = (
        _windows(grid(rows)) for rows in (lesson.slices.training, lesson.slices.tuning)
    )
    return fit(network, _loss(lesson.limits), training, tuning, settings)


def _windows(days: Grid) -> Samples:
    starts = np.arange(max(0, len(days.times) - HORIZON_DAYS * (_PERIODS - 1)))
    picked = starts[:, None] + HORIZON_DAYS * np.arange(_PERIODS)
    targets = np.stack([days.returns[picked], days.classic[picked]], axis=-1)
    return Samples(days.inputs[picked], targets)


def _loss(limits: TradingSettings) -> Loss:
    cost = _cost(limits)
    largest = float(limits.maximum_position_fraction)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        returns, classic = targets[..., 0], targets[..., 1]
        shares = torch.softmax(outputs[..., 0] + torch.log(classic), dim=-1)
        weights = (CONSTANTS["exposure"] * shares).clamp(max=largest)
        grown = run_episodes(weights, returns, cost).log_growth
        return -BASIS_POINTS / 100.0 * grown.mean(-1)

    return loss


def _cost(limits: TradingSettings) -> float:
    bps = cost_bps(limits, price=_USUAL_PRICE, daily_volatility=0.0, participation=0.0)
    return bps / BASIS_POINTS


def calibrate(network: PolicyNetwork, lesson: Lesson) -> Model:
    """Fit confidence on how far returns lie from what was expected of them, and the score.

    Surprises are taken as symmetric, buyers' as likely as sellers': the drift of a few years is
    none of this agent's knowledge, and the view that it adds is the proposal's.
    """
    uncalibrated = draft(AgentId.PORTFOLIO_OPTIMIZER, INPUTS, network, lesson, constants=CONSTANTS)
    rows = lesson.slices.tuning
    volatility = np.exp(rows.columns(("log_volatility_ewma",))[:, 0]) * HORIZON_DAYS**0.5
    surprises = (np.expm1(rows.forward_return) - np.expm1(rows.forward_return).mean()) / volatility
    confidence = chance_at_most(np.concatenate([surprises, -surprises]))
    trials = judged(lesson.trials(), lambda trial: assess(uncalibrated, trial.case))
    return draft(
        AgentId.PORTFOLIO_OPTIMIZER, INPUTS, network, lesson, constants=CONSTANTS,
        score=score_from(trials.supports, confidence), confidence=confidence,
    )  # fmt: skip


def skill(model: Model, rows: Panel, limits: TradingSettings) -> Skill:
    """Return the log return after costs of each period of `HORIZON_DAYS` days, none overlapping."""
    largest = float(limits.maximum_position_fraction)

    def chosen(days: Grid, step: int) -> Floats:
        present = days.present[step]
        return allocation_weights(
            days.classic[step][present],
            model.predict(days.inputs[step][present])[:, 0],
            model.specification.constants["exposure"],
            largest,
        )

    return _traded(rows, limits, chosen)


def naive(rows: Panel, past: Panel, limits: TradingSettings) -> dict[str, Skill]:  # noqa: ARG001
    """Return what cash, equal weights, and weights by inverse volatility earn after costs."""
    exposure = CONSTANTS["exposure"]

    def cash(days: Grid, step: int) -> Floats:
        return np.zeros(int(days.present[step].sum()))

    def equal(days: Grid, step: int) -> Floats:
        count = int(days.present[step].sum())
        return np.full(count, exposure / count)

    def inverse_volatility(days: Grid, step: int) -> Floats:
        volatility = INPUTS.index("log_volatility_ewma")
        calm: Floats = np.exp(-days.inputs[step][days.present[step], volatility])
        return exposure * calm / calm.sum()

    policies = {"cash": cash, "equal weights": equal, "inverse volatility": inverse_volatility}
    return {name: _traded(rows, limits, policy) for name, policy in policies.items()}


def _traded(rows: Panel, limits: TradingSettings, policy: Callable[[Grid, int], Floats]) -> Skill:
    """Return the log return after costs of each period; `policy` weighs the assets present."""
    days = grid(rows, HORIZON_DAYS)
    cost = _cost(limits)
    held = np.zeros(days.returns.shape[1])
    gains: list[float] = []
    for step in range(len(days.times)):
        present = days.present[step]
        weights = np.zeros(len(present))
        weights[present] = policy(days, step)
        growth = 1.0 + weights @ days.returns[step] - cost * float(np.abs(weights - held).sum())
        gains.append(float(np.log(growth)))
        held = weights * (1.0 + days.returns[step]) / growth
    return Skill(
        ["*"] * len(gains), days.times.tolist(),
        {"log_return": np.array(gains)},
    )  # fmt: skip


def summary(model: Model, rows: Panel, limits: TradingSettings) -> dict[str, float]:
    """Return the Sharpe ratio per period of the allocation after costs."""
    gains = skill(model, rows, limits).values["log_return"]
    deviation = float(gains.std())
    return {"sharpe_per_period": float(gains.mean()) / deviation if deviation > 0 else 0.0}
