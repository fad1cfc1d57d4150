"""The one architecture of all models: a hand-set linear policy plus a learned correction."""

import numpy as np
import torch
from torch import Tensor, nn

from agents.price_history import Floats

#: Standardised inputs are clipped here: a value unlike any seen may not throw the network off.
_CLIP = 4.0


def tensor_of(values: Floats) -> Tensor:
    """Return `values` as a tensor that shares their memory."""
    return torch.from_numpy(values)  # pyright: ignore[reportUnknownMemberType]


class PolicyNetwork(nn.Module):
    """y = policy · x + bias + head · tanh(hidden · clip((x - mean) / scale)).

    The policy is hand-set and never trained: alone (no hidden units) it is the agent's classic
    version 1. The correction starts at zero, so learning starts from the classic policy.
    """

    policy_weight: Tensor
    policy_bias: Tensor
    input_mean: Tensor
    input_scale: Tensor

    def __init__(self, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden_units = hidden
        self.register_buffer("policy_weight", torch.zeros(outputs, inputs, dtype=torch.float64))
        self.register_buffer("policy_bias", torch.zeros(outputs, dtype=torch.float64))
        if hidden:
            self.register_buffer("input_mean", torch.zeros(inputs, dtype=torch.float64))
            self.register_buffer("input_scale", torch.ones(inputs, dtype=torch.float64))
            self.hidden = nn.Linear(inputs, hidden, dtype=torch.float64)
            self.head = nn.Linear(hidden, outputs, dtype=torch.float64)

    def initialise(self, seed: int) -> None:
        """Draw the hidden layer's weights from `seed` alone and set the correction to zero."""
        generator = torch.Generator().manual_seed(seed)
        bound = self.hidden.in_features**-0.5
        with torch.no_grad():
            self.hidden.weight.uniform_(-bound, bound, generator=generator)
            self.hidden.bias.uniform_(-bound, bound, generator=generator)
            self.head.weight.zero_()
            self.head.bias.zero_()

    def standardise_by(self, rows: Floats) -> None:
        """Take mean and deviation of the inputs from the training rows."""
        deviation = rows.std(axis=0)
        self.input_mean.copy_(tensor_of(rows.mean(axis=0)))
        self.input_scale.copy_(tensor_of(np.where(deviation > 1e-9, deviation, 1.0)))

    def set_policy(self, weight: Floats, bias: Floats) -> None:
        """Set the classic policy's weights by hand."""
        self.policy_weight.copy_(tensor_of(weight))
        self.policy_bias.copy_(tensor_of(bias))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs for inputs of shape (…, inputs)."""
        outputs = inputs @ self.policy_weight.T + self.policy_bias
        if self.hidden_units:
            clipped = ((inputs - self.input_mean) / self.input_scale).clamp(-_CLIP, _CLIP)
            outputs = outputs + self.head(torch.tanh(self.hidden(clipped)))
        return outputs
