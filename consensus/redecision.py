"""Making a recorded decision again from what the log holds, without the inputs of its engine.

A decision holds the votes that counted, its thresholds and its proposal, so the rule can judge it
again; one that ended a manual review follows from the decision under review and the answers of
persons, which stand before it in the log. What only an engine knew (which votes came too late,
when a round closed) is taken as it is recorded.
"""

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from consensus.review import Review, Reviews
from consensus.rule import AGENTS, RULE_VERSION, Reason, judge, weight
from domain.messages import Message, decode, encode
from domain.review import ReviewOpened, ReviewVerdict
from domain.rules import Rules, RulesChanged
from domain.voting import Action, ConsensusResult, Outcome, Thresholds

_ENDS_OF_REVIEW = frozenset(
    {Reason.APPROVED, Reason.REVIEW_REJECTED, Reason.REVIEW_TIMEOUT, Reason.PRICE_MOVED}
)
_REFUSALS = frozenset({Reason.TOO_OLD, Reason.FROM_THE_FUTURE, Reason.TOO_MANY_ROUNDS})


class _Counted(msgspec.Struct, frozen=True):
    """What of a counted vote the rule sees, and the weight that it was given."""

    agent_id: str
    confidence_ppm: int
    score: int
    veto: str
    weight: Decimal


class _Proposal(msgspec.Struct, frozen=True):
    action: Action


class _Decision(msgspec.Struct, frozen=True, tag_field="type", tag="ConsensusResult"):
    """A decision without its texts, in the order of its bytes.

    Decoding all of one costs six times as much.
    """

    counted: list[_Counted]
    degraded: bool
    outcome: Outcome
    participation: int
    proposal: _Proposal
    reason: str
    rule_version: str
    thresholds: msgspec.Raw
    variance: Decimal | None
    weighted_score: Decimal | None


_decision = msgspec.json.Decoder(_Decision)


class Redecision:
    """Makes the events of one partition again, one after the other from the log's first."""

    def __init__(self) -> None:
        self._opened: dict[str, Review] = {}
        self._reviews = Reviews(Rules(), self._opened)
        self._follows: dict[str, bytes] = {}

    def again(self, data: bytes) -> bytes | None:
        """Return the bytes that an event has now; None if it would not be made."""
        try:
            found = _decision.decode(data)
        except msgspec.ValidationError:
            return self._other(data)
        if found.reason in _ENDS_OF_REVIEW:
            return self._end_of_review(data)
        same = found.reason in _REFUSALS or _comes_out_the_same(found)
        if same and found.outcome is not Outcome.MANUAL_REVIEW:
            return data
        recorded = msgspec.json.decode(data, type=ConsensusResult)
        decision = recorded if same else _judged_again(recorded)
        if decision.outcome is Outcome.MANUAL_REVIEW:
            self._expect([self._reviews.open(decision)])
        return data if same else encode(decision)

    def _other(self, data: bytes) -> bytes | None:
        """Take in what is no decision; but for the terms of a review, it is as it was heard."""
        match decode(data):
            case RulesChanged(after=rules):
                self._reviews = Reviews(rules, self._opened)
            case ReviewVerdict() as verdict if verdict.decision_id in self._reviews:
                caused = self._reviews.answer(verdict)
                self._expect(event for event in caused if isinstance(event, ConsensusResult))
            case ReviewOpened() as opened:
                return self._follows.pop(opened.message_id, None)
            case _:
                pass
        return data

    def _end_of_review(self, data: bytes) -> bytes | None:
        end = decode(data)
        if end.message_id not in self._follows:
            self._expect(self._reviews.expire(end.occurred_at))
        return self._follows.pop(end.message_id, None)

    def _expect(self, events: Iterable[Message]) -> None:
        self._follows |= {event.message_id: encode(event) for event in events}


def _comes_out_the_same(decision: _Decision) -> bool:
    """Whether the rule finds today what is on record."""
    counted = decision.counted
    found = judge(counted, _thresholds(bytes(decision.thresholds)), decision.proposal.action)
    return (
        found.outcome is decision.outcome
        and found.reason == decision.reason
        and found.weighted_score == decision.weighted_score
        and found.variance == decision.variance
        and decision.participation == len(counted)
        and decision.degraded is (len(counted) < len(AGENTS))
        and decision.rule_version == RULE_VERSION
        and [weight(vote, found.confidence_ppm) for vote in counted]
        == [vote.weight for vote in counted]
    )


@lru_cache(maxsize=16)
def _thresholds(data: bytes) -> Thresholds:
    return msgspec.json.decode(data, type=Thresholds)


def _judged_again(decision: ConsensusResult) -> ConsensusResult:
    found = judge(decision.counted, decision.thresholds, decision.proposal.action)
    counted = tuple(
        replace(vote, weight=weight(vote, found.confidence_ppm)) for vote in decision.counted
    )
    return replace(
        decision,
        outcome=found.outcome,
        reason=found.reason,
        weighted_score=found.weighted_score,
        variance=found.variance,
        participation=len(counted),
        degraded=len(counted) < len(AGENTS),
        counted=counted,
        rule_version=RULE_VERSION,
    )
