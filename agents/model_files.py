"""Models on disk: safetensors, model.json and a manifest; nothing is ever unpickled."""

import hashlib
import json
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from agents.indicators import FEATURE_NAMES
from agents.model import OUTPUTS, Model, Specification, TrainedModel
from agents.network import PolicyNetwork
from domain.errors import ModelRefused
from domain.voting import AgentId

WEIGHTS = "model.safetensors"
SPECIFICATION = "model.json"
MANIFEST = "manifest.json"
_MOST_HIDDEN_UNITS = 4096


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `manifest.json` holds: whose files these are, their hashes, and where they come from.

    `digest` is the SHA-256 over the other fields, so that the manifest itself can't be altered
    unnoticed by accident.
    """

    agent: AgentId
    files: dict[str, str]
    data_version: str
    code_version: str
    seed: int
    metrics: dict[str, float]
    digest: str = ""


def save(
    folder: Path, trained: TrainedModel, *, data_version: str = "", code_version: str = ""
) -> Manifest:
    """Write a model's three files into `folder` (made if need be) and return its manifest.

    The manifest is written last: a folder without one is an unfinished save and is refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    specification = trained.model.specification
    contents = {
        WEIGHTS: save_tensors(dict(sorted(trained.model.network.state_dict().items()))),
        SPECIFICATION: _readable(specification),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    manifest = _sealed(
        Manifest(
            agent=specification.agent,
            files={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
            data_version=data_version,
            code_version=code_version,
            seed=trained.seed,
            metrics={name: round(value, 6) for name, value in sorted(trained.metrics.items())},
        )
    )
    unfinished = folder / f"{MANIFEST}.partial"
    unfinished.write_bytes(_readable(manifest))
    unfinished.replace(folder / MANIFEST)
    return manifest


def verify(folder: Path, agent: AgentId) -> Manifest:
    """Return the manifest of `folder` after every file was checked against it.

    Raises
    ------
    ModelRefused
        If a file is missing, altered or not listed, or the model is another agent's.
    """
    manifest, _ = _verified(folder, agent)
    return manifest


def load(folder: Path, agent: AgentId) -> Model:
    """Return the model in `folder`.

    Raises
    ------
    ModelRefused
        As `verify`; and if the specification is not one of this release's, or a tensor is
        missing, extra, of the wrong shape or type, or not finite.
    """
    _, contents = _verified(folder, agent)
    try:
        specification = msgspec.json.decode(contents[SPECIFICATION], type=Specification)
    except msgspec.DecodeError as problem:
        raise _refused(folder, f"{SPECIFICATION} is not readable: {problem}.") from None
    try:
        tensors = load_tensors(contents[WEIGHTS])
    except SafetensorError as problem:
        raise _refused(folder, f"{WEIGHTS} is not readable: {problem}.") from None
    _check_specification(folder, specification, agent)
    network = PolicyNetwork(
        len(specification.inputs), len(specification.outputs), specification.hidden_units
    )
    _check_tensors(folder, network.state_dict(), tensors)
    network.load_state_dict(tensors)
    network.requires_grad_(requires_grad=False)
    return Model(specification, network.eval())


def _verified(folder: Path, agent: AgentId) -> tuple[Manifest, dict[str, bytes]]:
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        contents = {name: (folder / name).read_bytes() for name in (WEIGHTS, SPECIFICATION)}
    except msgspec.DecodeError as problem:
        raise _refused(folder, f"{MANIFEST} is not readable: {problem}.") from None
    except OSError as problem:
        raise _refused(folder, f"{problem.strerror}: {problem.filename}.") from None
    if _sealed(manifest) != manifest:
        raise _refused(folder, f"{MANIFEST} was altered.")
    if manifest.agent != agent:
        raise _refused(folder, f"it is a model of {manifest.agent}, not of {agent}.")
    for name, content in contents.items():
        if manifest.files.get(name) != hashlib.sha256(content).hexdigest():
            raise _refused(folder, f"{name} differs from its manifest.")
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    if present != manifest.files.keys():
        odd = ", ".join(sorted(present ^ manifest.files.keys()))
        raise _refused(folder, f"its files are not those of its manifest: {odd}.")
    return manifest, contents


def _check_specification(folder: Path, specification: Specification, agent: AgentId) -> None:
    problems = {
        "agent": specification.agent != agent,
        "architecture": specification.architecture not in ("classic", "residual"),
        "format_version": specification.format_version != 1,
        "outputs": specification.outputs != OUTPUTS[agent],
        "inputs": not specification.inputs or not set(specification.inputs) <= set(FEATURE_NAMES),
        "hidden_units": not 0 <= specification.hidden_units <= _MOST_HIDDEN_UNITS
        or (specification.hidden_units == 0) != (specification.architecture == "classic"),
        "seen": (seen := specification.seen) is not None
        and not len(seen.mean) == len(seen.deviation) == len(specification.inputs),
    }
    wrong = [name for name, is_wrong in problems.items() if is_wrong]
    if wrong:
        raise _refused(folder, f"{SPECIFICATION} has a wrong {wrong[0]}.")


def _check_tensors(folder: Path, expected: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    if odd := expected.keys() ^ found.keys():
        raise _refused(folder, f"its tensors are not those of its architecture: {min(odd)}.")
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            raise _refused(
                folder,
                f"tensor {name} is {tuple(tensor.shape)} {tensor.dtype}, "
                f"not {tuple(expected[name].shape)} {expected[name].dtype}.",
            )
        if not bool(torch.isfinite(tensor).all()):
            raise _refused(folder, f"tensor {name} is not finite.")


def _sealed(manifest: Manifest) -> Manifest:
    unsealed = msgspec.structs.replace(manifest, digest="")
    digest = hashlib.sha256(msgspec.json.encode(unsealed, order="sorted")).hexdigest()
    return msgspec.structs.replace(manifest, digest=digest)


def _readable(struct: msgspec.Struct) -> bytes:
    plain = json.loads(msgspec.json.encode(struct))
    return (json.dumps(plain, indent=2, sort_keys=True) + "\n").encode()


def _refused(folder: Path, why: str) -> ModelRefused:
    return ModelRefused(
        f"The model in {folder} is refused: {why}",
        kept="The model served before, if any, goes on being served.",
        next_step="Train or fetch the model again.",
    )
