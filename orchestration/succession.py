"""Promotion and rollback as a person asks for them."""

from hashlib import sha256

from adapters.model_registry import open_model_registry
from adapters.model_registry.deployed import DeployedModels
from assets.records import Promotion
from assets.rollback import Rollback, roll_back
from assets.succession import (
    Mover,
    disagreement,
    life_of,
    move,
    reconcile,
    recorded,
    roll_back_unserved,
)
from domain.errors import ModelRefused
from domain.model_life import PERSON
from domain.models import DeploymentStatus
from domain.settings import Settings
from domain.voting import AgentId


def promote_by_person(
    settings: Settings, agent: AgentId, version: int, actor: str, reason: str
) -> Promotion:
    """Make a version champion, by a person's word; then ask what is served.

    Raises
    ------
    ModelRefused
        If there is no such version, it would not load, or it is not served as promoted (and was
        taken back).
    IllegalMove
        If the version may not go live: the gate did not accept it, or it is quarantined.
    """
    from agents.model_files import load  # noqa: PLC0415 - imports torch

    registry, deployed = open_model_registry(settings), DeployedModels.of(settings)
    candidate = registry.version(agent, version)
    if candidate is None:
        raise ModelRefused(
            f"The registry has no version {version} of {agent}.",
            next_step="`quorum models` lists the versions there are.",
        )
    load(deployed.install(registry, candidate).folder, agent)
    by = Mover(f"{PERSON}{actor}", reason, sha256(reason.encode()).hexdigest())
    move(registry, candidate, DeploymentStatus.LIVE, by, life_of(registry, agent))
    reconcile(registry, deployed, agent)
    if problem := disagreement(registry, deployed, agent, settings):
        roll_back_unserved(registry, deployed, agent, problem)
        raise ModelRefused(
            problem,
            kept="The version before is champion again.",
            next_step="Look at the service's log, then promote again.",
        )
    return recorded(registry, candidate, promoted=True, reason=reason)


def roll_back_by_person(settings: Settings, agent: AgentId, actor: str, reason: str) -> Promotion:
    """Take the champion back, by a person's word; then ask what is served.

    Raises
    ------
    ModelRefused
        If there is no champion, or the one before is not served.
    IllegalMove
        If there is no version to fall back to.
    """
    registry, deployed = open_model_registry(settings), DeployedModels.of(settings)
    config = Rollback(actor=f"{PERSON}{actor}", reason=reason)
    found = roll_back(registry, deployed, agent, config)
    if problem := disagreement(registry, deployed, agent, settings):
        raise ModelRefused(
            problem,
            kept="The registry and this machine's pointers name the version before.",
            next_step="Look at the service's log; `quorum status` tells whether it runs.",
        )
    return found
