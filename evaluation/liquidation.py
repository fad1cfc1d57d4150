"""The best that can be done in the world of Almgren & Chriss (2000), to hold learners against."""

import math

import numpy as np

from agents.learning.environments.liquidation import LiquidationWorld
from evaluation.arrays import Floats


def utility(world: LiquidationWorld, holdings: Floats) -> float:
    """Return E + λ V in $ of the shares held after each period (equations 4 and 5).

    `holdings` has one entry per period, the last of them 0.
    """
    before = np.concatenate([[world.shares], holdings[:-1]])
    sold = before - holdings
    interval = world.interval
    expected = (
        world.permanent * float(sold @ holdings)
        + world.half_spread * float(np.abs(sold).sum())
        + world.temporary / interval * float(sold @ sold)
    )
    variance = world.volatility**2 * interval * float(holdings @ holdings)
    return expected + world.risk_aversion * variance


def best_holdings(world: LiquidationWorld) -> Floats:
    """Return the holdings after each period that make `utility` smallest (equations 16 and 17).

    x_j = X sinh(κ (T - t_j)) / sinh(κ T) with 2 (cosh(κ τ) - 1) / τ² = λ σ² / (η - γ τ / 2).
    """
    left: Floats = np.arange(world.periods - 1.0, -1.0, -1.0) * world.interval
    curvature = world.risk_aversion * world.volatility**2
    curvature /= world.temporary - 0.5 * world.permanent * world.interval
    if curvature == 0.0:
        return world.shares * left / world.days
    kappa = math.acosh(0.5 * curvature * world.interval**2 + 1.0) / world.interval
    return np.sinh(kappa * left) * (world.shares / math.sinh(kappa * world.days))


def even_holdings(world: LiquidationWorld) -> Floats:
    """Return the holdings of TWAP."""
    return world.shares * np.arange(world.periods - 1, -1, -1) / world.periods
