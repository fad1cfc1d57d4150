"""Validation: a candidate has to beat the incumbent at its own task, on days neither has seen."""

from typing import Any

import dagster as dg

from adapters.model_registry.deployed import DeployedModels
from assets.code_version import code_version
from assets.metadata import table
from assets.records import ModelFolder
from assets.trials import past_trials
from domain.ports.time_series import TimeSeriesStore
from domain.settings import Settings
from domain.voting import AgentId
from evaluation.gate import GateReport


def validation_metadata(found: GateReport) -> dict[str, dg.MetadataValue]:
    """Return the verdict with a table of its checks."""
    lines = [{f: getattr(c, f) for f in c.__struct_fields__} for c in found.checks]
    return {
        "accepted": dg.MetadataValue.bool(found.accepted),
        "reason": dg.MetadataValue.text(found.reason),
        "checks": table(lines),
    }


def _validation_asset(agent: AgentId) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, "validation"],
        ins={
            "trained": dg.AssetIn(key=[agent.value, "trained_model"]),
            # The whole is judged too: until there are champions, all four vote by their classics.
            **{str(a): dg.AssetIn(key=[a.value, "classic_model"]) for a in AgentId},
        },
        group_name="validation",
        owners=["team:research"],
        kinds={"python"},
        tags={"stage": "validation", "agent": agent.value},
        io_manager_key="files",
        code_version=code_version("assets.gate", "assets.whole", "evaluation", "agents.validation"),
        description="The gate's verdict on the trained model against the champion; at first "
        "the classic policy.",
    )
    def validation(
        trained: ModelFolder,
        market_analyst: ModelFolder,
        risk_manager: ModelFolder,
        portfolio_optimizer: ModelFolder,
        execution: ModelFolder,
        *,
        store: dg.ResourceParam[TimeSeriesStore],
        settings: dg.ResourceParam[Settings],
        deployed: dg.ResourceParam[DeployedModels],
        mlflow: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        from assets.gate import validate  # noqa: PLC0415 - imports torch
        from assets.whole import incumbents_of  # noqa: PLC0415

        folders = (market_analyst, risk_manager, portfolio_optimizer, execution)
        incumbents = incumbents_of(deployed, {folder.agent: folder for folder in folders})
        past = past_trials(mlflow, agent, trained.run_id)
        found = validate(agent, trained, incumbents, past, store=store, settings=settings)
        return dg.MaterializeResult(value=found, metadata=validation_metadata(found))

    return validation


validations = [_validation_asset(agent) for agent in AgentId]


def _gate_check(agent: AgentId) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey([agent.value, "validation"]),
        name="gate",
        description="The candidate passed every check; if not, the champion stays.",
    )
    def gate(found: GateReport) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=found.accepted,
            severity=dg.AssetCheckSeverity.WARN,
            description=found.reason,
            metadata=validation_metadata(found),
        )

    return gate


gates = [_gate_check(agent) for agent in AgentId]
