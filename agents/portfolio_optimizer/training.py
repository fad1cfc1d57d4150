"""What the Portfolio Optimizer learns: weights that grow wealth after costs.

The gradient of log wealth flows straight through the allocation: batched windows of the panel,
rebalanced every `HORIZON_DAYS` days, are one tensor expression.
"""

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
from agents.portfolio_optimizer.judgement import allocation_weights, assess
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
    """The panel as days × assets: inputs (0 where absent), simple forward returns, presence."""

    times: Microseconds
    inputs: Floats
    returns: Floats
    present: NDArray[np.bool_]


def grid(rows: Panel) -> Grid:
    """Return the days on which at least two assets have features."""
    times, day = np.unique(rows.times, return_inverse=True)
    symbols, asset = np.unique(rows.symbols, return_inverse=True)
    shape = len(times), len(symbols)
    inputs = np.zeros((*shape, len(INPUTS)))
    returns, present = np.zeros(shape), np.zeros(shape, bool)
    inputs[day, asset] = rows.columns(INPUTS)
    returns[day, asset] = np.expm1(rows.forward_return)
    present[day, asset] = True
    enough = present.sum(axis=1) >= _FEWEST_ASSETS
    return Grid(times[enough], inputs[enough], returns[enough], present[enough])


def policy(network: PolicyNetwork) -> None:
    """Set the classic allocation: preference = -log volatility, the inverse-volatility weights."""
    weight = np.zeros((1, len(INPUTS)))
    weight[0, INPUTS.index("log_volatility_ewma")] = -1.0
    network.set_policy(weight, np.zeros(1))


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
    targets = np.stack([days.returns[picked], days.present[picked].astype(float)], axis=-1)
    return Samples(days.inputs[picked], targets)


def _loss(limits: TradingSettings) -> Loss:
    cost = _cost(limits)
    largest = float(limits.maximum_position_fraction)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        returns, present = targets[..., 0], targets[..., 1] > 0
        preferences = outputs[..., 0].masked_fill(~present, -torch.inf)
        shares = torch.softmax(preferences, dim=-1)
        weights = (CONSTANTS["exposure"] * shares).clamp(max=largest)
        traded = (weights[:, 1:] - weights[:, :-1]).abs().sum(-1)
        earned = (weights * returns).sum(-1)
        after_costs = torch.cat([earned[:, :1], earned[:, 1:] - cost * traded], dim=1)
        return -BASIS_POINTS / 100.0 * torch.log1p(after_costs).mean(-1)

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
    days = grid(rows)
    cost, largest = _cost(limits), float(limits.maximum_position_fraction)
    steps = range(0, len(days.times), HORIZON_DAYS)
    before = np.zeros(days.returns.shape[1])
    gains: list[float] = []
    for step in steps:
        present = days.present[step]
        preferences = model.predict(days.inputs[step][present])[:, 0]
        weights = np.zeros(len(present))
        weights[present] = allocation_weights(
            preferences, model.specification.constants["exposure"], largest
        )
        traded = float(np.abs(weights - before).sum())
        gains.append(float(np.log1p(weights @ days.returns[step] - cost * traded)))
        before = weights
    return Skill(
        ["*"] * len(gains), [int(days.times[step]) for step in steps],
        {"log_return": np.array(gains)},
    )  # fmt: skip


def summary(model: Model, rows: Panel, limits: TradingSettings) -> dict[str, float]:
    """Return the Sharpe ratio per period of the allocation after costs."""
    gains = skill(model, rows, limits).values["log_return"]
    deviation = float(gains.std())
    return {"sharpe_per_period": float(gains.mean()) / deviation if deviation > 0 else 0.0}
