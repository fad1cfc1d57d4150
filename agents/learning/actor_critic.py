"""A policy and its value function: two small networks over the same standardised observation."""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from agents.learning.environments.interface import Actions, Discrete
from agents.learning.normalisation import RunningNormalisation

_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)


class Choice(NamedTuple):
    """Actions drawn, and the logarithm of their probability (density)."""

    actions: Tensor
    log_probability: Tensor


def perceptron(
    inputs: int, hidden: tuple[int, ...], outputs: int, gain: float, generator: torch.Generator
) -> nn.Sequential:
    """Return a tanh network with orthogonal weights; `gain` scales the last layer's."""
    sizes = (inputs, *hidden)
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [_orthogonal(before, after, math.sqrt(2.0), generator), nn.Tanh()]
    return nn.Sequential(*layers, _orthogonal(sizes[-1], outputs, gain, generator))


def _orthogonal(inputs: int, outputs: int, gain: float, generator: torch.Generator) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain, generator)
    nn.init.zeros_(layer.bias)
    return layer


class ActorCritic(nn.Module):
    """Policy and value of an observation.

    Continuous actions are normal with a learned deviation of their own, discrete ones
    categorical. The actor starts near zero: at the classic policy's action, or at even odds.
    """

    def __init__(
        self,
        observation_size: int,
        actions: Actions,
        seed: int,
        hidden: tuple[int, ...] = (64, 64),
        first_deviation: float = 0.5,
    ) -> None:
        super().__init__()
        self.discrete = isinstance(actions, Discrete)
        outputs = actions.choices if isinstance(actions, Discrete) else actions.size
        self.normalise = RunningNormalisation(observation_size)
        generator = torch.Generator().manual_seed(seed)
        self.actor = perceptron(observation_size, hidden, outputs, 0.01, generator)
        self.critic = perceptron(observation_size, hidden, 1, 1.0, generator)
        self.log_deviation = nn.Parameter(torch.full((outputs,), math.log(first_deviation)))

    def best(self, observation: Tensor) -> Tensor:
        """Return the action without chance: the mean, or the likeliest."""
        with torch.no_grad():
            outputs = self.actor(self.normalise(observation))
        return outputs.argmax(-1) if self.discrete else outputs

    def draw(self, standardised: Tensor, generator: torch.Generator) -> Choice:
        """Return drawn actions for a standardised observation."""
        outputs = self.actor(standardised)
        if self.discrete:
            logits = outputs.log_softmax(-1)
            actions = torch.multinomial(logits.exp(), 1, generator=generator)
            return Choice(actions.squeeze(-1), logits.gather(-1, actions).squeeze(-1))
        chance = torch.empty_like(outputs).normal_(generator=generator)
        actions = torch.addcmul(outputs, chance, self.log_deviation.exp())
        return Choice(actions, self._log_density(chance))

    def log_probability(self, standardised: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logarithm of the actions' probability, and the policy's mean entropy."""
        outputs = self.actor(standardised)
        if self.discrete:
            logits = outputs.log_softmax(-1)
            chosen = logits.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
            return chosen, -(logits.exp() * logits).sum(-1).mean()
        chance = (actions - outputs) * torch.exp(-self.log_deviation)
        entropy = (self.log_deviation + (_HALF_LOG_TAU + 0.5)).sum()
        return self._log_density(chance), entropy

    def value(self, standardised: Tensor) -> Tensor:
        """Return the value of a standardised observation."""
        return self.critic(standardised).squeeze(-1)

    def _log_density(self, chance: Tensor) -> Tensor:
        constant = self.log_deviation.sum() + _HALF_LOG_TAU * chance.shape[-1]
        return chance.square().sum(-1).mul(-0.5) - constant
