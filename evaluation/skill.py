"""How well an agent does its own task: the skill of one model's losses over another's.

Each agent is judged by its own task first (`agents.validation` gives the losses). Every loss is
smaller-is-better; skill is incumbent loss minus candidate loss, so positive skill means that the
candidate is better.
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
    """Brier loss of each forecast."""
    return (finite(probabilities, "probabilities") - finite(outcomes, "outcomes")) ** 2


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


def kupiec(breached: Series, level: float) -> Coverage:
    """Test whether value at risk is exceeded as often as promised (Kupiec, 1995).

    `breached` has 1 for each day whose loss exceeded it and 0 for the others; `level` is the
    promised share (0.05 for 95 %). The p-value is NaN for empty input.
    """
    if not 0 < level < 1:
        raise InvalidValue(f"Level {level} is not a probability.", next_step="Use 0.05 for 95 %.")
    days = finite(breached, "breaches")
    n, x = len(days), int(np.count_nonzero(days))
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
