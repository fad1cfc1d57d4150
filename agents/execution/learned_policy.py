"""The learned executor: a policy over recorded books, by proximal policy optimisation."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from agents.execution.order_book_environment import OrderBookEnvironment
from agents.learning.actor_critic import ActorCritic
from agents.learning.proximal_policy import ProximalPolicy, ProximalPolicySettings
from agents.price_history import Floats

#: Observation (episodes × features) → actions (episodes × 1).
Policy = Callable[[Tensor], Tensor]

#: No discount: what an order costs counts the same whenever it is paid.
LEARNING = ProximalPolicySettings(seed=0, updates=60, discount=1.0, trace=0.95)
_HIDDEN = (32,)


def learn_execution(
    environment: OrderBookEnvironment, seed: int, settings: ProximalPolicySettings = LEARNING
) -> ActorCritic:
    """Return a policy learned from TWAP on; the same seed gives the same weights bit for bit."""
    policy = ActorCritic(environment.observation_size, environment.actions, seed, _HIDDEN)
    ProximalPolicy(environment, policy, replace(settings, seed=seed)).learn()
    return policy


def even(observation: Tensor) -> Tensor:
    """TWAP: action 0 in every episode."""
    return torch.zeros(len(observation), 1)


def costs_of(environment: OrderBookEnvironment, policy: Policy, starts: Tensor) -> Floats:
    """Return what the order costs from each of these snapshots on, in basis points.

    The moves that TWAP bears too are left out, so only differences between policies mean
    anything. The environment must hold as many episodes as there are starts.
    """
    observation = environment.start_at(starts)
    total = torch.zeros(len(starts), dtype=torch.float64)
    for _ in range(environment.length):
        observation, reward = environment.step(policy(observation))
        total -= reward
    return total.numpy()  # pyright: ignore[reportUnknownMemberType]
