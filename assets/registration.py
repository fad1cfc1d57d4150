"""Registration: the classic policy becomes version 1 and champion; a candidate, challenger."""

from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import dagster as dg
from msgspec.structs import replace

from adapters.model_registry.deployed import DeployedModels
from assets.code_version import code_version
from assets.records import ModelFolder, Registration
from assets.succession import Mover, promote, reconcile, validated
from assets.trials import keep_card
from domain.models import Alias, ModelVersion
from domain.ports.model_registry import ModelRegistry
from domain.settings import Settings
from domain.voting import AgentId
from evaluation.gate import GateReport

#: What each agent's model is judged by.
TASKS = {
    AgentId.MARKET_ANALYST: "Gives the probability that a trade earns after costs.",
    AgentId.RISK_MANAGER: "Forecasts the variance of returns, and value at risk from it.",
    AgentId.PORTFOLIO_OPTIMIZER: "Chooses target weights that grow wealth after costs.",
    AgentId.EXECUTION: "Forecasts the next day's volume and range, and costs from them.",
}


#: What each agent's model must not be used for, or is known to be bad at.
LIMITS = {
    AgentId.MARKET_ANALYST: (
        "Whether a trade earns in five days is a coin flip, nearly: its chances stay near a half.",
    ),
    AgentId.RISK_MANAGER: ("Its value at risk is of one day and one symbol, from a normal law.",),
    AgentId.PORTFOLIO_OPTIMIZER: ("It chooses among the symbols that it learned from.",),
    AgentId.EXECUTION: ("It knows daily volume, not its course within the day.",),
}


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
    registry: ModelRegistry,
    deployed: DeployedModels,
    classic: ModelFolder,
    occurred_at: datetime | None = None,
) -> ModelVersion:
    """Return the champion; an agent that has none gets its classic policy as version 1."""
    champion = registry.version(classic.agent, Alias.CHAMPION)
    if champion is None:
        first = registry.version(classic.agent, 1) or register(registry, classic)
        evidence = first.model_artifacts["manifest.json"]
        by = Mover("registration", "The first version.", evidence, occurred_at)
        promote(registry, deployed, first, expected=None, by=by)
        champion = registry.version(classic.agent, Alias.CHAMPION) or first
    reconcile(registry, deployed, classic.agent)
    return champion


def challenge(
    registry: ModelRegistry,
    candidate: ModelFolder,
    champion: ModelVersion,
    verdict: GateReport,
    settings: Settings,
    *,
    occurred_at: datetime | None = None,
) -> dg.MaterializeResult:
    """Register a candidate, record that the gate accepted it where it did, write its card."""
    version = register(registry, candidate, champion.version)
    if version.version != champion.version and verdict.accepted:
        evidence = sha256(verdict.to_json()).hexdigest()
        by = Mover("gate", verdict.reason, evidence, occurred_at)
        validated(registry, version, by, settings.promotion)
    cards = settings.home / "model_cards"
    card = _write_card(version, candidate, verdict, cards)
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
            "card": dg.MetadataValue.path(card),
            "files": version.model_artifacts,
            "data_version": version.data_version,
            "mlflow_run": version.run_id,
        },
    )


def _write_card(
    version: ModelVersion, candidate: ModelFolder, verdict: GateReport, cards: Path
) -> Path:
    from evaluation.model_card import ModelCard, write_card  # noqa: PLC0415 - imports plotly

    card = ModelCard(
        model=version,
        gate=replace(verdict, candidate=version.label),
        task=TASKS[version.agent_type],
        training={
            "kind": candidate.kind,
            "data before": candidate.until,
            "MLflow run": candidate.run_id,
            "replay buffer": f"{candidate.experiences} transitions beside history",
        },
        limits=LIMITS[version.agent_type],
    )
    return write_card(card, cards / version.agent_type / str(version.version))[0]


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
        *,
        settings: dg.ResourceParam[Settings],
        registry: dg.ResourceParam[ModelRegistry],
        deployed: dg.ResourceParam[DeployedModels],
        mlflow: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        champion = ensure_champion(registry, deployed, classic)
        made = challenge(registry, trained, champion, verdict, settings)
        keep_card(mlflow, trained.run_id, made)
        return made

    return registration


registrations = [_registration_asset(agent) for agent in AgentId]
