"""The most that can be earned in a world whose truth is known, by dynamic programming."""

from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.arrays import Floats
from evaluation.signal_worlds import SignalModel, Signals

_NORMAL = NormalDist()
LEVELS = np.array([-1.0, 0.0, 1.0])

Choices = NDArray[np.int64]
#: (features: days × features, level held: days) → index of the level to hold next.
Policy = Callable[[Floats, Floats], Choices]


class Optimum(NamedTuple):
    """The best policy of a world with a known edge.

    Parameters
    ----------
    grid
        Values of the signal.
    choices
        Signal × level held → index of the best level.
    gain
        Expected reward per day.
    """

    grid: Floats
    choices: Choices
    gain: float

    def policy(self, features: Floats, held: Floats) -> Choices:
        """Return the best levels by the first feature and the levels held."""
        row = np.clip(np.searchsorted(self.grid, features[:, 0]), 0, len(self.grid) - 1)
        return self.choices[row, np.searchsorted(LEVELS, held)]


def optimum(model: SignalModel, points: int = 301, width: float = 5.0) -> Optimum:
    """Return the policy of greatest expected reward per day, by relative value iteration.

    The signal is put on a grid of `points` over ± `width` deviations (Tauchen, 1986).
    """
    grid = np.linspace(-width, width, points)
    edges = np.concatenate([[-np.inf], (grid[1:] + grid[:-1]) / 2.0, [np.inf]])
    fresh = np.sqrt(1.0 - model.persistence**2)
    below = [[_NORMAL.cdf((e - model.persistence * z) / fresh) for e in edges] for z in grid]
    chance = np.diff(np.array(below))
    drift = model.sharpe * model.volatility * grid
    cost = model.cost * np.abs(LEVELS[:, None] - LEVELS)
    # By level chosen: earned today plus what the state is worth tomorrow; then less the change.
    value = np.zeros((points, len(LEVELS)))
    gain = 0.0
    for _ in range(10_000):
        chosen = drift[:, None] * LEVELS + chance @ value
        new = (chosen[:, None, :] - cost).max(-1)
        gain = float(new[points // 2, 1] - value[points // 2, 1])
        if np.ptp(new - value) < 1e-12:
            break
        value = new - new[points // 2, 1]
    choices = ((drift[:, None] * LEVELS + chance @ value)[:, None, :] - cost).argmax(-1)
    return Optimum(grid, choices, gain)


class Earned(NamedTuple):
    """What a policy earned a day, after costs: as it came, and as it was to be expected."""

    realised: Floats
    expected: Floats


def earned(policy: Policy, world: Signals, paths: int = 50) -> Earned:
    """Return what `policy` earns in `world`, flat at first.

    The days are cut into `paths` stretches that are walked side by side; what is left over at the
    end is not walked.
    """
    days = len(world.returns) // paths
    held = np.zeros(paths)
    starts = np.arange(paths) * days
    realised, expected = np.empty((days, paths)), np.empty((days, paths))
    for day in range(days):
        rows = starts + day
        level = LEVELS[policy(world.features[rows], held)]
        paid = world.cost * np.abs(level - held)
        realised[day] = level * world.returns[rows] - paid
        expected[day] = level * world.drift[rows] - paid
        held = level
    return Earned(realised.T.ravel(), expected.T.ravel())
