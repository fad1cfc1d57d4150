"""Where model versions are kept, and which one is champion."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.voting import AgentId


class ModelRegistry(Protocol):
    """Versions per agent, and aliases that point at them."""

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
        """Keep the files under `artifacts` as the agent's next version.

        Raises
        ------
        domain.errors.ModelRefused
            If the folder lacks the manifest or a file differs from it.
        """
        ...

    def version(self, agent: AgentId, which: Alias | int) -> ModelVersion | None:
        """Return a version by alias or number, or None."""
        ...

    def versions(self, agent: AgentId) -> Sequence[ModelVersion]:
        """Return all versions of an agent, oldest first."""
        ...

    def fetch(self, version: ModelVersion, into: Path) -> Path:
        """Copy a version's files to a folder below `into`, verified, and return the folder."""
        ...

    def set_alias(
        self, agent: AgentId, alias: Alias, version: int | None, *, expected: int | None
    ) -> bool:
        """Move an alias if it still points at `expected`; returns whether it moved."""
        ...

    def set_status(self, agent: AgentId, version: int, status: DeploymentStatus) -> None:
        """Record where a version stands."""
        ...
