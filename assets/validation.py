"""Validation: a candidate has to beat the incumbent at its own task, on days neither has seen."""

from pathlib import Path

import dagster as dg

from adapters.model_registry.deployed import DeployedModels
from assets.code_version import code_version
from assets.metadata import table
from assets.records import ModelFolder
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
            "classic": dg.AssetIn(key=[agent.value, "classic_model"]),
            "trained": dg.AssetIn(key=[agent.value, "trained_model"]),
        },
        group_name="validation",
        owners=["team:research"],
        kinds={"python"},
        tags={"stage": "validation", "agent": agent.value},
        io_manager_key="files",
        code_version=code_version("assets.gate", "evaluation", "agents.validation"),
        description="The gate's verdict on the trained model against the champion; at first "
        "the classic policy.",
    )
    def validation(
        classic: ModelFolder,
        trained: ModelFolder,
        store: dg.ResourceParam[TimeSeriesStore],
        settings: dg.ResourceParam[Settings],
        deployed: dg.ResourceParam[DeployedModels],
    ) -> dg.MaterializeResult:
        from assets.gate import validate  # noqa: PLC0415 - imports torch

        champion = deployed.current(agent)
        incumbent = Path(classic.folder) if champion is None else champion.folder
        name = f"{agent} classic" if champion is None else champion.version.label
        found = validate(agent, trained, incumbent, name, store=store, settings=settings)
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
