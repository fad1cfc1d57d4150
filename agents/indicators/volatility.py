"""Realised volatility of a window of bars: four estimators, per bar (not annualised).

Sources: Parkinson (1980), Garman and Klass (1980, equation 20b), Yang and Zhang (2000, equation 10,
with k for the least variance). The one of closes is the standard deviation of log returns.
"""

from collections.abc import Callable, Mapping
from math import log

import numpy as np
import talib

from agents.price_history import Floats, PriceHistory

PERIOD = 21
_TWO_LOG_2 = 2.0 * log(2.0)


def yang_zhang_weight(period: int) -> float:
    """Return Yang and Zhang's k: the share of the open-to-close variance."""
    return 0.34 / (1.34 + (period + 1) / (period - 1))


def closes(bars: PriceHistory, period: int) -> Floats:
    """Return the sample standard deviation of close-to-close log returns."""
    return _root(_sample_variance(_change(bars.close, bars.close), period))


def parkinson(bars: PriceHistory, period: int) -> Floats:
    """Return the root of the mean squared log range over 4 ln 2."""
    return _root(talib.SMA(np.log(bars.high / bars.low) ** 2, period) / (2.0 * _TWO_LOG_2))


def garman_klass(bars: PriceHistory, period: int) -> Floats:
    """Return the root of the mean of ½ (log range)² - (2 ln 2 - 1) (log close over open)²."""
    ranges, moves = np.log(bars.high / bars.low), np.log(bars.close / bars.open)
    return _root(talib.SMA(0.5 * ranges**2 - (_TWO_LOG_2 - 1.0) * moves**2, period))


def yang_zhang(bars: PriceHistory, period: int) -> Floats:
    """Return overnight + k · open-to-close + (1 - k) · Rogers-Satchell variance, its root."""
    overnight, move = _change(bars.close, bars.open), np.log(bars.close / bars.open)
    up, down = np.log(bars.high / bars.open), np.log(bars.low / bars.open)
    weight = yang_zhang_weight(period)
    return _root(
        _sample_variance(overnight, period)
        + weight * _sample_variance(move, period)
        + (1.0 - weight) * talib.SMA(up * (up - move) + down * (down - move), period)
    )


def _change(before: Floats, now: Floats) -> Floats:
    """Return the log of `now` over the bar before's `before`; NaN at the first bar."""
    changes = np.full(len(now), np.nan)
    changes[1:] = np.log(now[1:] / before[:-1])
    return changes


def _sample_variance(values: Floats, period: int) -> Floats:
    return talib.VAR(values, period) * (period / (period - 1.0))


def _root(variance: Floats) -> Floats:
    """Return the square root; rounding may leave a variance of nothing below zero."""
    return np.sqrt(np.maximum(variance, 0.0))


Estimator = Callable[[PriceHistory, int], Floats]
#: Estimator, where its first value stands, and what it reads.
ESTIMATORS: Mapping[str, tuple[Estimator, int, str]] = {
    "close": (closes, PERIOD, "standard deviation of log returns"),
    "parkinson": (parkinson, PERIOD - 1, "high and low (Parkinson 1980)"),
    "garman_klass": (garman_klass, PERIOD - 1, "open, high, low, close (Garman and Klass 1980)"),
    "yang_zhang": (yang_zhang, PERIOD, "with the gaps between bars (Yang and Zhang 2000)"),
}
