"""What every environment offers and every learner asks for.

All episodes of a batch start together and take the same number of steps, so there is no episode
to reset half-way and no mask: `reset`, then `length` times `step`. An episode that has nothing
left to do (an order that is filled) goes on with rewards of zero.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Discrete(NamedTuple):
    """Actions are whole numbers 0 … `choices` - 1, of shape (episodes,)."""

    choices: int


class Continuous(NamedTuple):
    """Actions are any real numbers, of shape (episodes, `size`); 0 is the classic policy's.

    The environment maps them to what is legal, so that no learner has to clip.
    """

    size: int


Actions = Discrete | Continuous


class Step(NamedTuple):
    """What followed an action: observation (episodes × features) and reward (episodes)."""

    observation: Tensor
    reward: Tensor


class Environment(Protocol):
    """Many episodes side by side.

    `ends` tells what the last step means: where it is true nothing can be earned after it; where
    it is false the episode is only cut off, and the last observation still has a value.
    """

    @property
    def episodes(self) -> int:
        """Episodes side by side."""
        ...

    @property
    def length(self) -> int:
        """Steps of an episode."""
        ...

    @property
    def observation_size(self) -> int:
        """Features of an observation."""
        ...

    @property
    def actions(self) -> Actions:
        """What an action is."""
        ...

    @property
    def ends(self) -> bool:
        """Whether an episode's last step ends what can be earned."""
        ...

    def reset(self, generator: torch.Generator) -> Tensor:
        """Begin new episodes, all chance drawn from `generator`; return the first observation."""
        ...

    def step(self, actions: Tensor) -> Step:
        """Act in every episode."""
        ...
