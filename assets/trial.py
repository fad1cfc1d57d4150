"""The trial: a version climbs SHADOW → CANARY → LIVE by what is on record of it, rung by rung."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256

import dagster as dg
from msgspec.structs import replace

from adapters.model_registry.deployed import DeployedModels
from assets.ab_testing import comparison
from assets.code_version import code_version
from assets.live_record import LiveRecord
from assets.online_learning import Online, is_update, known_until, patience
from assets.promotion import deployment_check, promotion_result
from assets.records import Comparison, Promotion
from assets.rollback import champion_of
from assets.succession import Mover, life_of, promote, reconcile, refuse, wait
from domain.messages import Message, encode
from domain.model_life import ModelLife
from domain.models import DeploymentStatus, ModelVersion
from domain.ports.ledger import Log
from domain.ports.model_registry import ModelRegistry
from domain.ports.time_series import TimeSeriesStore
from domain.settings import PromotionSettings, Settings
from domain.voting import AgentId, ConsensusResult
from evaluation.sequential import Verdict

ACTOR = "trial"


def climb(
    registry: ModelRegistry,
    deployed: DeployedModels,
    candidate: ModelVersion,
    found: Comparison,
    *,
    decisions: int,
    policy: PromotionSettings,
    occurred_at: datetime | None = None,
) -> Promotion:
    """Take a version on trial to its next rung, end its trial, or leave it where it stands.

    Who is shown to be worse is refused on any rung; who is shown to be better goes live from the
    last. A split that is not as declared, an open verdict on the last rung, and an approval that
    policy asks for wait for a person (`quorum promote`, `quorum rollback`).

    Parameters
    ----------
    decisions
        Decisions on record since it came to its present rung.
    occurred_at
        The move's time, in a replay.
    """
    said, reason = found.verdict.verdict, found.verdict.reason
    life = life_of(registry, candidate.agent_type)
    by = Mover(ACTOR, reason, sha256(encode(found)).hexdigest(), occurred_at)
    if said is Verdict.REFUSE:
        return refuse(registry, deployed, candidate, by)
    if found.mismatch:
        return _asked(registry, candidate, reason)
    if decisions < policy.decisions_per_rung:
        few = f"{decisions} of {policy.decisions_per_rung} decisions on this rung are on record."
        return wait(registry, candidate, few)
    if life.next_rung(candidate.version) is DeploymentStatus.LIVE:
        if said is Verdict.INCONCLUSIVE:
            return _asked(registry, candidate, f"{reason} A person has to decide, or more data.")
        if life.of(candidate.version).approval:
            return _asked(registry, candidate, f"{reason} A person has to approve it.")
    return promote(registry, deployed, candidate, expected=life.live, by=by)


def _asked(registry: ModelRegistry, candidate: ModelVersion, reason: str) -> Promotion:
    return replace(wait(registry, candidate, reason), asks=True)


def trial_of(
    agent: AgentId,
    *,
    live: LiveRecord,
    store: TimeSeriesStore,
    settings: Settings,
    registry: ModelRegistry,
    deployed: DeployedModels,
) -> tuple[Promotion, Comparison | None]:
    """Judge the agent's version on trial by the record; without one, nothing happens."""
    reconcile(registry, deployed, agent)
    life = life_of(registry, agent)
    candidate = registry.version(agent, life.on_trial) if life.on_trial else None
    if candidate is None:
        return wait(registry, champion_of(registry, agent), "No version is on trial."), None
    folder = deployed.install(registry, candidate).folder
    if is_update(folder):
        return trial_of_update(candidate, Online(agent, live, store, settings, registry, deployed))
    found = comparison(
        candidate, known_until(folder), live=live, store=store, settings=settings,
        registry=registry, deployed=deployed,
    ).found  # fmt: skip
    decided = [m for m in live.messages(Log.DECISIONS) if isinstance(m, ConsensusResult)]
    promotion = climb(
        registry,
        deployed,
        candidate,
        found,
        decisions=_on_rung(registry, life, candidate.version, decided, settings),
        policy=settings.promotion,
        occurred_at=replayed_until(decided, settings),
    )
    return promotion, found


def trial_of_update(candidate: ModelVersion, online: Online) -> tuple[Promotion, Comparison | None]:
    """Judge an update in shadow: no person is asked, and an open verdict makes room in the end."""
    registry, deployed, settings = online.registry, online.deployed, online.settings
    decided = [m for m in online.live.messages(Log.DECISIONS) if isinstance(m, ConsensusResult)]
    at = replayed_until(decided, settings)
    life = life_of(registry, candidate.agent_type)
    if life.live != candidate.parent_version:
        gone = "The champion that it was made of decides no more."
        return refuse(registry, deployed, candidate, Mover(ACTOR, gone, "", at)), None
    since = known_until(deployed.install(registry, candidate).folder)
    found = online.comparison(candidate, since)
    said, reason = found.verdict.verdict, found.verdict.reason
    by = Mover(ACTOR, reason, sha256(encode(found)).hexdigest(), at)
    if said is Verdict.PROMOTE:
        return promote(registry, deployed, candidate, expected=life.live, by=by), found
    if said is Verdict.REFUSE or found.verdict.observations >= patience(settings):
        return refuse(registry, deployed, candidate, by), found
    return wait(registry, candidate, reason), found


def replayed_until(decisions: Iterable[Message], settings: Settings) -> datetime | None:
    """Return the time just after the last decision of a replay; None where the clock is real."""
    if settings.clock == "system":
        return None
    latest = max((decision.occurred_at for decision in decisions), default=None)
    return None if latest is None else latest + timedelta(microseconds=1)


def _on_rung(
    registry: ModelRegistry,
    life: ModelLife,
    version: int,
    decisions: Iterable[ConsensusResult],
    settings: Settings,
) -> int:
    """Count the decisions since the version came to its rung.

    In a replay only this module moves versions by the market's time: the first rung has them all.
    """
    since = [move for move in registry.moves(life.agent) if move.version == version][-1]
    replayed = settings.clock != "system" and since.actor != ACTOR
    return sum(replayed or decision.occurred_at >= since.occurred_at for decision in decisions)


def _trial(agent: AgentId) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, "trial"],
        group_name="promotion",
        owners=["team:platform"],
        kinds={"mlflow", "postgres"},
        tags={"stage": "promotion", "agent": agent.value},
        io_manager_key="files",
        code_version=code_version("assets.trial", "assets.ab_testing", "assets.succession"),
        description="The version on trial climbs a rung, is refused, or waits for a person.",
    )
    def trial(
        live: dg.ResourceParam[LiveRecord],
        store: dg.ResourceParam[TimeSeriesStore],
        settings: dg.ResourceParam[Settings],
        registry: dg.ResourceParam[ModelRegistry],
        deployed: dg.ResourceParam[DeployedModels],
    ) -> dg.MaterializeResult:
        promotion, _ = trial_of(
            agent, live=live, store=store, settings=settings, registry=registry, deployed=deployed
        )
        return promotion_result(promotion)

    return trial


def _person_check(agent: AgentId) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey([agent.value, "trial"]),
        name="needs_no_person",
        description="The trial goes on by itself; if not, a person has to look.",
    )
    def needs_no_person(found: Promotion) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=not found.asks, severity=dg.AssetCheckSeverity.WARN, description=found.reason
        )

    return needs_no_person


trials = [_trial(agent) for agent in AgentId]
trial_checks = [
    check
    for agent in AgentId
    for check in (
        _person_check(agent),
        deployment_check(dg.AssetKey([agent.value, "trial"]), agent),
    )
]
