"""Behaviour cloning: a policy that begins where the classic one stands."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from agents.learning.actor_critic import ActorCritic
from agents.learning.environments.interface import Environment
from agents.learning.loop import one_thread

#: Observations (rows × features) → actions, as the environment takes them.
Classic = Callable[[Tensor], Tensor]


def clone(
    policy: ActorCritic,
    classic: Classic,
    environment: Environment,
    *,
    seed: int,
    rounds: int = 200,
    learning_rate: float = 1e-2,
) -> float:
    """Fit `policy` in place to what `classic` does, and return the last loss.

    The states are those that the classic policy itself leads to; a round is a batch of episodes'
    worth of them. The loss is the mean squared difference of continuous actions, or the
    cross-entropy of discrete ones.
    """
    generator = torch.Generator().manual_seed(seed)
    with one_thread():
        states = _visited(classic, environment, generator)
        policy.normalise.observe(states)
        read, wanted = policy.normalise(states), classic(states)
        optimizer = torch.optim.Adam(policy.actor.parameters(), lr=learning_rate)
        loss = torch.zeros(())
        for done in range(rounds):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * (1.0 - done / rounds)
            outputs = policy.actor(read)
            loss = cross_entropy(outputs, wanted) if policy.discrete else mse_loss(outputs, wanted)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            optimizer.step()  # pyright: ignore[reportUnknownMemberType]
    return float(loss.detach())


def _visited(classic: Classic, environment: Environment, generator: torch.Generator) -> Tensor:
    observation = environment.reset(generator)
    states = [observation]
    for _ in range(environment.length - 1):
        observation = environment.step(classic(observation)).observation
        states.append(observation)
    return torch.cat(states)
