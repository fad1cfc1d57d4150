"""What this machine serves: model folders, pointers and moves that need no registry to be read.

``<models>/<agent>/<version>/`` holds a version's verified files, ``<version>.json`` beside it the
signed `ModelVersion`. ``moves.jsonl`` is the agent's history as far as this machine knows it, and
``champion.json`` (``challenger.json``, ``previous.json``) what an alias stands for: canonical
JSON, each replaced in one step. With the registry, the record and everything else down, a service
still starts from them, and still rolls back.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from adapters.files import write_atomically
from adapters.locks import owned_lock
from adapters.model_registry.manifest import same, verified
from adapters.model_registry.signing import ModelKeys
from domain.errors import ModelRefused
from domain.messages import encode
from domain.model_life import ModelLife, ModelMove, apply, fold, next_move
from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.ports.model_registry import ModelRegistry
from domain.ports.model_source import DeployedModel
from domain.settings import Settings
from domain.voting import AgentId

_PATIENCE_SECONDS = 5.0
_MOVES = msgspec.json.Decoder(ModelMove)


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
        folder = registry.fetch(version, self._folder / version.agent_type)
        write_atomically(self._signed(version.agent_type, version.version), encode(version))
        return DeployedModel(folder, version)

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
        return self._read(agent, path) if path.exists() else None

    def version(self, agent: AgentId, number: int) -> DeployedModel:
        """Return an installed version, its files verified.

        Raises
        ------
        ModelRefused
            If it was never installed here, and as `current`.
        """
        return self._read(agent, self._signed(agent, number))

    def pointer(self, agent: AgentId, alias: Alias = Alias.CHAMPION) -> Path:
        """Return the path of a pointer file."""
        return self._folder / agent / f"{alias}.json"

    def moves(self, agent: AgentId) -> Sequence[ModelMove]:
        """Return the moves that this machine knows of.

        Raises
        ------
        ModelRefused
            If their file is malformed.
        """
        path = self._history(agent)
        try:
            return tuple(_MOVES.decode(line) for line in path.read_bytes().splitlines())
        except FileNotFoundError:
            return ()
        except msgspec.DecodeError as problem:
            raise _malformed(agent, path, problem) from None

    def follow(self, agent: AgentId, moves: Sequence[ModelMove]) -> ModelLife:
        """Take `moves` for the agent's history, and let the pointers follow.

        The history is replaced first: where this ends half-way, the next call completes it.
        """
        life = fold(agent, moves)
        write_atomically(self._history(agent), b"".join(encode(move) + b"\n" for move in moves))
        self._repoint(life)
        return life

    def take_back(
        self,
        agent: AgentId,
        version: int,
        *,
        actor: str,
        reason: str,
        evidence: str,
        occurred_at: datetime,
    ) -> ModelMove | None:
        """Roll a live version back, or abort one on trial; None if it is neither any more.

        Everything it needs is on this machine; the registry hears of it when it is next asked.

        Raises
        ------
        domain.errors.IllegalMove
            If there is no version to fall back to.
        """
        with self.settled(agent) as life:
            if version not in {life.live, life.on_trial}:
                return None
            live = version == life.live
            move = next_move(
                life,
                version,
                life.after_rollback(version) if live else DeploymentStatus.ABORTED,
                actor=actor,
                reason=reason,
                evidence=evidence,
                occurred_at=occurred_at,
            )
            apply(life, move)
            self.follow(agent, [*self.moves(agent), move])
            return move

    def life(self, agent: AgentId) -> ModelLife:
        """Return where the agent's versions stand, as far as this machine knows."""
        return fold(agent, self.moves(agent))

    @contextmanager
    def settled(self, agent: AgentId) -> Iterator[ModelLife]:
        """Hold the agent's local history, its pointers completed if a death left them behind."""
        with owned_lock(
            self._folder / agent / ".moves.lock",
            patience_seconds=_PATIENCE_SECONDS,
            purpose=f"moving models of {agent}",
        ):
            life = self.life(agent)
            if life.sequence:
                self._repoint(life)
            yield life

    def _repoint(self, life: ModelLife) -> None:
        for alias in (Alias.CHAMPION, Alias.PREVIOUS, Alias.CHALLENGER):  # what is served first
            number = life.alias(alias)
            if number is None:
                self.drop(life.agent, alias)
            elif not self._names(life.agent, alias, number):
                self.point(alias, self.version(life.agent, number).version)

    def _names(self, agent: AgentId, alias: Alias, number: int) -> bool:
        """Whether a pointer names a version already; whether its files are good is not asked."""
        try:
            return (
                self.pointer(agent, alias).read_bytes() == self._signed(agent, number).read_bytes()
            )
        except FileNotFoundError:
            return False

    def _read(self, agent: AgentId, path: Path) -> DeployedModel:
        try:
            version = msgspec.json.decode(path.read_bytes(), type=ModelVersion)
        except FileNotFoundError:
            raise ModelRefused(
                f"{agent} has no installed version {path.stem}.",
                next_step=f"`quorum promote {agent}` installs it.",
            ) from None
        except msgspec.DecodeError as problem:
            raise _malformed(agent, path, problem) from None
        if version.agent_type is not agent:
            raise ModelRefused(
                f"{path} names a model of {version.agent_type}, not of {agent}.",
                kept="The model files are as they were.",
                next_step=f"`quorum promote {agent}` writes it again.",
            )
        return DeployedModel(self._checked(version), version)

    def _checked(self, version: ModelVersion) -> Path:
        self._keys.check(version)
        folder = self._folder / version.agent_type / str(version.version)
        same(folder, verified(folder, version.agent_type), version.model_artifacts)
        return folder

    def _signed(self, agent: AgentId, number: int) -> Path:
        return self._folder / agent / f"{number}.json"

    def _history(self, agent: AgentId) -> Path:
        return self._folder / agent / "moves.jsonl"


def _malformed(agent: AgentId, path: Path, problem: Exception) -> ModelRefused:
    return ModelRefused(
        f"{path} is malformed: {problem}.",
        kept="The model files are as they were.",
        next_step=f"`quorum promote {agent}` writes it again.",
    )
