"""The one training loop: seeded, single-threaded, early stopping on the tuning rows."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agents.model import Epoch
from agents.network import PolicyNetwork, tensor_of
from agents.price_history import Floats

#: (outputs, targets) → one loss per sample.
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LearningSettings:
    """How a network is fitted."""

    seed: int
    hidden_units: int = 16
    epochs: int = 40
    batch_rows: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    patience: int = 8


@contextmanager
def one_thread() -> Generator[None]:
    """Compute on one torch thread: sums then have one order, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Samples:
    """Inputs, targets and weights of a slice; the first axis is the sample."""

    inputs: Floats
    targets: Floats
    weights: Floats | None = None

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs, targets and weights (1 where none are given)."""
        weights = np.ones(len(self.inputs)) if self.weights is None else self.weights
        return tensor_of(self.inputs), tensor_of(self.targets), tensor_of(weights)


def fit(
    network: PolicyNetwork,
    loss: Loss,
    training: Samples,
    tuning: Samples,
    settings: LearningSettings,
) -> list[Epoch]:
    """Fit the correction of `network` in place and return the loss curve.

    The weights of the best epoch on the tuning rows are kept; the curve's first entry is the
    classic policy, before any step, and may be that best one. The same seed gives the same
    weights bit for bit.
    """
    inputs, targets, weights = training.tensors()
    tuning_inputs, tuning_targets, tuning_weights = tuning.tensors()
    order = np.random.default_rng(settings.seed)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )

    def mean_loss(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        return (loss(network(x), y) * w).sum() / w.sum()

    def measured() -> Epoch:
        with torch.no_grad():
            return Epoch(
                float(mean_loss(inputs, targets, weights)),
                float(mean_loss(tuning_inputs, tuning_targets, tuning_weights)),
            )

    with one_thread():
        curve = [measured()]
        best, best_state, waited = curve[0].tuning, _copy(network), 0
        for _ in range(settings.epochs):
            shuffled = torch.as_tensor(order.permutation(len(inputs)))
            for rows in torch.split(shuffled, settings.batch_rows):
                optimizer.zero_grad(set_to_none=True)
                mean_loss(inputs[rows], targets[rows], weights[rows]).backward()  # pyright: ignore[reportUnknownMemberType]
                optimizer.step()  # pyright: ignore[reportUnknownMemberType]
            curve.append(measured())
            waited += 1
            if curve[-1].tuning < best:
                best, best_state, waited = curve[-1].tuning, _copy(network), 0
            if waited >= settings.patience:
                break
        network.load_state_dict(best_state)
    network.requires_grad_(requires_grad=False)
    network.eval()
    return curve


def _copy(network: PolicyNetwork) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}
