"""What the Market Analyst learns: the return of the next week, and whether a trade would pay."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as losses

from agents.calibration import (
    LOGIT_PER_VOLATILITY,
    Knots,
    brier_score,
    fit_slope,
    knots,
    log_losses,
    log_odds,
    logistic,
)
from agents.indicators import FEATURE_NAMES
from agents.learning.experiences import rewarded_states
from agents.learning.loop import LearningSettings, Samples, fit
from agents.learning.samples import HORIZON_DAYS, Panel, purged_slices
from agents.learning.task import Lesson, Skill, draft
from agents.market_analyst.judgement import DIRECTION, EXPECTED_RETURN, HURDLE, entry_cost
from agents.market_analyst.patterns.measurement import measure
from agents.model import Epoch, Model
from agents.network import PolicyNetwork, tensor_of
from agents.price_history import Floats
from agents.scores import EVEN_CHANCE, HIGHEST, score_knots
from domain.settings import TradingSettings
from domain.voting import AgentId

#: It reads every feature, so a new indicator is learned from at the next training.
INPUTS = FEATURE_NAMES
LEARNING = LearningSettings(seed=0, hidden_units=8, learning_rate=1e-3, weight_decay=0.1)

#: The classic policy: expected return, in volatilities, per unit of input. Trend over a quarter and
#: reversal within the week, as the literature has them (Jegadeesh and Titman 1993; Jegadeesh 1990
#: and Lehmann 1990), each sized to be worth about a twentieth of a volatility per usual move.
_POLICY = {
    "momentum_63": 0.06,
    "directional_14": 0.15,
    "distance_10": -0.05,
    "stochastic_14": -0.10,
    "sentiment": 0.20,
}
_EXPERIENCE_WEIGHT = 2.0
#: A price around which the fee per share is a fair share of the cost.
_USUAL_PRICE = 50.0
#: Overlapping labels and moving together leave about one in twelve samples independent.
_INDEPENDENT_SHARE = 1.0 / 12.0
#: Least slope that calibration may give the chances: it never inverts the model.
_LEAST_SLOPE = 0.25
#: Thresholds are fitted on this many slices of the tuning days; the median is taken.
THRESHOLDS = 5
#: The chances are taken to lean at least this far in general: half a percent.
_LEAST_LEAN = 0.005


def policy(network: PolicyNetwork) -> None:
    """Set the classic policy's weights."""
    weight = np.zeros((2, len(INPUTS)))
    for name, value in _POLICY.items():
        weight[EXPECTED_RETURN, INPUTS.index(name)] = value
    weight[DIRECTION] = LOGIT_PER_VOLATILITY * weight[EXPECTED_RETURN]
    network.set_policy(weight, np.zeros(2))


def learn(network: PolicyNetwork, lesson: Lesson, settings: LearningSettings) -> list[Epoch]:
    """Fit both heads: a robust loss on the return, the log loss on "a buy earns after costs".

    Live transitions are additional samples of double weight.
    """
    training = _samples(lesson.slices.training, lesson.limits)
    states, directions, rewards = rewarded_states(lesson.experiences, INPUTS, lesson.until)
    if len(states):
        volatility = np.exp(states[:, INPUTS.index("log_volatility_ewma")])
        cost = entry_cost(lesson.limits, _USUAL_PRICE)
        moved = directions * (rewards + cost)
        scaled = np.clip(moved / (volatility * HORIZON_DAYS**0.5), -4.0, 4.0)
        paid = (moved > cost).astype(float)
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
    up = (np.expm1(rows.forward_return) > entry_cost(limits, _USUAL_PRICE)).astype(float)
    return Samples(rows.columns(INPUTS), np.column_stack([_scaled(rows), up]))


def _scaled(rows: Panel) -> Floats:
    """Return forward returns in volatilities of the horizon, clipped at 4."""
    volatility = np.exp(rows.columns(("log_volatility_ewma",))[:, 0])
    return np.clip(rows.forward_return / (volatility * HORIZON_DAYS**0.5), -4.0, 4.0)


def calibrate(network: PolicyNetwork, lesson: Lesson) -> Model:
    """Fit the chances, how far they usually lean, and the score; take the patterns' measure."""
    past, tuning = lesson.slices.training, lesson.slices.tuning
    cost = entry_cost(lesson.limits, _USUAL_PRICE)
    known: Floats = np.expm1(np.concatenate([past.forward_return, tuning.forward_return]))
    recent: Floats = np.expm1(tuning.forward_return)
    raw, lately = _directions(network, past), _directions(network, tuning)
    center = float(np.concatenate([raw, lately]).mean())
    rising = _fit_chance(lately - center, recent > cost, base=float((known > cost).mean()))
    falling = _fit_chance(center - lately, -recent > cost, base=float((-known > cost).mean()))
    up, down = rising.around(center), falling.around(-center)
    everything = np.concatenate([raw, lately])
    chances = np.interp(everything, up.x, up.y), np.interp(-everything, down.x, down.y)
    odds: Floats = np.log(np.maximum(*chances) / (1.0 - np.maximum(*chances)))
    promised = odds / LOGIT_PER_VOLATILITY
    hurdles = [
        hurdle_of(promised[len(raw) :][rows]) for rows in purged_slices(tuning.times, THRESHOLDS)
    ]
    hurdle = round(float(np.median(hurdles)), 6)
    supports = logistic(odds - LOGIT_PER_VOLATILITY * hurdle) - EVEN_CHANCE
    lean = float(((chances[0] - chances[1]) / 2.0).std())
    return draft(
        AgentId.MARKET_ANALYST,
        INPUTS,
        network,
        lesson,
        calibrations={"up": up, "down": down},
        constants={
            "usual_lean": round(max(lean, _LEAST_LEAN), 6),
            "usual_expectation": round(
                log_odds(EVEN_CHANCE + max(lean, _LEAST_LEAN)) / LOGIT_PER_VOLATILITY, 6
            ),
            HURDLE: hurdle,
            f"least_{HURDLE}": round(min(hurdles), 6),
            f"largest_{HURDLE}": round(max(hurdles), 6),
        },
        score=score_knots(supports, 0.0, highest=HIGHEST),
        patterns=measure(lesson.histories.values(), HORIZON_DAYS),
    )


def hurdle_of(promised: Floats) -> float:
    """Return what a trade must promise so that taking it makes the Sharpe ratio larger.

    Of trades of like size and risk that are taken side by side, from the best down, the Sharpe
    ratio is the sum S of what n of them promise over sqrt(n). Where it is largest, the next one
    promises less than S (sqrt(1 + 1/n) - 1) < S / 2n, and the last one more than that: half of
    the mean of those taken parts the two.

    Parameters
    ----------
    promised
        Expected gains after costs, in volatilities; those that promise a loss are left out.
    """
    gains = np.sort(promised[promised > 0.0])[::-1]
    if not len(gains):
        return 0.0
    counts = np.arange(1, len(gains) + 1)
    taken = int((gains.cumsum() / np.sqrt(counts)).argmax()) + 1
    return float(gains[:taken].mean() / 2.0)


def _directions(network: PolicyNetwork, rows: Panel) -> Floats:
    with torch.inference_mode():
        outputs: Floats = network(tensor_of(rows.columns(INPUTS))).numpy()
    return outputs[:, DIRECTION]


class _Chance(NamedTuple):
    base: float
    slope: float
    reach: float

    def around(self, center: float) -> Knots:
        """Return raw log odds → chance, the base rate standing at `center`."""
        distances: Floats = np.linspace(-self.reach, self.reach, 17)
        chances = logistic(log_odds(self.base) + self.slope * distances)
        return knots(list(zip((center + distances).tolist(), chances.tolist(), strict=True)))


def _fit_chance(distances: Floats, paid: NDArray[np.bool_], *, base: float) -> _Chance:
    """Fit the chance of a direction by its distance from the usual log odds.

    The base rate lies half-way between even odds and how often such trades paid in all that is
    known: the symbols were chosen by who lived to be chosen, so their drift is half believed. The
    slope has a normal prior, 1 ± ½ (the model states log odds; the tuning days may correct
    them), and counts only independent samples; it stays above a quarter, so that calibration can
    damp the model but not turn it around.
    """
    base = (base + EVEN_CHANCE) / 2.0
    slope = fit_slope(
        distances, paid, base=base, independent_share=_INDEPENDENT_SHARE,
        prior=1.0, deviation=0.5, least=_LEAST_SLOPE,
    )  # fmt: skip
    return _Chance(base, slope, max(float(np.quantile(np.abs(distances), 0.995)), 1e-3))


def skill(model: Model, rows: Panel, limits: TradingSettings) -> Skill:
    """Return Brier score and log loss of "a buy earns after costs", and the return's error."""
    outputs = model.predict(rows.columns(INPUTS))
    calibrations = model.specification.calibrations
    chance = np.interp(outputs[:, DIRECTION], *calibrations["up"])
    paid = np.expm1(rows.forward_return) > entry_cost(limits, _USUAL_PRICE)
    return Skill(
        rows.symbols.tolist(),
        rows.times.tolist(),
        {
            "brier": (chance - paid) ** 2,
            "log_loss": log_losses(chance, paid),
            "return_product": outputs[:, EXPECTED_RETURN] * _scaled(rows),
            "chance": chance,
            "happened": paid.astype(float),
        },
    )


def naive(rows: Panel, past: Panel, limits: TradingSettings) -> dict[str, Skill]:
    """Return the Brier score of even odds, and of how often a buy has earned until now."""
    cost = entry_cost(limits, _USUAL_PRICE)
    paid = (np.expm1(rows.forward_return) > cost).astype(np.float64)
    known: Floats = np.expm1(past.forward_return)
    chances = {"even odds": EVEN_CHANCE, "the base rate": float((known > cost).mean())}
    symbols, times = rows.symbols.tolist(), rows.times.tolist()
    errors: dict[str, Floats] = {name: (chance - paid) ** 2.0 for name, chance in chances.items()}
    return {name: Skill(symbols, times, {"brier": error}) for name, error in errors.items()}


def summary(model: Model, rows: Panel, limits: TradingSettings) -> dict[str, float]:
    """Return the information coefficient, and what the base rate alone would have scored."""
    outputs = model.predict(rows.columns(INPUTS))
    paid = np.expm1(rows.forward_return) > entry_cost(limits, _USUAL_PRICE)
    base = np.full(rows.rows, paid.mean())
    raw = outputs[:, EXPECTED_RETURN]
    together = float(np.corrcoef(raw, _scaled(rows))[0, 1]) if raw.std() > 1e-12 else 0.0
    return {
        "information_coefficient": together,
        "base_rate": float(paid.mean()),
        "brier_of_base_rate": brier_score(base, paid),
    }
