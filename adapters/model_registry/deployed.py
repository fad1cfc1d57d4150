"""What this machine serves: model folders and pointers that need no registry to be read.

``<models>/<agent>/<version>/`` holds a version's verified files. ``<models>/<agent>/champion.json``
(and ``challenger.json``, ``previous.json``) is the `ModelVersion` that the alias stands for, as
canonical JSON, replaced in one step. With the registry down, a service still starts from them.
"""

from pathlib import Path

import msgspec

from adapters.files import write_atomically
from adapters.model_registry.manifest import same, verified
from adapters.model_registry.signing import ModelKeys
from domain.errors import ModelRefused
from domain.messages import encode
from domain.models import Alias, ModelVersion
from domain.ports.model_registry import ModelRegistry
from domain.ports.model_source import DeployedModel
from domain.settings import Settings
from domain.voting import AgentId


class DeployedModels:
    """The models below one folder.

    Parameters
    ----------
    folder
        One folder an agent is below it.
    keys
        What versions are signed with; by default those of the state folder around `folder`.
    """

    def __init__(self, folder: Path, keys: ModelKeys | None = None) -> None:
        self._folder = folder
        self._keys = keys or ModelKeys(folder.parent / "keys")

    @classmethod
    def of(cls, settings: Settings) -> "DeployedModels":
        """Return the models below the state folder."""
        return cls(settings.home / "models", ModelKeys.of(settings))

    def install(self, registry: ModelRegistry, version: ModelVersion) -> DeployedModel:
        """Bring a version's files here, without pointing at them."""
        return DeployedModel(registry.fetch(version, self._folder / version.agent_type), version)

    def point(self, alias: Alias, version: ModelVersion) -> DeployedModel:
        """Make `alias` stand for a version whose files are installed.

        Raises
        ------
        ModelRefused
            If the files are not here or are not the version's, or the signature is wrong.
        """
        folder = self._checked(version)
        write_atomically(self.pointer(version.agent_type, alias), encode(version))
        return DeployedModel(folder, version)

    def drop(self, agent: AgentId, alias: Alias) -> None:
        """Let `alias` stand for nothing; the files stay."""
        self.pointer(agent, alias).unlink(missing_ok=True)

    def current(self, agent: AgentId, alias: Alias = Alias.CHAMPION) -> DeployedModel | None:
        """Return what `alias` stands for, its files verified, or None.

        Raises
        ------
        ModelRefused
            If the pointer is malformed, names another agent's model, or is not signed by the
            registry; or if the files are not the version's.
        """
        path = self.pointer(agent, alias)
        try:
            version = msgspec.json.decode(path.read_bytes(), type=ModelVersion)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as problem:
            raise ModelRefused(
                f"{path} is malformed: {problem}.",
                kept="The model files are as they were.",
                next_step=f"`quorum promote {agent}` writes it again.",
            ) from None
        if version.agent_type is not agent:
            raise ModelRefused(
                f"{path} names a model of {version.agent_type}, not of {agent}.",
                kept="The model files are as they were.",
                next_step=f"`quorum promote {agent}` writes it again.",
            )
        return DeployedModel(self._checked(version), version)

    def pointer(self, agent: AgentId, alias: Alias = Alias.CHAMPION) -> Path:
        """Return the path of a pointer file."""
        return self._folder / agent / f"{alias}.json"

    def _checked(self, version: ModelVersion) -> Path:
        self._keys.check(version)
        folder = self._folder / version.agent_type / str(version.version)
        same(folder, verified(folder, version.agent_type), version.model_artifacts)
        return folder
