"""Where an agent finds the model it serves."""

from pathlib import Path
from typing import NamedTuple, Protocol

from domain.models import ModelVersion
from domain.voting import AgentId


class DeployedModel(NamedTuple):
    """A model's folder on this machine, and which version it holds."""

    folder: Path
    version: ModelVersion


class ModelSource(Protocol):
    """Knows which version of an agent's model is to be served now."""

    def current(self, agent: AgentId) -> DeployedModel:
        """Return the model that `agent` is to serve.

        Raises
        ------
        domain.errors.ModelRefused
            If none is deployed, or the pointer names one that isn't there.
        """
        ...

    def changed(self, agent: AgentId, label: str) -> bool:
        """Tell, cheaply enough to ask before every vote, whether `label` is no longer current."""
        ...
