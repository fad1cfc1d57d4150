"""Where model versions are kept, and which one is champion."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from domain.model_life import ModelLife, ModelMove
from domain.models import Alias, ModelVersion
from domain.voting import AgentId


class ModelRegistry(Protocol):
    """Versions per agent, their moves, and the aliases that follow from the moves."""

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
        """Keep the files under `artifacts` as the agent's next version, and sign it.

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
        """Copy a version's files to a folder below `into`, verified, and return the folder.

        Raises
        ------
        domain.errors.ModelRefused
            If its signature is wrong, or the files are not those that were registered.
        """
        ...

    def moves(self, agent: AgentId) -> Sequence[ModelMove]:
        """Return every move that the agent's versions made, in order."""
        ...

    def record(self, move: ModelMove) -> ModelLife:
        """Append a move, and let the aliases follow; returns the state after it.

        This is the compare-and-set: of all who say what comes next, one is right.

        Raises
        ------
        domain.errors.IllegalMove
            If another move came first, or the version can't go there.
        domain.errors.ModelRefused
            If there is no such version.
        """
        ...
