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
from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.voting import AgentId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryModelRegistry:
    """Keeps versions for the life of the object, their files in a temporary folder."""

    def __init__(self) -> None:
        self._versions: dict[AgentId, list[ModelVersion]] = {}
        self._aliases: dict[tuple[AgentId, Alias], int] = {}
        self._lock = Lock()
        self._folder = Path(mkdtemp(prefix="quorum-models-"))

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
            known.append(version)
            return version

    def version(self, agent: AgentId, which: Alias | int) -> ModelVersion | None:
        """Return a version by alias or number, or None."""
        number = self._aliases.get((agent, which)) if isinstance(which, Alias) else which
        return next((v for v in self.versions(agent) if v.version == number), None)

    def versions(self, agent: AgentId) -> Sequence[ModelVersion]:
        """Return all versions of an agent, oldest first."""
        return tuple(self._versions.get(agent, ()))

    def fetch(self, version: ModelVersion, into: Path) -> Path:
        """Copy a version's verified files below `into`; see `domain.ports.model_registry`."""
        if self.version(version.agent_type, version.version) is None:
            raise unknown(version.agent_type, version.version)
        return install(version, into, lambda folder: _copy(self._kept(version), folder))

    def set_alias(
        self, agent: AgentId, alias: Alias, version: int | None, *, expected: int | None
    ) -> bool:
        """Move an alias if it still points at `expected`; returns whether it moved."""
        if version is not None and self.version(agent, version) is None:
            raise unknown(agent, version)
        with self._lock:
            if self._aliases.get((agent, alias)) != expected:
                return False
            if version is None:
                self._aliases.pop((agent, alias), None)
            else:
                self._aliases[agent, alias] = version
            return True

    def set_status(self, agent: AgentId, version: int, status: DeploymentStatus) -> None:
        """Record where a version stands."""
        with self._lock:
            known = self._versions.get(agent, [])
            for place, candidate in enumerate(known):
                if candidate.version == version:
                    known[place] = msgspec.structs.replace(candidate, deployment_status=status)
                    return
        raise unknown(agent, version)

    def _kept(self, version: ModelVersion) -> Path:
        return self._folder / version.agent_type / str(version.version)


def _copy(source: Path, folder: Path) -> Path:
    return shutil.copytree(source, folder, dirs_exist_ok=True)
