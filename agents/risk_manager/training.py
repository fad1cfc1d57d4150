"""What the Risk Manager learns: the variance of the next week's daily returns."""

from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from agents.calibration import chance_at_most
from agents.learning.loop import LearningSettings, Samples, fit
from agents.learning.samples import Panel
from agents.learning.task import Lesson, Skill, draft, judged, score_from
from agents.model import Epoch, Model
from agents.network import PolicyNetwork
from agents.price_history import Floats
from agents.risk_manager.judgement import assess
from domain.settings import TradingSettings
from domain.voting import AgentId

INPUTS = (
    "log_volatility_5", "log_volatility_21", "log_volatility_ewma", "log_range_1", "log_range_5",
    "log_range_21", "return_1", "return_5", "drawdown_63", "relative_volume_1",
)  # fmt: skip
LEARNING = LearningSettings(seed=0, hidden_units=12, learning_rate=2e-3, weight_decay=1e-2)

_EWMA = INPUTS.index("log_volatility_ewma")


def policy(network: PolicyNetwork) -> None:
    """Set the classic forecast: the exponentially weighted variance goes on."""
    weight = np.zeros((1, len(INPUTS)))
    weight[0, _EWMA] = 2.0
    network.set_policy(weight, np.zeros(1))


def learn(network: PolicyNetwork, lesson: Lesson, settings: LearningSettings) -> list[Epoch]:
    """Fit the forecast by QLIKE against the realised variance of the horizon."""
    training, tuning = (
        Samples(rows.columns(INPUTS), rows.forward_variance)
        for rows in (lesson.slices.training, lesson.slices.tuning)
    )
    network.standardise_by(training.inputs)
    return fit(network, _loss, training, tuning, settings)


def _loss(outputs: Tensor, variance: Tensor) -> Tensor:
    excess = torch.log(variance) - outputs[:, 0]
    return torch.exp(excess) - excess - 1.0


def qlike(realised: Floats, log_forecast: Floats) -> Floats:
    """Return the QLIKE loss per sample: r/f - log(r/f) - 1."""
    excess = np.log(realised) - log_forecast
    return np.exp(excess) - excess - 1.0


def calibrate(network: PolicyNetwork, lesson: Lesson) -> Model:
    """Fit confidence on how far the volatility that came lay from the forecast, and the score."""
    uncalibrated = draft(AgentId.RISK_MANAGER, INPUTS, network, lesson)
    rows = lesson.slices.tuning
    forecast = uncalibrated.predict(rows.columns(INPUTS))[:, 0]
    confidence = chance_at_most(0.5 * (np.log(rows.forward_variance) - forecast))
    trials = judged(lesson.trials(), lambda trial: assess(uncalibrated, trial.case))
    return draft(
        AgentId.RISK_MANAGER, INPUTS, network, lesson,
        score=score_from(trials.supports, confidence), confidence=confidence,
    )  # fmt: skip


def skill(model: Model, rows: Panel, limits: TradingSettings) -> Skill:  # noqa: ARG001
    """Return QLIKE, and whether the next day's return fell below its normal VaR."""
    log_variance = model.predict(rows.columns(INPUTS))[:, 0]
    deviation = np.exp(0.5 * log_variance)
    usual = rows.columns(("log_volatility_21",))[:, 0]

    def exceptions(level: float) -> Floats:
        return (rows.day_return < -NormalDist().inv_cdf(level) * deviation).astype(float)

    return Skill(
        rows.symbols.tolist(),
        rows.times.tolist(),
        {
            "qlike": qlike(rows.forward_variance, log_variance),
            "exception_95": exceptions(0.95),
            "exception_99": exceptions(0.99),
            "chance": np.interp(usual - 0.5 * log_variance, *model.specification.confidence),
            "happened": (0.5 * np.log(rows.forward_variance) <= usual).astype(float),
        },
    )


def naive(rows: Panel, past: Panel, limits: TradingSettings) -> dict[str, Skill]:  # noqa: ARG001
    """Return the QLIKE of the last week's, the last month's and the smoothed volatility."""
    columns = {
        "the last week's volatility": "log_volatility_5",
        "the last month's volatility": "log_volatility_21",
        "exponentially weighted volatility": "log_volatility_ewma",
    }
    symbols, times = rows.symbols.tolist(), rows.times.tolist()
    return {
        name: Skill(
            symbols,
            times,
            {"qlike": qlike(rows.forward_variance, 2.0 * rows.columns((column,))[:, 0])},
        )
        for name, column in columns.items()
    }


def summary(model: Model, rows: Panel, limits: TradingSettings) -> dict[str, float]:  # noqa: ARG001
    """Return the QLIKE of the plain EWMA forecast on the same rows."""
    ewma = 2.0 * rows.columns(("log_volatility_ewma",))[:, 0]
    return {"qlike_of_ewma": float(qlike(rows.forward_variance, ewma).mean())}
