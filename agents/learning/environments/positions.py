"""One asset at market prices: which of a few positions to hold, at a cost for every change."""

from collections.abc import Sequence

import torch
from torch import Tensor

from agents.learning.environments.interface import Discrete, Step
from domain.errors import InvalidValue


class PositionEnvironment:
    """Episodes over stretches of a history of features and returns, flat at first.

    Action `a` holds ``levels[a]`` (in units of a fixed notional) until the next day; the reward is
    level · return - cost · change of level. The observation is the features, and the level held.

    Parameters
    ----------
    features, returns
        Days × features, and each day's return **after** its features were known.
    cost
        Fraction of notional that a change of one unit costs.
    """

    ends = False

    def __init__(
        self,
        features: Tensor,
        returns: Tensor,
        *,
        cost: float,
        episodes: int,
        length: int,
        levels: Sequence[float] = (-1.0, 0.0, 1.0),
    ) -> None:
        if len(features) != len(returns) or not 1 <= length < len(returns):
            raise InvalidValue(
                f"{len(features)} days of features and {len(returns)} of returns don't hold "
                f"episodes of {length} steps.",
                next_step="Give both for the same days, more of them than steps.",
            )
        self.episodes, self.length = episodes, length
        self.actions = Discrete(len(levels))
        self.observation_size = features.shape[1] + 1
        self._features, self._returns = features.float(), returns.double()
        self._levels = torch.tensor(levels, dtype=torch.float64)
        self._cost = cost
        self._day = torch.zeros(episodes, dtype=torch.int64)
        self._held = torch.zeros(episodes, dtype=torch.float64)

    def reset(self, generator: torch.Generator) -> Tensor:
        """Begin on random days, flat."""
        last = len(self._returns) - self.length
        self._day = torch.randint(0, last, (self.episodes,), generator=generator)
        self._held = torch.zeros(self.episodes, dtype=torch.float64)
        return self._observation()

    def step(self, actions: Tensor) -> Step:
        """Hold the levels of `actions` until the next day."""
        level = self._levels[actions]
        reward = level * self._returns[self._day] - (level - self._held).abs() * self._cost
        self._held = level
        self._day = self._day + 1
        return Step(self._observation(), reward)

    def _observation(self) -> Tensor:
        return torch.cat([self._features[self._day], self._held.float().unsqueeze(-1)], dim=1)
