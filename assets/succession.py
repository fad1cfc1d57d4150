"""Who is champion: the moves that decide it, and this machine made to follow them.

The registry's moves are what is decided; the pointers below the state folder are what is served.
`reconcile` tells the registry what this machine had to do without it (a rollback), then makes the
pointers follow, so a promotion that was cut off half-way is completed by the next one.
"""

from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

import structlog
from msgspec.structs import replace

from adapters.agent_endpoint import difference
from adapters.model_registry.deployed import DeployedModels
from assets.records import Promotion
from domain.errors import IllegalMove, ModelRefused, QuorumError
from domain.model_life import FALLEN, JUDGED_ANEW, TRIAL, ModelLife, ModelMove, fold, next_move
from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.ports.model_registry import ModelRegistry
from domain.settings import PromotionSettings, Settings
from domain.voting import AgentId

_log = structlog.get_logger(__name__)

#: Who moves updates of a calibration; what was trained anew goes before them.
ONLINE_LEARNING = "online learning"
#: How long a running service may take to serve what was promoted, beside its looks for it.
_PATIENCE_SECONDS = 3.0


class Mover(NamedTuple):
    """Who moves a version, why, and the SHA-256 of what it was decided on.

    `occurred_at` is the wall clock's time where nothing else is said: a replay says its own.
    """

    actor: str
    reason: str
    evidence: str = ""
    occurred_at: datetime | None = None


def validated(registry: ModelRegistry, version: ModelVersion, by: Mover,
              policy: PromotionSettings) -> None:  # fmt: skip
    """Record that the gate accepted a version, with the rungs that it is to climb."""
    life = life_of(registry, version.agent_type)
    if life.of(version.version).status in JUDGED_ANEW:
        trial = tuple(DeploymentStatus(rung) for rung in policy.trial)
        validation = _next(version, DeploymentStatus.VALIDATED, by, life)
        registry.record(replace(validation, trial=trial, approval=policy.approval))


def promote(
    registry: ModelRegistry,
    deployed: DeployedModels,
    candidate: ModelVersion,
    *,
    expected: int | None,
    by: Mover,
) -> Promotion:
    """Take `candidate` to its next rung, if `expected` still is champion.

    Another promotion in between wins; where a person has to approve, the candidate waits.
    """
    agent = candidate.agent_type
    deployed.install(registry, candidate)
    life = life_of(registry, agent)
    rung = DeploymentStatus.LIVE if life.live is None else life.next_rung(candidate.version)
    if rung is None:
        status = life.of(candidate.version).status
        return recorded(
            registry, candidate, promoted=False, reason=f"It is {status}, and rises no further."
        )
    if life.live != expected:
        return recorded(
            registry, candidate, promoted=False, reason=_overtaken(registry, agent, life)
        )
    try:
        if rung in TRIAL:
            life = _with_room(registry, candidate, by, life)
        move(registry, candidate, rung, by, life)
    except IllegalMove as problem:
        reconcile(registry, deployed, agent)
        life = life_of(registry, agent)
        reason = problem.what if life.live == expected else _overtaken(registry, agent, life)
        return recorded(registry, candidate, promoted=False, reason=reason)
    reconcile(registry, deployed, agent)
    live = rung is DeploymentStatus.LIVE
    reason = by.reason if live else f"It votes as {rung} now. {by.reason}"
    return recorded(registry, candidate, promoted=live, reason=reason)


def _with_room(
    registry: ModelRegistry, candidate: ModelVersion, by: Mover, life: ModelLife
) -> ModelLife:
    """Return where versions stand once an update on trial has made room for what was trained."""
    busy, comes = (
        next((m.actor for m in reversed(registry.moves(life.agent)) if m.version == number), "")
        for number in (life.on_trial, candidate.version)
    )
    if busy != ONLINE_LEARNING or comes == ONLINE_LEARNING:
        return life
    update = registry.version(life.agent, life.on_trial or 0)
    if update is None:
        return life
    reason = f"It makes room for version {candidate.version}, which was trained anew."
    return move(registry, update, DeploymentStatus.ABORTED, by._replace(reason=reason), life)


def _overtaken(registry: ModelRegistry, agent: AgentId, life: ModelLife) -> str:
    """Return which promotion was faster than one that was judged against another champion."""
    winner = None if life.live is None else registry.version(agent, life.live)
    told = "No version is live any more" if winner is None else f"{winner.label} was faster"
    return f"{told}; this one was judged against a champion that is gone."


def refuse(
    registry: ModelRegistry, deployed: DeployedModels, candidate: ModelVersion, by: Mover
) -> Promotion:
    """Keep the champion; the candidate is challenger no more."""
    agent = candidate.agent_type
    try:
        move(registry, candidate, DeploymentStatus.ABORTED, by, life_of(registry, agent))
    except IllegalMove as problem:
        _log.info("a refused candidate stays where it stands", problem=problem.what)
    reconcile(registry, deployed, agent)
    return recorded(registry, candidate, promoted=False, reason=by.reason)


def wait(registry: ModelRegistry, candidate: ModelVersion, reason: str) -> Promotion:
    """Leave everything as it is: the candidate stays challenger until more is known."""
    return recorded(registry, candidate, promoted=False, reason=reason)


def reconcile(registry: ModelRegistry, deployed: DeployedModels, agent: AgentId) -> None:
    """Tell the registry what this machine did alone, then make this machine follow it."""
    with deployed.settled(agent):
        _catch_up(registry, deployed, agent)
        life = life_of(registry, agent)
        for number in {life.on_trial, *life.succession[-3:]} - {None}:
            if (version := registry.version(agent, number)) is not None:
                deployed.install(registry, version)
        deployed.follow(agent, registry.moves(agent))


def _catch_up(registry: ModelRegistry, deployed: DeployedModels, agent: AgentId) -> None:
    """Record in the registry the moves that only this machine has."""
    known = {each.digest for each in registry.moves(agent)}
    for alone in (each for each in deployed.moves(agent) if each.digest not in known):
        life = life_of(registry, agent)
        again = next_move(
            life,
            alone.version,
            alone.after if alone.after not in FALLEN else life.after_rollback(alone.version),
            actor=alone.actor,
            reason=alone.reason,
            evidence=alone.evidence,
            occurred_at=alone.occurred_at,
        )
        try:
            registry.record(again)
        except IllegalMove as problem:
            _log.warning("a move of this machine came too late", problem=problem.what)


def disagreement(
    registry: ModelRegistry,
    deployed: DeployedModels,
    agent: AgentId,
    settings: Settings | None = None,
) -> str:
    """Return how what is deployed differs from the registry's champion; empty if it doesn't.

    With settings the agent's running service is asked, too, which weights it has loaded.
    """
    champion = registry.version(agent, Alias.CHAMPION)
    try:
        served = deployed.current(agent)
    except ModelRefused as problem:
        return problem.what
    claimed = "nothing" if champion is None else champion.label
    found = "nothing" if served is None else served.version.label
    if claimed != found:
        return f"The registry says {claimed}, deployed is {found}."
    if champion is None or settings is None:
        return ""
    return difference(
        settings.home,
        agent,
        champion.label,
        champion.model_artifacts.get("model.safetensors", ""),
        token=settings.serving.token,
        patience_seconds=_PATIENCE_SECONDS + 2 * settings.serving.model_poll_seconds,
    )


def roll_back_unserved(
    registry: ModelRegistry, deployed: DeployedModels, agent: AgentId, problem: str
) -> None:
    """Take back a champion that is not served as claimed; one without predecessor stays."""
    champion = registry.version(agent, Alias.CHAMPION)
    if champion is None:
        return
    evidence = sha256(problem.encode()).hexdigest()
    now = datetime.now(UTC)
    try:
        deployed.take_back(
            agent, champion.version, actor="deployment check", reason=problem, evidence=evidence,
            occurred_at=now,
        )  # fmt: skip
        reconcile(registry, deployed, agent)
    except QuorumError as unable:
        _log.exception("what is served is not what was promoted", problem=unable.what)


def life_of(registry: ModelRegistry, agent: AgentId) -> ModelLife:
    """Return where the agent's versions stand."""
    return fold(agent, registry.moves(agent))


def move(
    registry: ModelRegistry,
    version: ModelVersion,
    after: DeploymentStatus,
    by: Mover,
    life: ModelLife,
) -> ModelLife:
    """Record a version's move that was decided on `life`; raises `IllegalMove` if that is past."""
    return registry.record(_next(version, after, by, life))


def _next(version: ModelVersion, after: DeploymentStatus, by: Mover, life: ModelLife) -> ModelMove:
    now = by.occurred_at or datetime.now(UTC)
    return next_move(life, version.version, after, **{**by._asdict(), "occurred_at": now})


def recorded(
    registry: ModelRegistry, candidate: ModelVersion, *, promoted: bool, reason: str
) -> Promotion:
    """Return what became of a version, and who is champion now."""
    agent = candidate.agent_type
    champion, previous = (registry.version(agent, a) for a in (Alias.CHAMPION, Alias.PREVIOUS))
    return Promotion(
        agent=agent,
        promoted=promoted,
        candidate=candidate.label,
        champion="" if champion is None else champion.label,
        previous="" if previous is None else previous.label,
        reason=reason,
    )
