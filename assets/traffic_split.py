"""Who voted while a version was a canary, rung by rung, beside what the rung declares."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from domain.messages import Message
from domain.model_life import TRIAL, ModelMove
from domain.models import DeploymentStatus, ModelVersion
from domain.voting import AgentId, ConsensusResult
from evaluation.sample_ratio import SampleRatio, sample_ratio

_END = datetime.max.replace(tzinfo=UTC)


class _Rung(NamedTuple):
    """A canary's stage: its declared share, from when, until when (exclusive)."""

    share: float
    since: datetime
    until: datetime


def traffic_splits(
    candidate: ModelVersion, moves: Iterable[ModelMove], decisions: Iterable[Message]
) -> tuple[SampleRatio, ...]:
    """Return how the votes of the candidate's agent were split on each rung of its present trial.

    A decision belongs to the rung that the candidate was on at the decision's time, and to the
    candidate if the agent's vote on record is its. Decisions without a vote of the agent say
    nothing. Empty where the candidate never was a canary, since it was validated last.
    """
    cast = sorted(
        (decision.occurred_at, decision.decision_id, version)
        for decision in decisions
        if isinstance(decision, ConsensusResult)
        and (version := _voted(candidate.agent_type, decision))
    )
    return tuple(
        sample_ratio(
            (
                version == candidate.label
                for at, _, version in cast
                if rung.since <= at < rung.until
            ),
            rung.share,
        )
        for rung in _rungs(candidate.version, moves)
    )


def _rungs(version: int, moves: Iterable[ModelMove]) -> Sequence[_Rung]:
    rungs: list[_Rung] = []
    for move in (each for each in moves if each.version == version):
        if rungs and rungs[-1].until == _END:
            rungs[-1] = rungs[-1]._replace(until=move.occurred_at)
        if move.after is DeploymentStatus.VALIDATED:
            rungs.clear()  # judged anew: what was before is another trial
        elif per_cent := TRIAL.get(move.after):
            rungs.append(_Rung(per_cent / 100, move.occurred_at, _END))
    return rungs


def _voted(agent: AgentId, decision: ConsensusResult) -> str:
    """Return the version whose vote is on record; empty if there is none."""
    on_record = (*decision.counted, *decision.ignored)
    versions = (vote.model_version for vote in on_record if vote.agent_id == agent)
    return next((version for version in versions if version), "")
