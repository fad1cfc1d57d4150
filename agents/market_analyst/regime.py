"""The volatility regime, causally: where today's volatility stands among the days before."""

from typing import NamedTuple

import numpy as np

from agents.price_history import PriceHistory

_LOOK_BACK = 504
_DECAY = 0.94
_FEWEST_RETURNS = 63


class Regime(NamedTuple):
    """A regime's name, and the share of the past days that were calmer (0–1)."""

    name: str
    percentile: float


def volatility_regime(history: PriceHistory) -> Regime | None:
    """Return calm, normal or turbulent as of the newest bar; None below 64 bars.

    The exponentially weighted volatility of each day is ranked among the last two years' days;
    the outer quarters are calm and turbulent. Nothing after a day enters its volatility.
    """
    squares = history.last(_LOOK_BACK + 1).log_returns() ** 2
    if len(squares) < _FEWEST_RETURNS:
        return None
    variances = np.empty(len(squares))
    level = float(squares[:21].mean())
    for day, square in enumerate(squares.tolist()):
        level = _DECAY * level + (1.0 - _DECAY) * square
        variances[day] = level
    percentile = float((variances < variances[-1]).mean())
    name = "calm" if percentile < 0.25 else "turbulent" if percentile > 0.75 else "normal"
    return Regime(name, round(percentile, 6))
