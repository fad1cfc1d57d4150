"""Registration: the classic policy becomes version 1 and champion; a candidate, challenger."""

from pathlib import Path

import dagster as dg

from adapters.model_registry.deployed import DeployedModels
from assets.code_version import code_version
from assets.records import ModelFolder, Registration
from assets.succession import point, promote, reconcile
from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.ports.model_registry import ModelRegistry
from domain.voting import AgentId
from evaluation.gate import GateReport


def register(
    registry: ModelRegistry, model: ModelFolder, parent: int | None = None
) -> ModelVersion:
    """Register a model as training left it; the same files are the same version again."""
    return registry.register(
        model.agent,
        Path(model.folder),
        metrics=model.metrics,
        run_id=model.run_id,
        data_version=model.data_version,
        code_version=model.code_version,
        parent_version=parent,
    )


def ensure_champion(
    registry: ModelRegistry, deployed: DeployedModels, classic: ModelFolder
) -> ModelVersion:
    """Return the champion; an agent that has none gets its classic policy as version 1."""
    champion = registry.version(classic.agent, Alias.CHAMPION)
    if champion is None:
        first = registry.version(classic.agent, 1) or register(registry, classic)
        promote(registry, deployed, first, expected=None, reason="The first version.")
        champion = registry.version(classic.agent, Alias.CHAMPION) or first
    reconcile(registry, deployed, classic.agent)
    return champion


def challenge(
    registry: ModelRegistry, candidate: ModelFolder, champion: ModelVersion, verdict: GateReport
) -> dg.MaterializeResult:
    """Register a candidate and make it challenger, unless it is champion already."""
    version = register(registry, candidate, champion.version)
    if version.version != champion.version:
        accepted, registered = DeploymentStatus.VALIDATED, DeploymentStatus.REGISTERED
        status = accepted if verdict.accepted else registered
        registry.set_status(version.agent_type, version.version, status)
        point(registry, version.agent_type, Alias.CHALLENGER, version.version)
    record = Registration(
        agent=version.agent_type,
        version=version.version,
        label=version.label,
        champion=champion.version,
        champion_label=champion.label,
        until=candidate.until,
        verdict=verdict,
    )
    return dg.MaterializeResult(
        value=record,
        data_version=dg.DataVersion(version.label),
        metadata={
            "version": version.version,
            "label": version.label,
            "champion": champion.label,
            "files": version.model_artifacts,
            "data_version": version.data_version,
            "mlflow_run": version.run_id,
        },
    )


def _registration_asset(agent: AgentId) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, "registration"],
        ins={
            "classic": dg.AssetIn(key=[agent.value, "classic_model"]),
            "trained": dg.AssetIn(key=[agent.value, "trained_model"]),
            "verdict": dg.AssetIn(key=[agent.value, "validation"]),
        },
        group_name="registration",
        owners=["team:platform"],
        kinds={"mlflow"},
        tags={"stage": "registration", "agent": agent.value},
        io_manager_key="files",
        code_version=code_version("assets.registration"),
        description="The trained model as a version in MLflow, alias challenger.",
    )
    def registration(
        classic: ModelFolder,
        trained: ModelFolder,
        verdict: GateReport,
        registry: dg.ResourceParam[ModelRegistry],
        deployed: dg.ResourceParam[DeployedModels],
    ) -> dg.MaterializeResult:
        champion = ensure_champion(registry, deployed, classic)
        return challenge(registry, trained, champion, verdict)

    return registration


registrations = [_registration_asset(agent) for agent in AgentId]
