"""One-day value at risk and expected shortfall of a portfolio, as positive fractions of equity."""

from math import exp, pi, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from agents.price_history import Floats
from domain.errors import InvalidValue


class ValueAtRisk(NamedTuple):
    """VaR and CVaR by two methods, and the portfolio's daily volatility."""

    historical: float
    historical_cvar: float
    normal: float
    normal_cvar: float
    volatility: float

    @property
    def worst(self) -> float:
        """The larger of the two values at risk."""
        return max(self.historical, self.normal)


def value_at_risk(
    weights: Floats, returns: Floats, volatilities: Floats, level: float = 0.99
) -> ValueAtRisk:
    """Return VaR and CVaR at `level` for tomorrow.

    Parameters
    ----------
    weights
        Fraction of equity per asset.
    returns
        Past simple daily returns, days × assets.
    volatilities
        Forecast daily volatility per asset.

    Notes
    -----
    *Normal*: forecast volatilities with the past correlations, mean zero. *Historical*: past
    days, each asset's returns scaled to its forecast volatility; CVaR is the mean of the losses
    at or beyond the VaR.

    Raises
    ------
    InvalidValue
        If there are fewer than two days, or the level is outside ½ … 1.
    """
    if len(returns) < 2 or not 0.5 < level < 1.0:
        raise InvalidValue(
            f"VaR at {level} needs at least two days of returns, not {len(returns)}.",
            next_step="Give more history, and a level between 0.5 and 1.",
        )
    deviations = returns.std(axis=0)
    scale = np.divide(
        volatilities, deviations, out=np.zeros_like(deviations), where=deviations > 1e-12
    )
    centered = (returns - returns.mean(axis=0)) * scale
    exposure = weights * volatilities
    variance = float(exposure @ _correlation(centered) @ exposure)
    volatility = sqrt(max(variance, 0.0))
    losses = -(centered @ weights)
    historical = float(np.quantile(losses, level))
    quantile = NormalDist().inv_cdf(level)
    density = exp(-0.5 * quantile**2) / sqrt(2.0 * pi)
    return ValueAtRisk(
        historical=max(historical, 0.0),
        historical_cvar=max(float(losses[losses >= historical].mean()), 0.0),
        normal=quantile * volatility,
        normal_cvar=density / (1.0 - level) * volatility,
        volatility=volatility,
    )


def _correlation(centered: Floats) -> Floats:
    """Return the correlation matrix; an asset that never moved is uncorrelated."""
    deviations = centered.std(axis=0)
    safe = np.where(deviations > 1e-12, deviations, 1.0)
    scaled = centered / safe
    matrix = scaled.T @ scaled / len(scaled)
    np.fill_diagonal(matrix, 1.0)
    return matrix
