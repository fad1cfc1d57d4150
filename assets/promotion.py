"""Promotion: the champion alias moves if the gate allows it, and what is deployed is checked."""

from hashlib import sha256

import dagster as dg

from adapters.model_registry.deployed import DeployedModels
from assets.code_version import code_version
from assets.records import Promotion, Registration
from assets.succession import (
    Mover,
    disagreement,
    promote,
    reconcile,
    refuse,
    roll_back_unserved,
    wait,
)
from domain.errors import ModelRefused
from domain.models import ModelVersion
from domain.ports.model_registry import ModelRegistry
from domain.settings import Settings
from domain.voting import AgentId


def registered(registry: ModelRegistry, record: Registration) -> ModelVersion:
    """Return the version that a registration made.

    Raises
    ------
    ModelRefused
        If the registry no longer has it.
    """
    version = registry.version(record.agent, record.version)
    if version is None:
        raise ModelRefused(
            f"{record.label} is not in the registry.",
            next_step="Materialize its registration again.",
        )
    return version


def promotion_result(found: Promotion) -> dg.MaterializeResult:
    """Return the record of a promotion or refusal."""
    return dg.MaterializeResult(
        value=found,
        data_version=dg.DataVersion(found.champion),
        metadata={
            "promoted": found.promoted,
            "reason": found.reason,
            "candidate": found.candidate,
            "champion": found.champion,
            "previous": found.previous,
        },
    )


def deployment_check(key: dg.AssetKey, agent: AgentId) -> dg.AssetChecksDefinition:
    """Return the check that what is deployed is the registry's champion, byte for byte."""

    @dg.asset_check(
        asset=key,
        name="deployed_as_claimed",
        blocking=True,
        description="Registry, pointer, files and the running service agree on version and "
        "weights; where they don't, the version before is served again.",
    )
    def deployed_as_claimed(
        settings: dg.ResourceParam[Settings],
        registry: dg.ResourceParam[ModelRegistry],
        deployed: dg.ResourceParam[DeployedModels],
    ) -> dg.AssetCheckResult:
        found = disagreement(registry, deployed, agent, settings)
        if found:
            roll_back_unserved(registry, deployed, agent, found)
        return dg.AssetCheckResult(passed=not found, description=found or "They agree.")

    return deployed_as_claimed


def _promotion_asset(agent: AgentId) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, "promotion"],
        ins={"record": dg.AssetIn(key=[agent.value, "registration"])},
        group_name="promotion",
        owners=["team:platform"],
        kinds={"mlflow"},
        tags={"stage": "promotion", "agent": agent.value},
        io_manager_key="files",
        code_version=code_version("assets.succession"),
        description="Challenger becomes champion if the gate accepted it; else it is refused.",
    )
    def promotion(
        record: Registration,
        registry: dg.ResourceParam[ModelRegistry],
        deployed: dg.ResourceParam[DeployedModels],
    ) -> dg.MaterializeResult:
        candidate = registered(registry, record)
        if record.version == record.champion:
            reconcile(registry, deployed, agent)
            return promotion_result(wait(registry, candidate, "It is champion already."))
        verdict = record.verdict
        by = Mover("promotion", verdict.reason, sha256(verdict.to_json()).hexdigest())
        if not verdict.accepted:
            return promotion_result(refuse(registry, deployed, candidate, by))
        return promotion_result(
            promote(registry, deployed, candidate, expected=record.champion, by=by)
        )

    return promotion


promotions = [_promotion_asset(agent) for agent in AgentId]
promotion_checks = [
    deployment_check(dg.AssetKey([agent.value, "promotion"]), agent) for agent in AgentId
]
