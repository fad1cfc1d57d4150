"""A model registry in memory, for tests and simulations."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock

import msgspec

from adapters.model_registry.files import install, unknown
from adapters.model_registry.manifest import verified
from adapters.model_registry.signing import ModelKeys
from domain.model_life import ModelLife, ModelMove, apply, fold
from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.voting import AgentId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryModelRegistry:
    """Keeps versions for the life of the object, their files in a folder.

    Parameters
    ----------
    keys
        What versions are signed with; keys of its own by default.
    folder
        Where their files are kept; a new temporary folder by default.
    """

    def __init__(self, keys: ModelKeys | None = None, folder: Path | None = None) -> None:
        self._versions: dict[AgentId, list[ModelVersion]] = {}
        self._moves: dict[AgentId, list[ModelMove]] = {}
        self._lock = Lock()
        self._folder = folder or Path(mkdtemp(prefix="quorum-models-"))
        self._keys = keys or ModelKeys(self._folder / "keys")

    def register(
        self,
        agent: AgentId,
        artifacts: Path,
        *,
        metrics: Mapping[str, float],
        run_id: str,
        data_version: str,
        code_version: str,
        parent_version: int | None = None,
    ) -> ModelVersion:
        """Keep the files as the next version; see `domain.ports.model_registry`."""
        files = verified(artifacts, agent)
        with self._lock:
            known = self._versions.setdefault(agent, [])
            if found := next((v for v in known if v.model_artifacts == files), None):
                return found
            version = ModelVersion(
                model_id=f"quorum-{agent}",
                version=len(known) + 1,
                agent_type=agent,
                performance_metrics=dict(metrics),
                deployment_status=DeploymentStatus.REGISTERED,
                created_at=_EPOCH,
                model_artifacts=files,
                run_id=run_id,
                data_version=data_version,
                code_version=code_version,
                parent_version=parent_version,
            )
            shutil.copytree(artifacts, self._kept(version))
            known.append(self._keys.sign(version))
            return known[-1]

    def version(self, agent: AgentId, which: Alias | int) -> ModelVersion | None:
        """Return a version by alias or number, or None."""
        known = self.versions(agent)
        number = which
        if isinstance(which, Alias):
            number = self._life(agent).alias(which, [v.version for v in known])
        return next((v for v in known if v.version == number), None)

    def versions(self, agent: AgentId) -> Sequence[ModelVersion]:
        """Return all versions of an agent, oldest first."""
        life = self._life(agent)
        return tuple(
            msgspec.structs.replace(version, deployment_status=life.of(version.version).status)
            for version in self._versions.get(agent, ())
        )

    def fetch(self, version: ModelVersion, into: Path) -> Path:
        """Copy a version's verified files below `into`; see `domain.ports.model_registry`."""
        self._keys.check(version)
        if self.version(version.agent_type, version.version) is None:
            raise unknown(version.agent_type, version.version)
        return install(version, into, lambda folder: _copy(self._kept(version), folder))

    def moves(self, agent: AgentId) -> Sequence[ModelMove]:
        """Return every move that the agent's versions made, in order."""
        return tuple(self._moves.get(agent, ()))

    def record(self, move: ModelMove) -> ModelLife:
        """Append a move if it is the next one; see `domain.ports.model_registry`."""
        if self.version(move.agent, move.version) is None:
            raise unknown(move.agent, move.version)
        with self._lock:
            life = apply(self._life(move.agent), move)
            self._moves.setdefault(move.agent, []).append(move)
            return life

    def _life(self, agent: AgentId) -> ModelLife:
        return fold(agent, self.moves(agent))

    def _kept(self, version: ModelVersion) -> Path:
        return self._folder / version.agent_type / str(version.version)


def _copy(source: Path, folder: Path) -> Path:
    return shutil.copytree(source, folder, dirs_exist_ok=True)
