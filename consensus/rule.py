"""The voting rule: one pure function that the engine, the backtest and the tests call.

The arithmetic is exact. Scores are integers and confidences whole millionths, so the weighted
score is a fraction of integers, and the variance is compared without dividing:
``n·Σs² − (Σs)² > threshold·n²``. A score of exactly 75 or a variance of exactly 40 therefore
falls on the executing side on every machine; a float could fall on either.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Protocol

from domain.messages import Value
from domain.money import ZERO, quotient
from domain.voting import (
    Action,
    AgentId,
    CountedVote,
    IgnoredVote,
    Outcome,
    Thresholds,
    Vote,
)

RULE_VERSION = "1"

DEFAULT_THRESHOLDS = Thresholds()
#: Who votes, in the order of the account.
AGENTS = tuple(sorted(map(str, AgentId)))
_FEWEST_VOTES = 2


class Reason(StrEnum):
    """Why a decision came out as it did."""

    CONSENSUS = "consensus"
    BELOW_THRESHOLD = "below_threshold"
    DISAGREEMENT = "disagreement"
    DEGRADED = "degraded"
    NO_QUORUM = "no_quorum"
    VETO = "veto"
    HOLD = "hold"
    TOO_OLD = "too_old"
    FROM_THE_FUTURE = "from_the_future"
    TOO_MANY_ROUNDS = "too_many_rounds"
    APPROVED = "approved"
    REVIEW_REJECTED = "review_rejected"
    REVIEW_TIMEOUT = "review_timeout"
    PRICE_MOVED = "price_moved"


# Bound once: looking up an enumeration's members took a tenth of a decision's time.
_HOLD = Action.HOLD
_HELD = Outcome.REJECT, Reason.HOLD
_VETOED = Outcome.REJECT, Reason.VETO
_NO_QUORUM = Outcome.REJECT, Reason.NO_QUORUM
_DISAGREED = Outcome.MANUAL_REVIEW, Reason.DISAGREEMENT
_TOO_LOW = Outcome.REJECT, Reason.BELOW_THRESHOLD
_AGREED = Outcome.EXECUTE, Reason.CONSENSUS
_TOO_FEW = Outcome.MANUAL_REVIEW, Reason.DEGRADED


class Tally(Value, frozen=True, kw_only=True):
    """What the votes amount to; the fields are those of `domain.voting.ConsensusResult`."""

    outcome: Outcome
    reason: str
    weighted_score: Decimal | None
    variance: Decimal | None
    participation: int
    degraded: bool
    counted: tuple[CountedVote, ...]
    ignored: tuple[IgnoredVote, ...]


class Ballot(Protocol):
    """What of a vote enters the rule."""

    @property
    def agent_id(self) -> str:
        """Who votes."""
        ...

    @property
    def score(self) -> int:
        """0–100."""
        ...

    @property
    def confidence_ppm(self) -> int:
        """In millionths."""
        ...

    @property
    def veto(self) -> str:
        """The limit that is breached, or nothing."""
        ...


class Judgement(Value, frozen=True, kw_only=True):
    """What counted votes amount to; `confidence_ppm` is the sum of theirs."""

    outcome: Outcome
    reason: Reason
    weighted_score: Decimal | None
    variance: Decimal | None
    confidence_ppm: int


def calculate_consensus(
    votes: Iterable[Vote],
    *,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    action: Action | None = None,
) -> Tally:
    """Return what `votes` on one proposal amount to, whatever their order.

    One vote an agent counts, the last by (timestamp, message id). Abstentions and unknown
    agents are ignored with a reason. Then, in this order: HOLD is rejected; a counted veto
    rejects; fewer than two counted votes or no confidence at all reject; a population variance
    above `thresholds.review_above_variance` goes to review; a weighted score from
    `thresholds.execute_at_weighted_score` executes; anything else is rejected. With fewer than
    four counted votes EXECUTE becomes MANUAL_REVIEW, unless only one is missing and the Risk
    Manager is not the one.
    """
    cast = list(votes)
    counted = _counting(cast)
    found = judge(counted, thresholds, action)
    confidence = found.confidence_ppm
    return Tally(
        outcome=found.outcome,
        reason=found.reason,
        weighted_score=found.weighted_score,
        variance=found.variance,
        participation=len(counted),
        degraded=len(counted) < len(AGENTS),
        counted=tuple(
            [
                CountedVote(
                    agent_id=vote.agent_id,
                    message_id=vote.message_id,
                    occurred_at=vote.occurred_at,
                    score=vote.score,
                    confidence_ppm=vote.confidence_ppm,
                    weight=quotient(vote.confidence_ppm, confidence) if confidence else ZERO,
                    rationale=vote.rationale,
                    risk_assessment=vote.risk_assessment,
                    model_version=vote.model_version,
                    veto=vote.veto,
                )
                for vote in counted
            ]
        ),
        ignored=_account(cast) if len(counted) < len(cast) else (),
    )


def judge(
    counted: Sequence[Ballot], thresholds: Thresholds, action: Action | None = None
) -> Judgement:
    """Return what votes amount to that all count: the rule behind the choice of votes."""
    n = len(counted)
    scores = squares = confidence = weighted = 0
    vetoed = False
    for vote in counted:
        score, trust = vote.score, vote.confidence_ppm
        scores += score
        squares += score * score
        confidence += trust
        weighted += score * trust
        if vote.veto:
            vetoed = True
    spread = n * squares - scores * scores

    if action is _HOLD:
        outcome, reason = _HELD
    elif vetoed:
        outcome, reason = _VETOED
    elif n < _FEWEST_VOTES or confidence == 0:
        outcome, reason = _NO_QUORUM
    elif spread > _exact(thresholds.review_above_variance) * n * n:
        outcome, reason = _DISAGREED
    elif weighted < _exact(thresholds.execute_at_weighted_score) * confidence:
        outcome, reason = _TOO_LOW
    elif n == len(AGENTS) or _enough_to_execute(counted):
        outcome, reason = _AGREED
    else:
        outcome, reason = _TOO_FEW
    return Judgement(
        outcome=outcome,
        reason=reason,
        weighted_score=quotient(weighted, confidence) if confidence else None,
        variance=_variance(spread, n) if n else None,
        confidence_ppm=confidence,
    )


def weight(vote: Ballot, confidence_ppm: int) -> Decimal:
    """Return a vote's share of all confidence; 0 where there is none."""
    return quotient(vote.confidence_ppm, confidence_ppm) if confidence_ppm else ZERO


def reject(reason: Reason) -> Tally:
    """Return what it amounts to when a proposal is refused and no vote counts."""
    return Tally(
        outcome=Outcome.REJECT,
        reason=reason,
        weighted_score=None,
        variance=None,
        participation=0,
        degraded=True,
        counted=(),
        ignored=(),
    )


def ignore(vote: Vote, reason: str) -> IgnoredVote:
    """Return the line that accounts for a vote that does not count."""
    return IgnoredVote(
        agent_id=vote.agent_id,
        message_id=vote.message_id,
        reason=reason,
        model_version=vote.model_version,
    )


def in_order(ignored: Iterable[IgnoredVote]) -> tuple[IgnoredVote, ...]:
    """Return the account of ignored votes in its one order."""
    return tuple(sorted(ignored, key=lambda i: (i.agent_id, i.message_id, i.reason)))


def _counting(votes: Sequence[Vote]) -> list[Vote]:
    """Return the votes that count: each agent's last, unless it abstains; by agent."""
    latest = {vote.agent_id: vote for vote in votes}
    if len(latest) < len(votes):
        latest = {vote.agent_id: vote for vote in sorted(votes, key=_last_writer_wins)}
    return [
        vote for agent in AGENTS if (vote := latest.get(agent)) is not None and not vote.abstention
    ]


def _account(votes: Iterable[Vote]) -> tuple[IgnoredVote, ...]:
    """Return the votes that don't count, each with its reason."""
    latest: dict[str, Vote] = {}
    ignored: list[IgnoredVote] = []
    for vote in sorted(votes, key=_last_writer_wins):
        if vote.agent_id not in AGENTS:
            ignored.append(ignore(vote, "unknown_agent"))
            continue
        earlier = latest.get(vote.agent_id)
        if earlier is not None:
            same = earlier.message_id == vote.message_id
            ignored.append(ignore(earlier, "duplicate" if same else "superseded"))
        latest[vote.agent_id] = vote
    ignored += [ignore(v, f"abstained: {v.abstention}") for v in latest.values() if v.abstention]
    return in_order(ignored)


def _last_writer_wins(vote: Vote) -> tuple[object, ...]:
    # Beyond (timestamp, message id) only a forged repeat differs; its content keeps even that
    # independent of the order of arrival.
    return vote.occurred_at, vote.message_id, vote.score, vote.confidence_ppm, vote.veto


def _enough_to_execute(counted: Sequence[Ballot]) -> bool:
    """Whether only one of the votes is missing, and it is not the Risk Manager's."""
    return len(counted) == len(AGENTS) - 1 and any(
        vote.agent_id == AgentId.RISK_MANAGER for vote in counted
    )


@lru_cache(maxsize=4096)
def _variance(spread: int, n: int) -> Decimal:
    """Return a population variance; scores are integers, so the same ones come again and again."""
    return quotient(spread, n * n)


@lru_cache(maxsize=64)
def _exact(threshold: Decimal) -> int | Fraction:
    """Return a threshold as an integer where it is one: then all arithmetic is on integers."""
    exact = Fraction(threshold)
    return exact.numerator if exact.denominator == 1 else exact
