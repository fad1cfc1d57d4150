"""What the Execution agent learns: tomorrow's volume and tomorrow's range."""

from math import exp

import numpy as np
from torch import Tensor
from torch.nn import functional as losses

from agents.calibration import chance_at_most
from agents.execution.judgement import RANGE, VOLUME, Liquidity, assess, expected_cost
from agents.learning.loop import LearningSettings, Samples, fit
from agents.learning.samples import Panel
from agents.learning.task import Lesson, Skill, draft, judged, score_from
from agents.learning.trials import Trial, Trials
from agents.model import Epoch, Model
from agents.network import PolicyNetwork
from domain.settings import TradingSettings
from domain.voting import AgentId

INPUTS = (
    "relative_volume_1", "relative_volume_5", "volume_score_21", "log_range_1", "log_range_5",
    "log_range_21", "log_volatility_5", "return_1", "return_5",
)  # fmt: skip
LEARNING = LearningSettings(seed=0, hidden_units=12, learning_rate=3e-3, weight_decay=1e-2)


def policy(network: PolicyNetwork) -> None:
    """Set the classic forecast: the 20-day mean of log volume and the 21-day range go on."""
    weight = np.zeros((2, len(INPUTS)))
    weight[RANGE, INPUTS.index("log_range_21")] = 1.0
    network.set_policy(weight, np.zeros(2))


def learn(network: PolicyNetwork, lesson: Lesson, settings: LearningSettings) -> list[Epoch]:
    """Fit both forecasts by a robust loss of the logarithms."""
    training, tuning = (_samples(rows) for rows in (lesson.slices.training, lesson.slices.tuning))
    network.standardise_by(training.inputs)
    return fit(network, _loss, training, tuning, settings)


def _samples(rows: Panel) -> Samples:
    return Samples(rows.columns(INPUTS), np.column_stack([rows.next_volume, rows.next_range]))


def _loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return losses.huber_loss(outputs, targets, reduction="none", delta=0.5).sum(-1)


def calibrate(network: PolicyNetwork, lesson: Lesson) -> Model:
    """Fit confidence on how far the cost that came lay from the forecast one, and the score."""
    uncalibrated = draft(AgentId.EXECUTION, INPUTS, network, lesson)
    trials = lesson.trials()
    forecast = judged(trials, lambda trial: assess(uncalibrated, trial.case))
    said = np.array([j.measures["cost_bps"] for j in forecast.assessments])
    came = np.array([_cost_that_came(trials, trials.cases[place]) for place in forecast.places])
    confidence = chance_at_most(np.log(came / said))
    return draft(
        AgentId.EXECUTION, INPUTS, network, lesson,
        score=score_from(forecast.supports, confidence), confidence=confidence,
    )  # fmt: skip


def _cost_that_came(trials: Trials, trial: Trial) -> float:
    """Return what getting in cost, as the paper venue reckons: by recent volatility."""
    case, rows = trial.case, trials.panel
    usual = case.view.history(case.proposal.symbol, case.at).usual_log_volume()
    volume = exp(usual + float(rows.next_volume[trial.row]))
    recent = exp(float(rows.columns(("log_volatility_21",))[trial.row, 0]))
    return expected_cost(case, Liquidity(volume, recent))


def skill(model: Model, rows: Panel, limits: TradingSettings) -> Skill:  # noqa: ARG001
    """Return the absolute errors of log volume and log range."""
    outputs = model.predict(rows.columns(INPUTS))
    return Skill(
        rows.symbols.tolist(),
        rows.times.tolist(),
        {
            "volume_error": np.abs(outputs[:, VOLUME] - rows.next_volume),
            "range_error": np.abs(outputs[:, RANGE] - rows.next_range),
        },
    )


def naive(rows: Panel, past: Panel, limits: TradingSettings) -> dict[str, Skill]:  # noqa: ARG001
    """Return the error of the 20-day mean of log volume, of the last day's and the last week's."""
    usual = np.zeros(rows.rows)
    forecasts = {
        "the mean of 20 days": usual,
        "the last day's volume": rows.columns(("relative_volume_1",))[:, 0],
        "the last week's volume": rows.columns(("relative_volume_5",))[:, 0],
    }
    symbols, times = rows.symbols.tolist(), rows.times.tolist()
    return {
        name: Skill(symbols, times, {"volume_error": np.abs(forecast - rows.next_volume)})
        for name, forecast in forecasts.items()
    }


def summary(model: Model, rows: Panel, limits: TradingSettings) -> dict[str, float]:  # noqa: ARG001
    """Return nothing more: the mean errors say it all."""
    return {}
