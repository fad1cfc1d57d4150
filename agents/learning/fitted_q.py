"""Fitted Q iteration with full information, for an agent that takes prices as they are.

Its trades change nothing but its own position, so from one day of history the reward and the next
state of **every** action from **every** position are known. All of them are targets at once:

    G(x_t, a) = level_a r_t + γ max_b (G(x_{t+1}, b) - cost |level_b - level_a|)

G is what holding level a from state x on is worth, so Q(x, held, a) = G(x, a) - cost of the
change; the cost is known and need not be learned. G is a network of the features alone, fitted to
these targets (Ernst et al., 2005; Riedmiller, 2005) with a target network that follows slowly.
Nothing is explored, and nothing is simulated.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from agents.learning.action_values import ActionValues, follow
from agents.learning.loop import one_thread
from agents.learning.schedules import Linear
from domain.errors import InvalidValue


@dataclass(frozen=True)
class FittedQSettings:
    """How values are fitted.

    Parameters
    ----------
    target_share
        Share of the network that its target takes over after each gradient step.
    """

    seed: int
    steps: int = 200
    batch_rows: int = 2048
    discount: float = 0.9
    learning_rate: Linear = field(default_factory=lambda: Linear(3e-2, 1e-4))
    target_share: float = 0.1
    hidden: tuple[int, ...] = (8,)


@dataclass(frozen=True)
class HoldingValues:
    """What holding each level is worth, and which one to go to.

    Parameters
    ----------
    levels
        Positions that may be held, in units of a fixed notional.
    cost
        Of a change by one unit, in the unit of the values.
    """

    network: ActionValues
    levels: Tensor
    cost: float

    def best(self, features: Tensor, held: Tensor) -> Tensor:
        """Return the index of the best level for rows of features and the levels held."""
        with torch.no_grad():
            values = self.network(self.network.normalise(features.float()))
        changes = (self.levels - held.unsqueeze(-1)).abs()
        return (values - self.cost * changes.to(values.dtype)).argmax(-1)


def fit_holding_values(
    features: Tensor,
    returns: Tensor,
    *,
    cost: float,
    settings: FittedQSettings,
    levels: tuple[float, ...] = (-1.0, 0.0, 1.0),
) -> HoldingValues:
    """Return the values learned from a history.

    Parameters
    ----------
    features, returns
        Days × features, and the return that followed each day.
    cost
        Fraction of notional that a change of one unit costs.
    """
    if len(features) != len(returns) or len(returns) < 2:
        raise InvalidValue(
            f"{len(features)} days of features and {len(returns)} of returns.",
            next_step="Give both for the same days, two or more.",
        )
    unit = float(returns.std())
    if not unit > 0.0:
        raise InvalidValue(
            "The returns don't vary, so nothing can be learned from them.",
            next_step="Give a history in which the price moves.",
        )
    held = torch.tensor(levels)
    network = ActionValues(features.shape[1], len(levels), settings.seed, settings.hidden)
    network.normalise.observe(features)
    history = _History(
        states=network.normalise(features.float()),
        rewards=(returns / unit).float().unsqueeze(-1) * held,
        changes=(cost / unit) * (held - held.unsqueeze(-1)).abs(),
    )
    with one_thread():
        _fit(network, history, settings)
    return HoldingValues(network, held.double(), cost / unit)


class _History(NamedTuple):
    """All that is known: states and rewards of each level by day, costs from level to level."""

    states: Tensor
    rewards: Tensor
    changes: Tensor


def _fit(network: ActionValues, history: _History, settings: FittedQSettings) -> None:
    states, rewards, changes = history
    generator = torch.Generator().manual_seed(settings.seed)
    target = deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate.at(step / settings.steps)
        rows = torch.randint(0, len(rewards) - 1, (settings.batch_rows,), generator=generator)
        with torch.no_grad():
            ahead = (target(states[rows + 1]).unsqueeze(1) - changes).amax(-1)
            wanted = rewards[rows] + settings.discount * ahead
        loss = (network(states[rows]) - wanted).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        optimizer.step()  # pyright: ignore[reportUnknownMemberType]
        follow(target, network, settings.target_share)
