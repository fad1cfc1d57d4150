"""Learning that was stopped goes on bit for bit, from one safetensors file.

A checkpoint holds all that the next step depends on: weights, normalisation, the optimiser's
moments, the random generator's state, and how far learning has come. Nothing is pickled.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from domain.errors import ModelRefused

_NUMBER = "number."


@dataclass(frozen=True)
class Checkpoint:
    """Tensors and numbers by name."""

    tensors: dict[str, Tensor]
    numbers: dict[str, int]


def snapshot(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    tensors: dict[str, Tensor] | None = None,
    **numbers: int,
) -> Checkpoint:
    """Return the state of what learns; `tensors` and `numbers` are the caller's own."""
    found = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    for parameter, moments in optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{parameter}.{name}": value for name, value in moments.items()}
    found["generator"] = generator.get_state()
    found |= {f"own.{name}": tensor for name, tensor in (tensors or {}).items()}
    return Checkpoint({name: tensor.detach().clone() for name, tensor in found.items()}, numbers)


def restore(
    checkpoint: Checkpoint,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Put a checkpoint's state into what learns, and return the caller's own tensors.

    Raises
    ------
    domain.errors.ModelRefused
        If the checkpoint is of another module.
    """
    module_state, own = _under(checkpoint, "module."), _under(checkpoint, "own.")
    state = optimizer.state_dict()
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in _under(checkpoint, "optimizer.").items():
        parameter, _, name = key.partition(".")
        moments.setdefault(int(parameter), {})[name] = tensor.clone()
    try:
        module.load_state_dict(module_state)
        optimizer.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
        generator.set_state(checkpoint.tensors["generator"])
    except (RuntimeError, ValueError, KeyError) as problem:
        raise _refused(f"it is not of what learns here ({problem})") from None
    return own


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in one step; one that was there before stays whole until then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    tensors |= {_NUMBER + name: torch.tensor(value) for name, value in checkpoint.numbers.items()}
    unfinished = path.with_suffix(".partial")
    unfinished.write_bytes(save_tensors(dict(sorted(tensors.items()))))
    unfinished.replace(path)


def read(path: Path) -> Checkpoint:
    """Return the checkpoint at `path`.

    Raises
    ------
    domain.errors.ModelRefused
        If the file is missing or damaged.
    """
    try:
        found = load_tensors(path.read_bytes())
    except (OSError, SafetensorError) as problem:
        raise _refused(f"{path}: {problem}") from None
    tensors = {name: tensor for name, tensor in found.items() if not name.startswith(_NUMBER)}
    numbers = {
        name.removeprefix(_NUMBER): int(found[name]) for name in sorted(found.keys() - tensors)
    }
    return Checkpoint(tensors, numbers)


def _under(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(prefix)
    }


def _refused(why: str) -> ModelRefused:
    return ModelRefused(
        f"The checkpoint is refused: {why}.",
        kept="Nothing was loaded.",
        next_step="Learn from the beginning, or from another checkpoint.",
    )
