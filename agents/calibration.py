"""From a raw model output to a probability or a score, by knots that are stored with the model."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.price_history import Floats

#: Knots are kept at this many places, so that they read well in model.json.
_PLACES = 6


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


def fit_probability(
    values: Floats,
    outcomes: NDArray[np.bool_],
    *,
    prior_slope: float = 0.0,
    grid: int = 17,
) -> Knots:
    """Fit P(outcome | value) by Platt's method and return it as knots over the values' range.

    The logistic slope, per standard deviation of `values`, has a normal prior of deviation one
    half around `prior_slope` and never falls below 0: a probability that would fall as support
    rises is noise, and is replaced by the base rate.
    """
    base = (outcomes.sum() + 1.0) / (len(outcomes) + 2.0)
    center, spread = float(values.mean()), float(values.std())
    if spread < 1e-9 or len(values) < 20:
        return constant(float(base))
    scaled = (values - center) / spread
    slope, intercept = prior_slope, float(np.log(base / (1.0 - base)))
    precision = 4.0
    for _ in range(50):
        chance = 1.0 / (1.0 + np.exp(-(slope * scaled + intercept)))
        weight = np.maximum(chance * (1.0 - chance), 1e-9)
        gradient = np.array(
            [
                ((chance - outcomes) * scaled).sum() + precision * (slope - prior_slope),
                (chance - outcomes).sum() + 1e-3 * intercept,
            ]
        )
        cross = (weight * scaled).sum()
        curvature = np.array(
            [
                [(weight * scaled**2).sum() + precision, cross],
                [cross, weight.sum() + 1e-3],
            ]
        )
        step = np.linalg.solve(curvature, gradient)
        slope, intercept = slope - float(step[0]), intercept - float(step[1])
        if np.abs(step).max() < 1e-10:
            break
    if slope <= 0.0:
        return constant(float(base))
    low, high = (float(np.quantile(values, share)) for share in (0.005, 0.995))
    points: Floats = np.linspace(low, high, grid)
    chances = 1.0 / (1.0 + np.exp(-(slope * (points - center) / spread + intercept)))
    return knots(list(zip(points.tolist(), chances.tolist(), strict=True)))


def brier_score(chances: Floats, outcomes: NDArray[np.bool_]) -> float:
    """Return the mean squared distance of probabilities from outcomes."""
    return float(((chances - outcomes) ** 2).mean())


def log_losses(chances: Floats, outcomes: NDArray[np.bool_]) -> Floats:
    """Return minus the log probability given to what happened, per sample."""
    clipped = np.clip(chances, 1e-6, 1.0 - 1e-6)
    return -np.log(np.where(outcomes, clipped, 1.0 - clipped))
