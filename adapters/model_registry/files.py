"""Bringing a version's files to a folder: verified first, visible last."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from adapters.model_registry.manifest import same, verified
from domain.errors import ModelRefused
from domain.models import ModelVersion
from domain.voting import AgentId


def install(version: ModelVersion, into: Path, copy: Callable[[Path], Path]) -> Path:
    """Return ``into/<version>`` holding the version's files, verified against its hashes.

    Parameters
    ----------
    copy
        Puts the files below the folder it is given and returns the folder that holds them.

    Raises
    ------
    ModelRefused
        If the files are not those that were registered; nothing is left behind.
    """
    target = into / str(version.version)
    if target.is_dir():
        same(target, verified(target, version.agent_type), version.model_artifacts)
        return target
    into.mkdir(parents=True, exist_ok=True)
    work = Path(mkdtemp(prefix=".fetch-", dir=into))
    try:
        folder = copy(work / "files")
        same(folder, verified(folder, version.agent_type), version.model_artifacts)
        folder.rename(target)
    except FileExistsError:  # somebody else installed the same version meanwhile
        same(target, verified(target, version.agent_type), version.model_artifacts)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def unknown(agent: AgentId, version: int) -> ModelRefused:
    """Return the error for a version that the registry doesn't have."""
    return ModelRefused(
        f"The registry has no version {version} of {agent}.",
        next_step="`quorum models` lists the versions there are.",
    )
