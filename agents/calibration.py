"""From a raw model output to a probability or a score, by knots that are stored with the model."""

from math import exp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.price_history import Floats

#: Knots are kept at this many places, so that they read well in model.json.
_PLACES = 6
#: Log odds of a gain per volatility of expected return: the normal's slope at 0, 4 · φ(0).
LOGIT_PER_VOLATILITY = 1.6


class Knots(NamedTuple):
    """A monotone piecewise-linear function, constant beyond its ends."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """Return the function at `value`."""
        return float(np.interp(value, self.x, self.y))


def constant(value: float) -> Knots:
    """Return the function that is `value` everywhere."""
    return Knots((0.0,), (round(value, _PLACES),))


def knots(points: list[tuple[float, float]]) -> Knots:
    """Return the function through `points`, made strictly increasing in x at six places."""
    x: list[float] = []
    y: list[float] = []
    for raw_x, raw_y in points:
        at = round(float(raw_x), _PLACES)
        x.append(at if not x or at > x[-1] else round(x[-1] + 10.0**-_PLACES, _PLACES))
        y.append(round(float(raw_y), _PLACES))
    return Knots(tuple(x), tuple(y))


def logistic(log_odds: Floats) -> Floats:
    """Return the probabilities of log odds."""
    return 1.0 / (1.0 + np.exp(-log_odds))


def log_odds(chance: float) -> float:
    """Return the logarithm of chance : (1 - chance)."""
    return float(np.log(chance / (1.0 - chance)))


def odds_moved(chance: float, by: float) -> float:
    """Return the chance whose log odds are those of `chance` plus `by`."""
    return 1.0 / (1.0 + exp(-(log_odds(chance) + by)))


def fit_slope(
    distances: Floats,
    outcomes: NDArray[np.bool_],
    *,
    base: float,
    independent_share: float,
    prior: float,
    deviation: float,
    least: float,
) -> float:
    """Fit m in P(outcome) = logistic(log odds of `base` + m · distance), by Newton's method.

    m has a normal prior and never falls below `least`: a probability that would fall as support
    rises is noise.

    Parameters
    ----------
    distances
        Raw log odds of the model, as distances from their long-run mean.
    base
        Long-run share of outcomes: what is said where the distance is 0.
    independent_share
        Weight of a sample: overlapping outcomes are not independent ones.
    """
    slope, precision, offset = prior, 1.0 / deviation**2, log_odds(base)
    for _ in range(50):
        chances = logistic(offset + slope * distances)
        gradient = independent_share * ((chances - outcomes) * distances).sum()
        curvature = independent_share * (chances * (1.0 - chances) * distances**2).sum()
        step = (gradient + precision * (slope - prior)) / (curvature + precision)
        slope -= float(step)
        if abs(step) < 1e-10:
            break
    return max(slope, least)


def chance_at_most(errors: Floats, grid: int = 41) -> Knots:
    """Return x → share of `errors` that are at most x: their empirical distribution function.

    Beyond the 1st and the 99th percentile it stays there: more isn't known from as many.
    """
    shares = np.linspace(0.01, 0.99, grid)
    return knots(list(zip(np.quantile(errors, shares).tolist(), shares.tolist(), strict=True)))


def brier_score(chances: Floats, outcomes: NDArray[np.bool_]) -> float:
    """Return the mean squared distance of probabilities from outcomes."""
    return float(((chances - outcomes) ** 2).mean())


def log_losses(chances: Floats, outcomes: NDArray[np.bool_]) -> Floats:
    """Return minus the log probability given to what happened, per sample."""
    clipped = np.clip(chances, 1e-6, 1.0 - 1e-6)
    return -np.log(np.where(outcomes, clipped, 1.0 - clipped))
