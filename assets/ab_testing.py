"""A/B testing: challenger and champion vote on the same live proposals."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

import dagster as dg

from adapters.model_registry.deployed import DeployedModels
from assets.code_version import code_version
from assets.live_record import LiveRecord
from assets.metadata import line_plot
from assets.promotion import deployment_check, promotion_result, registered
from assets.records import Comparison, Promotion, Registration
from assets.retraining import champion_of
from assets.succession import Mover, life_of, promote, reconcile, refuse, wait
from assets.traffic_split import traffic_splits
from domain.messages import encode
from domain.model_life import TRIAL
from domain.models import ModelVersion
from domain.ports.ledger import Log
from domain.ports.model_registry import ModelRegistry
from domain.ports.time_series import TimeSeriesStore
from domain.settings import Settings
from domain.voting import AgentId
from evaluation.sample_ratio import trusted
from evaluation.sequential import Verdict


class Compared(NamedTuple):
    """A comparison, and who (champion, challenger) gave which scores."""

    found: Comparison
    scores: Mapping[str, list[int]]


def comparison(
    candidate: ModelVersion,
    until: datetime,
    *,
    live: LiveRecord,
    store: TimeSeriesStore,
    settings: Settings,
    registry: ModelRegistry,
    deployed: DeployedModels,
) -> Compared:
    """Compare a version with the champion on the proposals recorded from `until` on."""
    from assets import revoting  # noqa: PLC0415 - imports torch

    agent, decisions = candidate.agent_type, live.messages(Log.DECISIONS)
    lived = revoting.lived_proposals(decisions, live.messages(Log.ORDERS))
    fresh = [each for each in lived if each.at >= until]
    view = revoting.market_view(store)
    champion = champion_of(deployed, agent)
    challenger = deployed.install(registry, candidate)
    cast = [revoting.votes(m, fresh, view, settings) for m in (champion, challenger)]
    said = revoting.compared(agent, fresh, *cast, policy=settings.promotion)
    splits = traffic_splits(candidate, registry.moves(agent), decisions)
    found = Comparison(
        agent=agent,
        challenger=candidate.label,
        champion=champion.version.label,
        measure=revoting.measure_of(agent),
        verdict=trusted(said.verdict, splits),
        instants=tuple(instant.isoformat() for instant in said.instants),
        differences=tuple(said.differences),
        proposals=len(fresh),
        purged=len(lived) - len(fresh),
        splits=splits,
    )
    names = ("champion", "challenger")
    return Compared(found, {n: [v.score for v in s] for n, s in zip(names, cast, strict=True)})


def _ab_test(agent: AgentId) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, "ab_test"],
        ins={"record": dg.AssetIn(key=[agent.value, "challenger"])},
        group_name="ab_testing",
        owners=["team:research"],
        kinds={"postgres", "torch"},
        tags={"stage": "ab_testing", "agent": agent.value},
        io_manager_key="files",
        code_version=code_version(
            "assets.revoting",
            "assets.traffic_split",
            "evaluation.sample_ratio",
            "evaluation.sequential",
        ),
        description="Challenger against champion on the same recorded live proposals, those "
        "purged that the challenger may have learned from; valid however often it is looked at, "
        "and withheld where traffic was not split as declared.",
    )
    def ab_test(
        record: Registration,
        *,
        live: dg.ResourceParam[LiveRecord],
        store: dg.ResourceParam[TimeSeriesStore],
        settings: dg.ResourceParam[Settings],
        registry: dg.ResourceParam[ModelRegistry],
        deployed: dg.ResourceParam[DeployedModels],
    ) -> dg.MaterializeResult:
        candidate = registered(registry, record)
        until = datetime.fromisoformat(record.until)
        compared = comparison(
            candidate, until, live=live, store=store, settings=settings, registry=registry,
            deployed=deployed,
        )  # fmt: skip
        found = compared.found
        return dg.MaterializeResult(
            value=found,
            metadata={
                "verdict": found.verdict.verdict.value,
                "reason": found.verdict.reason,
                "proposals": found.proposals,
                "purged": found.purged,
                "split": " ".join(split.reason for split in found.splits) or "Nothing was split.",
                "scores": line_plot("scores on the same proposals", compared.scores),
            },
        )

    return ab_test


def decide(
    registry: ModelRegistry,
    deployed: DeployedModels,
    candidate: ModelVersion,
    record: Registration,
    found: Comparison,
    *,
    occurred_at: datetime | None = None,
) -> Promotion:
    """Promote, refuse or wait: the gate and the comparison must both speak for the challenger.

    Onto a trial it goes by the gate's word alone: there it is that the comparison is made.
    """
    if record.version == record.champion:
        reconcile(registry, deployed, candidate.agent_type)
        return wait(registry, candidate, "Retraining gave the champion again.")
    said, reason = found.verdict.verdict, found.verdict.reason
    by = Mover("rollout", reason, sha256(encode(found)).hexdigest(), occurred_at)
    if said is Verdict.REFUSE:
        on_live = by._replace(reason=f"On live proposals: {reason}")
        return refuse(registry, deployed, candidate, on_live)
    if not record.verdict.accepted:
        both = f"The gate refused it. {record.verdict.reason} On live proposals: {reason}"
        return refuse(registry, deployed, candidate, by._replace(reason=both))
    if found.mismatch:
        return wait(registry, candidate, reason)
    climbs = life_of(registry, candidate.agent_type).next_rung(candidate.version) in TRIAL
    if said is Verdict.INCONCLUSIVE and not climbs:
        return wait(registry, candidate, f"{reason} A person has to decide, or more data.")
    return promote(registry, deployed, candidate, expected=record.champion, by=by)


def _rollout(agent: AgentId) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, "rollout"],
        ins={
            "record": dg.AssetIn(key=[agent.value, "challenger"]),
            "found": dg.AssetIn(key=[agent.value, "ab_test"]),
        },
        group_name="promotion",
        owners=["team:platform"],
        kinds={"mlflow"},
        tags={"stage": "promotion", "agent": agent.value},
        io_manager_key="files",
        code_version=code_version("assets.succession", "assets.ab_testing"),
        description="The challenger is promoted or refused, with the reason; or it waits.",
    )
    def rollout(
        record: Registration,
        found: Comparison,
        registry: dg.ResourceParam[ModelRegistry],
        deployed: dg.ResourceParam[DeployedModels],
    ) -> dg.MaterializeResult:
        candidate = registered(registry, record)
        return promotion_result(decide(registry, deployed, candidate, record, found))

    return rollout


ab_tests = [_ab_test(agent) for agent in AgentId]
rollouts = [_rollout(agent) for agent in AgentId]
rollout_checks = [
    deployment_check(dg.AssetKey([agent.value, "rollout"]), agent) for agent in AgentId
]
