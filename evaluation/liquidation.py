"""The best that can be done in the world of Almgren & Chriss (2000), to hold learners against."""

import numpy as np

from agents.execution.implementation_shortfall import Impact, shortfall, trajectory, urgency
from agents.learning.environments.liquidation import LiquidationWorld
from evaluation.arrays import Floats


def utility(world: LiquidationWorld, holdings: Floats) -> float:
    """Return E + λ V in $ of the shares held after each period.

    `holdings` has one entry per period, the last of them 0.
    """
    held = np.concatenate([[world.shares], holdings])
    return shortfall(_impact(world), held, _times(world)).utility(world.risk_aversion)


def best_holdings(world: LiquidationWorld) -> Floats:
    """Return the holdings after each period that make `utility` smallest."""
    decay = urgency(_impact(world), world.risk_aversion, world.interval)
    return trajectory(world.shares, _times(world), decay)[1:]


def even_holdings(world: LiquidationWorld) -> Floats:
    """Return the holdings of TWAP."""
    return trajectory(world.shares, _times(world), 0.0)[1:]


def _impact(world: LiquidationWorld) -> Impact:
    return Impact(world.volatility, world.temporary, world.permanent, fixed=world.half_spread)


def _times(world: LiquidationWorld) -> Floats:
    return np.linspace(0.0, world.days, world.periods + 1)
