"""The model registry on MLflow, by its client API only; nothing is ever pickled.

A version's files are artefacts of the run that trained it. What MLflow has no field for
(hashes, lineage, signature) are tags of the version; moves are tags of the registered model, each
naming the hash of the one before. Aliases follow from the moves, so they can't contradict them.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from warnings import catch_warnings, simplefilter

os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
# A server that is away is told of within a minute; MLflow's own default is more than ten.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

import msgspec
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion as MlflowVersion
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.orm import configure_mappers

from adapters.model_registry.alias_lock import alias_lock
from adapters.model_registry.availability import asked
from adapters.model_registry.files import install, unknown
from adapters.model_registry.manifest import as_json, verified
from adapters.model_registry.signing import ModelKeys
from domain.messages import encode
from domain.model_life import ModelLife, ModelMove, apply, fold
from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.voting import AgentId

_EXPERIMENT = "quorum-registry"
#: Tags: of a registered model, before each move's number; of a version, its signature and status.
_MOVE, _SIGNATURE, _STATUS = "move.", "signature", "status"


class MlflowModelRegistry:
    """Versions in an MLflow server or database.

    Parameters
    ----------
    tracking_uri
        MLflow's tracking and registry URI.
    artifacts
        Where a database without a server keeps the files; MLflow's own default would be the
        working directory.
    locks
        Folder of the lock files.
    ledger_url
        PostgreSQL whose advisory locks guard moves between machines; may be empty.
    keys
        What versions are signed with.
    """

    def __init__(
        self,
        tracking_uri: str,
        *,
        artifacts: Path,
        locks: Path,
        keys: ModelKeys,
        ledger_url: str = "",
    ) -> None:
        self._uri = tracking_uri
        self._artifacts = artifacts
        self._locks = locks
        self._ledger_url = ledger_url
        self._keys = keys
        self._client = mlflow_client(tracking_uri)

    @asked
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
        with self._lock(agent):
            known = self.versions(agent)
            if found := next((v for v in known if v.model_artifacts == files), None):
                return found if found.signature else self._sign(found)
            name = _name(agent)
            if not known and not self._has(agent):
                self._client.create_registered_model(name)
            run = run_id or self._own_run(agent)
            place = f"model/{files['manifest.json'][:8]}"
            self._client.log_artifacts(run, str(artifacts), place)
            created = self._client.create_model_version(
                name,
                source=f"runs:/{run}/{place}",
                run_id=run,
                tags={
                    "files": as_json(files),
                    "metrics": as_json(dict(metrics)),
                    "data_version": data_version,
                    "code_version": code_version,
                    "parent_version": str(parent_version or ""),
                    _STATUS: DeploymentStatus.REGISTERED,
                },
            )
            signed = self._sign(_version(created, ModelLife(agent)))
            self._follow(fold(agent, self.moves(agent)))
            return signed

    @asked
    def version(self, agent: AgentId, which: Alias | int) -> ModelVersion | None:
        """Return a version by alias or number, or None."""
        known = self.versions(agent)
        number = which
        if isinstance(which, Alias):
            life = fold(agent, self.moves(agent))
            number = life.alias(which, [v.version for v in known])
        return next((v for v in known if v.version == number), None)

    @asked
    def versions(self, agent: AgentId) -> Sequence[ModelVersion]:
        """Return all versions of an agent, oldest first."""
        life = fold(agent, self.moves(agent))
        return sorted((_version(v, life) for v in self._found(agent)), key=lambda v: v.version)

    def _found(self, agent: AgentId) -> list[MlflowVersion]:
        found: list[MlflowVersion] = []
        token: str | None = None
        while True:
            page = self._client.search_model_versions(
                f"name = '{_name(agent)}'", max_results=1000, page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found

    @asked
    def fetch(self, version: ModelVersion, into: Path) -> Path:
        """Copy a version's verified files below `into`; see `domain.ports.model_registry`."""
        agent = version.agent_type
        self._keys.check(version)
        if self.version(agent, version.version) is None:
            raise unknown(agent, version.version)
        source = self._client.get_model_version(_name(agent), str(version.version)).source

        def copy(folder: Path) -> Path:
            folder.mkdir()
            return Path(
                download_artifacts(
                    artifact_uri=source, dst_path=str(folder), tracking_uri=self._uri
                )
            )

        return install(version, into, copy)

    @asked
    def moves(self, agent: AgentId) -> Sequence[ModelMove]:
        """Return every move that the agent's versions made, in order."""
        tags = self._model(agent).tags if self._has(agent) else {}
        kept = sorted(name for name in tags if name.startswith(_MOVE))
        return tuple(msgspec.json.decode(tags[name], type=ModelMove) for name in kept)

    @asked
    def record(self, move: ModelMove) -> ModelLife:
        """Append a move if it is the next one; see `domain.ports.model_registry`.

        MLflow's aliases and status tags follow what is recorded; where a death left them behind,
        the next move brings them up.
        """
        agent = move.agent
        if self.version(agent, move.version) is None:
            raise unknown(agent, move.version)
        with self._lock(agent):
            life = apply(fold(agent, self.moves(agent)), move)
            self._client.set_registered_model_tag(
                _name(agent), f"{_MOVE}{move.sequence:06}", encode(move).decode()
            )
            self._follow(life)
            return life

    def _follow(self, life: ModelLife) -> None:
        """Bring MLflow's aliases and status tags to what the moves say."""
        name, found = _name(life.agent), self._found(life.agent)
        shown = self._model(life.agent).aliases
        for alias in Alias:
            number = life.alias(alias, [int(v.version) for v in found])
            if number is None and alias in shown:
                self._client.delete_registered_model_alias(name, alias)
            elif number is not None and str(number) != str(shown.get(alias)):
                self._client.set_registered_model_alias(name, alias, str(number))
        for version in found:
            status = life.of(int(version.version)).status
            if version.tags.get(_STATUS) != status:
                self._client.set_model_version_tag(name, version.version, _STATUS, status)

    def _has(self, agent: AgentId) -> bool:
        return bool(self._client.search_registered_models(f"name = '{_name(agent)}'"))

    def _model(self, agent: AgentId) -> RegisteredModel:
        return self._client.get_registered_model(_name(agent))

    def _sign(self, version: ModelVersion) -> ModelVersion:
        signed = self._keys.sign(version)
        self._client.set_model_version_tag(
            version.model_id, str(version.version), _SIGNATURE, signed.signature
        )
        return signed

    def _lock(self, agent: AgentId):  # noqa: ANN202 - contextlib's own type is private
        return alias_lock(_name(agent), self._locks, self._ledger_url)

    def _own_run(self, agent: AgentId) -> str:
        """Return a finished run for files that no training run brought."""
        experiment = experiment_id(self._client, _EXPERIMENT, self._uri, self._artifacts)
        run = self._client.create_run(experiment, run_name=f"register {agent}")
        self._client.set_terminated(run.info.run_id)
        return run.info.run_id


def mlflow_client(uri: str) -> MlflowClient:
    """Return a client of an MLflow server or database."""
    if not uri.startswith("http"):
        _map_tables()
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _map_tables() -> None:
    """Let SQLAlchemy map MLflow's tables without the warnings that MLflow's use of it causes."""
    with catch_warnings():
        simplefilter("ignore")
        import_module("mlflow.store.tracking.dbmodels.models")
        import_module("mlflow.store.model_registry.dbmodels.models")
        configure_mappers()


def experiment_id(client: MlflowClient, name: str, uri: str, artifacts: Path) -> str:
    """Return the id of an experiment, made if it is not there, with its files where they belong."""
    if found := client.get_experiment_by_name(name):
        return found.experiment_id
    location = None if uri.startswith("http") else (artifacts / name).as_uri()
    try:
        return client.create_experiment(name, artifact_location=location)
    except MlflowException:  # another process made it first
        if found := client.get_experiment_by_name(name):
            return found.experiment_id
        raise


def _name(agent: AgentId) -> str:
    return f"quorum-{agent}"


def _version(found: MlflowVersion, life: ModelLife) -> ModelVersion:
    tags = found.tags
    return ModelVersion(
        model_id=found.name,
        version=int(found.version),
        agent_type=life.agent,
        performance_metrics=msgspec.json.decode(tags["metrics"], type=dict[str, float]),
        deployment_status=life.of(int(found.version)).status,
        created_at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        model_artifacts=msgspec.json.decode(tags["files"], type=dict[str, str]),
        run_id=found.run_id or "",
        data_version=tags["data_version"],
        code_version=tags["code_version"],
        parent_version=int(tags["parent_version"]) if tags.get("parent_version") else None,
        signature=tags.get(_SIGNATURE, ""),
    )
