"""Rollback: materializing it takes a champion back, and serves the version before it again."""

from datetime import UTC, datetime
from hashlib import sha256

import dagster as dg

from adapters.model_registry.deployed import DeployedModels
from assets.code_version import code_version
from assets.promotion import deployment_check, promotion_result
from assets.records import Promotion
from assets.succession import reconcile, recorded, wait
from domain.errors import ModelRefused
from domain.models import Alias, ModelVersion
from domain.ports.model_registry import ModelRegistry
from domain.voting import AgentId


class Rollback(dg.Config):
    """Which version is taken back, who does it and why.

    `version` 0 takes the champion, whichever it is; a number takes just that version back, and
    does nothing where it is champion no more.
    """

    version: int = 0
    actor: str = "dagster"
    reason: str = "Asked for by hand."


def roll_back(
    registry: ModelRegistry, deployed: DeployedModels, agent: AgentId, config: Rollback
) -> Promotion:
    """Take a version back on this machine first, then tell the registry.

    Raises
    ------
    ModelRefused
        If the agent has no champion.
    IllegalMove
        If there is no version to fall back to.
    """
    champion = champion_of(registry, agent)
    taken = deployed.take_back(
        agent,
        config.version or champion.version,
        actor=config.actor,
        reason=config.reason,
        evidence=sha256(config.reason.encode()).hexdigest(),
        occurred_at=datetime.now(UTC),
    )
    reconcile(registry, deployed, agent)
    if taken is None:
        return wait(registry, champion, f"Version {config.version} is champion no more.")
    return recorded(registry, champion, promoted=False, reason=config.reason)


def champion_of(registry: ModelRegistry, agent: AgentId) -> ModelVersion:
    """Return the registry's champion.

    Raises
    ------
    ModelRefused
        If there is none.
    """
    champion = registry.version(agent, Alias.CHAMPION)
    if champion is None:
        raise ModelRefused(
            f"{agent} has no champion.", next_step="Train and promote one: `quorum train`."
        )
    return champion


def _rollback_asset(agent: AgentId) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, "rollback"],
        group_name="promotion",
        owners=["team:platform"],
        kinds={"mlflow"},
        tags={"stage": "promotion", "agent": agent.value},
        io_manager_key="files",
        code_version=code_version("assets.succession", "assets.rollback"),
        description="Takes the champion back; the version before it decides again.",
    )
    def rollback(
        config: Rollback,
        registry: dg.ResourceParam[ModelRegistry],
        deployed: dg.ResourceParam[DeployedModels],
    ) -> dg.MaterializeResult:
        return promotion_result(roll_back(registry, deployed, agent, config))

    return rollback


rollbacks = [_rollback_asset(agent) for agent in AgentId]
rollback_checks = [
    deployment_check(dg.AssetKey([agent.value, "rollback"]), agent) for agent in AgentId
]
