"""Past returns as scenarios for tomorrow: each scaled from its day's volatility to the present one.

Filtered historical simulation after Hull and White (1998), and Barone-Adesi, Giannopoulos and
Vosper (1999) over several days, with RiskMetrics' exponentially weighted variance as the filter.
"""

from typing import NamedTuple

import numpy as np

from agents.price_history import Floats
from domain.errors import InvalidValue

#: RiskMetrics' decay for daily data (Technical Document, 4th ed., 1996).
DECAY = 0.94
#: Days whose mean square starts the filter; they give no scenario of their own.
START_DAYS = 21
#: Daily volatility below which an asset counts as not moving.
_FLOOR = 1e-9
#: Days whose weights fit into a float's exponent at once.
_BLOCK = 4096


class FilteredReturns(NamedTuple):
    """What the filter makes of days × assets.

    Parameters
    ----------
    standardised
        Returns over the filter's volatility for their day; the first `START_DAYS` days are left
        out. Zero where an asset has not moved yet.
    expected
        The volatility that was expected for the day, one row per row of `standardised`.
    next_volatility
        What is expected for the day after the last, per asset.
    """

    standardised: Floats
    expected: Floats
    next_volatility: Floats

    def scenarios(self, volatility: Floats | None = None) -> Floats:
        """Return the days as returns of tomorrow, at `volatility` or the filter's own."""
        return self.standardised * (self.next_volatility if volatility is None else volatility)


def filter_returns(returns: Floats, decay: float = DECAY) -> FilteredReturns:
    """Return standardised returns and volatilities of days × assets.

    Raises
    ------
    InvalidValue
        If a return isn't finite, or there are too few days to start the filter.
    """
    days = len(returns)
    if days < START_DAYS + 2 or not np.isfinite(returns).all():
        raise InvalidValue(
            f"{days} days of returns can't be filtered: {START_DAYS + 2} without gaps are needed.",
            next_step="Give more history, and drop the days with gaps.",
        )
    squares = returns**2
    variance = _ewma(squares[START_DAYS:], squares[:START_DAYS].mean(axis=0), decay)
    deviation = np.sqrt(variance)
    expected, following = deviation[:-1], deviation[-1]
    standardised = np.divide(
        returns[START_DAYS:], expected, out=np.zeros_like(expected), where=expected > _FLOOR
    )
    return FilteredReturns(standardised, expected, following)


def _ewma(squares: Floats, start: Floats, decay: float) -> Floats:
    """Return v₀ = start and vₜ₊₁ = decay · vₜ + (1 - decay) · squaresₜ, one row more than squares.

    Written as a cumulative sum of weights that grow into the past's favour; block by block, so
    that they stay within a float's range.
    """
    variance = np.empty((len(squares) + 1, *squares.shape[1:]))
    variance[0] = start
    for first in range(0, len(squares), _BLOCK):
        block = squares[first : first + _BLOCK]
        powers = decay ** np.arange(1.0, len(block) + 1.0)[:, None]
        sums = np.cumsum(block / powers, axis=0)
        variance[first + 1 : first + 1 + len(block)] = powers * (
            variance[first] + (1.0 - decay) * sums
        )
    return variance


def simulate_days(
    filtered: FilteredReturns, days: int, *, paths: int, seed: int, decay: float = DECAY
) -> Floats:
    """Return simulated compound returns over `days`, paths × assets.

    Every day of a path draws one past day whole, so that assets keep moving together, and its
    return moves the path's variance.
    """
    random = np.random.default_rng(seed)
    variance = np.tile(filtered.next_volatility**2, (paths, 1))
    wealth = np.ones_like(variance)
    for _ in range(days):
        drawn = random.integers(len(filtered.standardised), size=paths)
        moved = filtered.standardised[drawn] * np.sqrt(variance)
        # Nothing can lose more than it is worth.
        wealth *= 1.0 + np.maximum(moved, -1.0)
        variance = decay * variance + (1.0 - decay) * moved**2
    return wealth - 1.0
