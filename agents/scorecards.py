"""What one recorded event adds to the agents' scorecards.

Every event stands for itself: no sum depends on the order in which events are read.
"""

from collections.abc import Iterator
from datetime import timedelta

from agents.verdicts import proved_right
from domain.experience import Experience
from domain.identity import derive_id
from domain.messages import Message
from domain.ports.ledger import Ignored
from domain.scorecards import LATE, Scorecard
from domain.voting import (
    ACCEPTANCE,
    MILLION,
    Action,
    AgentId,
    ConsensusResult,
    CountedVote,
    Outcome,
    Vote,
    VoteRefused,
)

_AGENTS = frozenset(map(str, AgentId))
#: Why votes are ignored without their decision telling of them.
_BESIDE_THE_DECISION = frozenset({LATE, "duplicate", "decided_elsewhere", "unknown_proposal"})
_MICROSECOND = timedelta(microseconds=1)
# Bound once: looking members up takes longer than what is asked of them.
_EXECUTE, _UNDECIDED, _HOLD = Outcome.EXECUTE, Outcome.MANUAL_REVIEW, Action.HOLD


def agreed(score: int, decision: ConsensusResult) -> bool | None:
    """Return whether a vote was on the outcome's side.

    None while a person has to decide, and where holding was proposed: nothing was asked.
    """
    if decision.outcome is _UNDECIDED or decision.proposal.action is _HOLD:
        return None
    return (score >= ACCEPTANCE) == (decision.outcome is _EXECUTE)


def from_event(event: Message) -> Iterator[Scorecard]:
    """Yield what an event of a log adds: a decision (not its copies), or an experience."""
    match event:
        case ConsensusResult():
            yield from _from_decision(event)
        case Experience():
            yield from _from_experience(event)
        case _:
            pass


def from_ignored(ignored: Ignored) -> Iterator[Scorecard]:
    """Yield what a message without effect adds: votes that no decision tells of, and garbage."""
    match ignored.message:
        case Vote(agent_id=agent, model_version=model):
            told = ignored.reason in _BESIDE_THE_DECISION
        case VoteRefused(agent_id=agent):
            model, told = "", True
        case _:
            return
    if told and agent in _AGENTS:
        yield Scorecard(
            agent_id=agent,
            model_version=model,
            day=ignored.message.occurred_at.date(),
            ignored={ignored.reason: 1},
        )


def _from_decision(decision: ConsensusResult) -> Iterator[Scorecard]:
    """Yield what a decision adds; one that ends a review repeats the votes, so only its outcome."""
    first = decision.decision_id == derive_id("decision", decision.proposal.proposal_id)
    day = decision.occurred_at.date()
    for vote in decision.counted:
        side = agreed(vote.score, decision)
        latency = _latency_us(decision, vote) if first else None
        yield Scorecard(
            agent_id=vote.agent_id,
            model_version=vote.model_version,
            day=day,
            counted=int(first),
            decided=int(side is not None),
            agreed=int(side is True),
            score_sum=vote.score if first else 0,
            confidence_ppm_sum=vote.confidence_ppm if first else 0,
            timed=int(latency is not None),
            latency_us_sum=latency or 0,
        )
    for vote in decision.ignored if first else ():
        if vote.agent_id in _AGENTS:
            # "abstained: model too old" is told in full by the decision.
            reason = vote.reason.partition(":")[0]
            yield Scorecard(
                agent_id=vote.agent_id,
                model_version=vote.model_version,
                day=day,
                ignored={reason: 1},
            )


def _latency_us(decision: ConsensusResult, vote: CountedVote) -> int | None:
    if vote.occurred_at is None:
        return None
    return (vote.occurred_at - decision.proposal.occurred_at) // _MICROSECOND


def _from_experience(experience: Experience) -> Iterator[Scorecard]:
    for agent, score in experience.scores.items():
        right = proved_right(agent, score, experience)
        if right is not None:
            error = experience.confidences_ppm[agent] - MILLION * right
            yield Scorecard(
                agent_id=agent,
                model_version=experience.model_versions.get(agent, ""),
                day=experience.occurred_at.date(),
                matured=1,
                right=int(right),
                squared_error_sum=error * error,
            )
