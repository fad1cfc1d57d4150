"""Selling a block whose trades move the price, as Almgren & Chriss (2000) model it.

"Optimal execution of portfolio transactions": linear permanent and temporary impact.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from agents.learning.environments.interface import Continuous, Step


class LiquidationWorld(NamedTuple):
    """The paper's parameters; the defaults are its table 1, time in days, prices in $/share.

    Parameters
    ----------
    volatility
        $/share per square root of a day.
    half_spread, temporary, permanent
        ε, η and γ: what a trade costs at once, per share of its rate and per share sold for good.
    risk_aversion
        λ per $.
    """

    shares: float = 1e6
    price: float = 50.0
    days: float = 5.0
    periods: int = 5
    volatility: float = 0.95
    half_spread: float = 0.0625
    temporary: float = 2.5e-6
    permanent: float = 2.5e-7
    risk_aversion: float = 1e-6

    @property
    def interval(self) -> float:
        """Length of a period in days."""
        return self.days / self.periods


class LiquidationEnvironment:
    """Sell `world.shares` within `world.periods`; what is left at the end is sold at once.

    Action 0 is TWAP: the share of the remainder sold is logistic(action + logit(1 / periods
    left)). The reward is minus shortfall minus λ · variance of the period, in basis points of the
    block's value; the sum of an episode has the mean -(E + λ V) of the paper. The observation
    is the remainder's share and the share of time left.

    Parameters
    ----------
    priced
        Whether rewards hold the price's own moves. They have mean zero whatever is done; without
        them rewards are exact expectations.
    """

    ends = True
    actions = Continuous(1)
    observation_size = 2

    def __init__(self, world: LiquidationWorld, *, episodes: int, priced: bool = True) -> None:
        self.world, self.episodes, self.length = world, episodes, world.periods
        self._priced = priced
        self._noise = torch.zeros(episodes, world.periods, dtype=torch.float64)
        self._left = torch.ones(episodes, dtype=torch.float64)
        self._period = 0

    @property
    def remaining(self) -> Tensor:
        """Shares still to sell, per episode."""
        return self._left * self.world.shares

    def reset(self, generator: torch.Generator) -> Tensor:
        """Begin with the whole block, the price moves of all periods drawn."""
        shape = (self.episodes, self.length)
        self._noise = torch.zeros(shape, dtype=torch.float64)
        if self._priced:
            self._noise.normal_(generator=generator)
        self._left = torch.ones(self.episodes, dtype=torch.float64)
        self._period = 0
        return self._observation()

    def step(self, actions: Tensor) -> Step:
        """Sell in one period, by `actions` (episodes × 1)."""
        world, left = self.world, self.length - self._period
        if left > 1:
            share = torch.sigmoid(actions[:, 0].double() - math.log(left - 1))
        else:
            share = torch.ones_like(self._left)
        sold = self._left * share * world.shares
        self._left = self._left * (1.0 - share)
        held = self.remaining
        deviation = world.volatility * math.sqrt(world.interval)
        shortfall = (
            sold * (world.half_spread + world.temporary * sold / world.interval)
            + world.permanent * sold * held
            - deviation * self._noise[:, self._period] * held
        )
        risk = world.risk_aversion * (deviation * held) ** 2
        self._period += 1
        reward = (shortfall + risk) * (-1e4 / (world.shares * world.price))
        return Step(self._observation(), reward)

    def _observation(self) -> Tensor:
        time_left = 1.0 - self._period / self.length
        return torch.stack([self._left.float(), torch.full((self.episodes,), time_left)], dim=1)
