"""Q networks: the value of each action in a state."""

import torch
from torch import Tensor, nn

from agents.learning.actor_critic import perceptron
from agents.learning.normalisation import RunningNormalisation


def follow(target: nn.Module, network: nn.Module, share: float) -> None:
    """Move the parameters of `target` by `share` of the way towards those of `network`."""
    with torch.no_grad():
        for mine, theirs in zip(target.parameters(), network.parameters(), strict=True):
            mine.lerp_(theirs, share)


class ActionValues(nn.Module):
    """Values of all actions, optionally with a dueling head (Wang et al., 2016).

    Dueling: Q(s, a) = V(s) + A(s, a) - mean A(s, ·), with the hidden layers shared.
    """

    def __init__(
        self,
        observation_size: int,
        choices: int,
        seed: int,
        hidden: tuple[int, ...] = (32, 32),
        *,
        dueling: bool = False,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.dueling = dueling
        self.normalise = RunningNormalisation(observation_size)
        self.body = perceptron(observation_size, hidden, choices + dueling, 0.1, generator)

    def forward(self, standardised: Tensor) -> Tensor:
        """Return rows × actions for standardised observations."""
        outputs = self.body(standardised)
        if not self.dueling:
            return outputs
        value, advantage = outputs[..., :1], outputs[..., 1:]
        return value + advantage - advantage.mean(-1, keepdim=True)

    def best(self, observation: Tensor) -> Tensor:
        """Return the action of greatest value."""
        with torch.no_grad():
            return self(self.normalise(observation)).argmax(-1)
