"""Manual review: decisions that wait for a person, and what ends the wait.

Pure like the engine that owns it: `Reviews` changes only the state it is given, and time enters
with the messages.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from consensus.rule import Reason
from domain.identity import derive_id
from domain.money import EXACT
from domain.rules import Rules
from domain.voting import ConsensusResult, Outcome, ReviewVerdict


class Review(msgspec.Struct, kw_only=True):
    """A decision that waits for a person until `deadline`."""

    decision: ConsensusResult
    deadline: datetime


class Reviews:
    """The reviews that are open, by the id of the decision under review.

    Parameters
    ----------
    rules
        How long a person has, and how far the price may have moved.
    opened
        The engine's state of them; changed in place.
    """

    def __init__(self, rules: Rules, opened: dict[str, Review]) -> None:
        self._rules = rules
        self._opened = opened

    def __contains__(self, decision_id: str) -> bool:
        return decision_id in self._opened

    def open(self, decision: ConsensusResult) -> None:
        """Let `decision` wait for a person."""
        deadline = decision.occurred_at + self._rules.review_timeout
        self._opened[decision.decision_id] = Review(decision=decision, deadline=deadline)

    def answer(self, verdict: ReviewVerdict) -> ConsensusResult:
        """Return the decision that `verdict` makes of an open review, and close the review."""
        review = self._opened[verdict.decision_id]
        if verdict.decided_at > review.deadline:
            outcome, reason = Outcome.REJECT, Reason.REVIEW_TIMEOUT
        elif not verdict.approved:
            outcome, reason = Outcome.REJECT, Reason.REVIEW_REJECTED
        elif self._price_moved(review.decision.proposal.reference_price, verdict.price_now):
            outcome, reason = Outcome.REJECT, Reason.PRICE_MOVED
        else:
            outcome, reason = Outcome.EXECUTE, Reason.APPROVED
        return self._close(review, outcome, reason, verdict.occurred_at, verdict.message_id)

    def expire(self, now: datetime) -> Sequence[ConsensusResult]:
        """Close the reviews that nobody answered in time; returns their rejections in order."""
        overdue = [r for r in self._opened.values() if r.deadline <= now]
        overdue.sort(key=lambda r: (r.deadline, r.decision.decision_id))
        return [self._close(r, Outcome.REJECT, Reason.REVIEW_TIMEOUT, r.deadline) for r in overdue]

    def _price_moved(self, then: Decimal, now: Decimal) -> bool:
        distance = EXACT.abs(EXACT.subtract(now, then))
        return distance > EXACT.multiply(then, self._rules.review_price_collar)

    def _close(
        self, review: Review, outcome: Outcome, reason: Reason, moment: datetime, cause: str = ""
    ) -> ConsensusResult:
        """Return the decision that ends a review: a new event, the first one stays as it was."""
        decision = review.decision
        del self._opened[decision.decision_id]
        return msgspec.structs.replace(
            decision,
            message_id=derive_id("review", decision.decision_id),
            causation_id=cause or decision.decision_id,
            occurred_at=max(moment, decision.occurred_at),
            outcome=outcome,
            reason=reason,
        )
