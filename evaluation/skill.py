"""How well an agent does its own task: a loss per sample, and the skill of one over another.

Each agent is judged by its own task first: the Market Analyst by its probabilities, the Risk
Manager by its variance forecast, the Portfolio Optimizer by wealth, Execution by its cost
forecast. Every loss is smaller-is-better; skill is incumbent loss minus candidate loss, so
positive skill means that the candidate is better.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from domain.errors import InvalidValue
from evaluation.arrays import Floats, Series, finite, same_length


class Coverage(NamedTuple):
    """Kupiec's test: breaches seen and expected, likelihood ratio (χ², one degree), p-value."""

    breaches: int
    expected: float
    statistic: float
    p_value: float


def squared_error(probabilities: Series, outcomes: Series) -> Floats:
    """Brier loss of each forecast (Market Analyst)."""
    return (finite(probabilities, "probabilities") - finite(outcomes, "outcomes")) ** 2


def qlike(variance_forecast: Series, realised_variance: Series) -> Floats:
    """QLIKE loss of each variance forecast (Risk Manager): r - ln r - 1, r = realised / forecast.

    Zero only for a perfect forecast, and robust to noise in the realised variance (Patton, 2011).

    Raises
    ------
    InvalidValue
        If a variance is not above zero.
    """
    forecast, realised = (
        finite(variance_forecast, "forecast"),
        finite(realised_variance, "realised"),
    )
    if np.any(forecast <= 0) or np.any(realised <= 0):
        raise InvalidValue(
            "QLIKE needs variances above zero.",
            next_step="Floor realised variance at the tick's, or drop days without trades.",
        )
    ratio = realised / forecast
    return ratio - np.log(ratio) - 1.0


def negative_log_growth(returns_after_costs: Series) -> Floats:
    """Minus the log return of each period, after costs (Portfolio Optimizer)."""
    return -np.log1p(finite(returns_after_costs, "returns"))


def absolute_error(forecast: Series, realised: Series) -> Floats:
    """Absolute error of each cost forecast, in its own unit (Execution: basis points)."""
    return np.abs(finite(forecast, "forecast") - finite(realised, "realised"))


def paired_skill(
    timestamps: Sequence[datetime], incumbent_loss: Series, candidate_loss: Series
) -> Floats:
    """Skill of the candidate at each instant, in order of time: the mean over that instant.

    Samples of one day share that day's market; counting them as independent would overstate
    what is known, so each instant is one observation.
    """
    old, new = finite(incumbent_loss, "incumbent loss"), finite(candidate_loss, "candidate loss")
    same_length(old, new, "Losses")
    if len(timestamps) != len(old):
        raise InvalidValue("Losses and timestamps differ in length.", next_step="Pair them first.")
    if len(old) == 0:
        return old
    instants = np.array([t.timestamp() for t in timestamps])
    _, where = np.unique(instants, return_inverse=True)
    return np.bincount(where, weights=old - new) / np.bincount(where)


def kupiec(returns: Series, value_at_risk: Series, level: float) -> Coverage:
    """Test whether losses exceed value at risk as often as promised (Kupiec, 1995).

    `value_at_risk` is a positive fraction, exceeded with probability `level` (0.05 for 95 %).
    The p-value is NaN for empty input.
    """
    r, var = finite(returns, "returns"), finite(value_at_risk, "value at risk")
    same_length(r, var, "Returns and value at risk")
    if not 0 < level < 1:
        raise InvalidValue(f"Level {level} is not a probability.", next_step="Use 0.05 for 95 %.")
    n, x = len(r), int(np.count_nonzero(r < -var))
    if n == 0:
        return Coverage(0, 0.0, math.nan, math.nan)
    rate = x / n
    statistic = 2 * (_log_likelihood(x, n, rate) - _log_likelihood(x, n, level))
    statistic = max(0.0, statistic)
    return Coverage(x, n * level, statistic, math.erfc(math.sqrt(statistic / 2)))


def _log_likelihood(breaches: int, observations: int, rate: float) -> float:
    calm = observations - breaches
    return (breaches * math.log(rate) if breaches else 0.0) + (
        calm * math.log1p(-rate) if calm else 0.0
    )
