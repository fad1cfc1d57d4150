"""What the Market Analyst learns: the return of the next week, and whether a trade would pay."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as losses

from agents.calibration import Knots, brier_score, fit_probability, knots, log_losses
from agents.learning.experiences import rewarded_states
from agents.learning.loop import LearningSettings, Samples, fit
from agents.learning.samples import HORIZON_DAYS, Panel
from agents.learning.task import Lesson, Skill, draft
from agents.market_analyst.judgement import DIRECTION, EXPECTED_RETURN, round_trip_cost
from agents.model import Epoch, Model
from agents.network import PolicyNetwork, tensor_of
from agents.price_history import Floats
from agents.scores import acceptance_threshold, score_knots
from domain.settings import TradingSettings
from domain.voting import AgentId

INPUTS = (
    "return_1", "return_5", "momentum_21", "momentum_63", "rsi_14", "macd_histogram", "adx_14",
    "directional_14", "bollinger_b", "stochastic_14", "money_flow_14", "volume_slope_21",
    "volume_score_21", "distance_10", "distance_50", "drawdown_63", "log_volatility_5",
    "log_volatility_ewma", "log_range_5", "relative_volume_5", "sentiment",
)  # fmt: skip
LEARNING = LearningSettings(seed=0, hidden_units=8, learning_rate=1e-3, weight_decay=0.1)

#: The classic trend policy: expected return, in volatilities, per unit of input.
_TREND = {
    "momentum_63": 0.06,
    "directional_14": 0.30,
    "macd_histogram": 0.10,
    "stochastic_14": -0.10,
    "sentiment": 0.20,
}
#: Logit of the direction per volatility of expected return (the normal's slope at 0).
_LOGIT_PER_VOLATILITY = 1.6
_EXPERIENCE_WEIGHT = 2.0
#: A price around which the fee per share is a fair share of the cost.
_USUAL_PRICE = 50.0
#: Overlapping labels and moving together leave about one in twelve samples independent.
_INDEPENDENT_SHARE = 1.0 / 12.0
#: Least slope that calibration may give the expectation: it never inverts the model.
_LEAST_SLOPE = 0.25
#: Least edge after costs, in volatilities, that is worth a proposal.
_LEAST_EDGE = 0.005
#: Share of its own acceptance threshold below which the agent doesn't even propose.
_LEAST_SUPPORT = 0.7
#: Direction → share of the tuning days on which it is not proposed.
_SHARES_WITHOUT_PROPOSAL = {1: 0.55, -1: 0.85}


def policy(network: PolicyNetwork) -> None:
    """Set the trend policy's weights."""
    weight = np.zeros((2, len(INPUTS)))
    for name, value in _TREND.items():
        weight[EXPECTED_RETURN, INPUTS.index(name)] = value
    weight[DIRECTION] = _LOGIT_PER_VOLATILITY * weight[EXPECTED_RETURN]
    network.set_policy(weight, np.zeros(2))


def learn(network: PolicyNetwork, lesson: Lesson, settings: LearningSettings) -> list[Epoch]:
    """Fit both heads: a robust loss on the return, the log loss on "a buy earns after costs".

    Live transitions are additional samples of double weight.
    """
    training = _samples(lesson.slices.training, lesson.limits)
    states, directions, rewards = rewarded_states(lesson.experiences, INPUTS, lesson.until)
    if len(states):
        volatility = np.exp(states[:, INPUTS.index("log_volatility_ewma")])
        gross = rewards + round_trip_cost(lesson.limits, _USUAL_PRICE)
        scaled = np.clip(directions * gross / (volatility * HORIZON_DAYS**0.5), -4.0, 4.0)
        paid = np.where(directions > 0, rewards > 0, -gross > 0).astype(float)
        training = Samples(
            np.concatenate([training.inputs, states]),
            np.concatenate([training.targets, np.column_stack([scaled, paid])]),
            np.concatenate(
                [np.ones(len(training.inputs)), np.full(len(states), _EXPERIENCE_WEIGHT)]
            ),
        )
    network.standardise_by(training.inputs)
    return fit(network, _loss, training, _samples(lesson.slices.tuning, lesson.limits), settings)


def _loss(outputs: Tensor, targets: Tensor) -> Tensor:
    error = losses.huber_loss(
        outputs[:, EXPECTED_RETURN], targets[:, 0], reduction="none", delta=1.5
    )
    surprise = losses.binary_cross_entropy_with_logits(
        outputs[:, DIRECTION], targets[:, 1], reduction="none"
    )
    return 0.5 * error + surprise


def _samples(rows: Panel, limits: TradingSettings) -> Samples:
    up = (rows.forward_return > round_trip_cost(limits, _USUAL_PRICE)).astype(float)
    return Samples(rows.columns(INPUTS), np.column_stack([_scaled(rows), up]))


def _scaled(rows: Panel) -> Floats:
    """Return forward returns in volatilities of the horizon, clipped at 4."""
    volatility = np.exp(rows.columns(("log_volatility_ewma",))[:, 0])
    return np.clip(rows.forward_return / (volatility * HORIZON_DAYS**0.5), -4.0, 4.0)


def calibrate(network: PolicyNetwork, lesson: Lesson) -> Model:
    """Fit expectation, chances, the edges that are worth proposing, and the score."""
    rows, limits = lesson.slices.tuning, lesson.limits
    cost = round_trip_cost(limits, _USUAL_PRICE)
    with torch.inference_mode():
        outputs: Floats = network(tensor_of(rows.columns(INPUTS))).numpy()
    volatility = np.exp(rows.columns(("log_volatility_ewma",))[:, 0]) * HORIZON_DAYS**0.5
    expected = _fit_expectation(outputs[:, EXPECTED_RETURN], _scaled(rows))
    calibrations = {
        "expected": expected,
        "up": fit_probability(outputs[:, DIRECTION], rows.forward_return > cost),
        "down": fit_probability(-outputs[:, DIRECTION], -rows.forward_return > cost),
    }
    expectation: Floats = np.interp(outputs[:, EXPECTED_RETURN], expected.x, expected.y)
    edges = {1: expectation - cost / volatility, -1: -expectation - cost / volatility}
    worth = {
        side: max(_LEAST_EDGE, float(np.quantile(edges[side], share)))
        for side, share in _SHARES_WITHOUT_PROPOSAL.items()
    }
    supports = np.concatenate([edges[side][edges[side] >= worth[side]] for side in (1, -1)])
    gains = np.concatenate(
        [(side * rows.forward_return - cost)[edges[side] >= worth[side]] for side in (1, -1)]
    )
    acceptance = acceptance_threshold(supports, gains)
    least = {side: round(max(edge, _LEAST_SUPPORT * acceptance), 6) for side, edge in worth.items()}
    return draft(
        AgentId.MARKET_ANALYST,
        INPUTS,
        network,
        lesson,
        calibrations=calibrations,
        constants={"buy_at_edge": least[1], "sell_at_edge": least[-1]},
        score=score_knots(supports, indifferent=0.0, acceptance=acceptance),
    )


def _fit_expectation(raw: Floats, returns: Floats) -> Knots:
    """Fit expected return beyond the usual drift = slope × (raw - median).

    The slope has a normal prior (½ ± ½) and counts only independent samples; it stays above a
    quarter, so that calibration can damp the model but not turn it around.
    """
    center = float(np.median(raw))
    spread = raw - center
    information = float((spread**2).sum()) * _INDEPENDENT_SHARE
    moment = float((spread * (returns - returns.mean())).sum()) * _INDEPENDENT_SHARE
    slope = max((moment + 0.5 * 4.0) / (information + 4.0), _LEAST_SLOPE)
    reach = max(float(np.abs(spread).max()), 1e-3)
    return knots([(center - reach, -slope * reach), (center, 0.0), (center + reach, slope * reach)])


def skill(model: Model, rows: Panel, limits: TradingSettings) -> Skill:
    """Return Brier score and log loss of "a buy earns after costs", and the return's error."""
    outputs = model.predict(rows.columns(INPUTS))
    calibrations = model.specification.calibrations
    chance = np.interp(outputs[:, DIRECTION], *calibrations["up"])
    expected = np.interp(outputs[:, EXPECTED_RETURN], *calibrations["expected"])
    paid = rows.forward_return > round_trip_cost(limits, _USUAL_PRICE)
    return Skill(
        rows.symbols.tolist(),
        rows.times.tolist(),
        {
            "brier": (chance - paid) ** 2,
            "log_loss": log_losses(chance, paid),
            "return_product": expected * _scaled(rows),
        },
    )


def summary(model: Model, rows: Panel, limits: TradingSettings) -> dict[str, float]:
    """Return the information coefficient, and what the base rate alone would have scored."""
    outputs = model.predict(rows.columns(INPUTS))
    paid = rows.forward_return > round_trip_cost(limits, _USUAL_PRICE)
    base = np.full(rows.rows, paid.mean())
    raw = outputs[:, EXPECTED_RETURN]
    together = float(np.corrcoef(raw, _scaled(rows))[0, 1]) if raw.std() > 1e-12 else 0.0
    return {
        "information_coefficient": together,
        "base_rate": float(paid.mean()),
        "brier_of_base_rate": brier_score(base, paid),
    }
