"""The manifest of a model folder: which agent's it is, and the SHA-256 of every file in it."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from domain.errors import ModelRefused
from domain.voting import AgentId

MANIFEST = "manifest.json"


class Manifest(msgspec.Struct, frozen=True):
    """What the registry needs of ``manifest.json``; it may say more."""

    agent: str
    files: dict[str, str]


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    return sha256(path.read_bytes()).hexdigest()


def verified(folder: Path, agent: AgentId) -> dict[str, str]:
    """Return file name → SHA-256 of a model folder, its manifest included.

    Raises
    ------
    ModelRefused
        If the manifest is missing, names another agent, or differs from the files.
    """
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
        manifest = msgspec.json.decode(data, type=Manifest)
    except FileNotFoundError:
        raise _refused(folder, f"it has no {MANIFEST}") from None
    except msgspec.DecodeError as problem:
        raise _refused(folder, f"its {MANIFEST} is malformed: {problem}") from None
    if manifest.agent != agent:
        raise _refused(folder, f"it is a model of {manifest.agent}, not of {agent}")
    found = {entry.name: hash_of(entry) for entry in folder.iterdir() if entry.name != MANIFEST}
    same(folder, found, manifest.files)
    return {**found, MANIFEST: sha256(data).hexdigest()}


def same(folder: Path, found: Mapping[str, str], promised: Mapping[str, str]) -> None:
    """Refuse (`ModelRefused`) a folder whose file hashes are not those promised."""
    if missing := sorted(promised.keys() - found.keys()):
        raise _refused(folder, f"{', '.join(missing)} is missing")
    if extra := sorted(found.keys() - promised.keys()):
        raise _refused(folder, f"{', '.join(extra)} is not in the manifest")
    if altered := sorted(name for name in found if found[name] != promised[name]):
        raise _refused(folder, f"{', '.join(altered)} was altered")


def as_json(value: Any) -> str:  # noqa: ANN401 - whatever msgspec can encode
    """Return compact JSON with sorted keys."""
    return msgspec.json.encode(value, order="sorted").decode()


def _refused(folder: Path, what: str) -> ModelRefused:
    return ModelRefused(
        f"The model in {folder} is refused: {what}.",
        kept="The versions that are registered and served are as they were.",
        next_step="Train it again, or fetch it from the registry again.",
    )
