"""Manual review: decisions that wait for persons, and what ends the wait.

Pure like the engine that owns it: `Reviews` changes only the state it is given, and time enters
with the messages. All that the outcome depends on is in the log: the terms (`ReviewOpened`), every
answer that was taken, the escalation, and the decision that ends it. Who looks at a review just
now (`adapters.ledger.reviews`) changes no outcome and is not.

A trade above a value needs two persons. The first approval is recorded and the review stays open;
the second, of another person and with the price checked again, decides. One who rejects is enough.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

from consensus.rule import Reason
from domain.money import BILLIONTH, EXACT, notional
from domain.ports.ledger import Ignored
from domain.review import (
    ReviewEscalated,
    ReviewOpened,
    ReviewVerdict,
    escalated_id,
    final_id,
    opened_id,
    verdict_id,
)
from domain.rules import Rules
from domain.voting import ConsensusResult, Outcome


class Review(msgspec.Struct, kw_only=True):
    """A decision that waits for persons, and the approval of the first of two."""

    decision: ConsensusResult
    terms: ReviewOpened
    approved_by: str = ""
    escalated: bool = False


class Reviews:
    """The reviews that are open, by the id of the decision under review.

    Parameters
    ----------
    rules
        How long persons have, how far the price may have moved, above which value two must agree.
    opened
        The engine's state of them; changed in place.
    """

    def __init__(self, rules: Rules, opened: dict[str, Review]) -> None:
        self._rules = rules
        self._opened = opened

    def __contains__(self, decision_id: str) -> bool:
        return decision_id in self._opened

    def open(self, decision: ConsensusResult) -> ReviewOpened:
        """Let `decision` wait for persons; returns the terms."""
        rules, proposal = self._rules, decision.proposal
        value = notional(proposal.reference_price, proposal.quantity)
        distance = EXACT.multiply(proposal.reference_price, rules.review_price_collar)
        terms = ReviewOpened(
            message_id=opened_id(decision.decision_id),
            correlation_id=decision.correlation_id,
            causation_id=decision.decision_id,
            occurred_at=decision.occurred_at,
            decision_id=decision.decision_id,
            value=value,
            approvals_needed=2 if value > rules.review_four_eyes_above else 1,
            escalates_at=decision.occurred_at + rules.review_escalation,
            deadline=decision.occurred_at + rules.review_timeout,
            lowest_price=_inwards(proposal.reference_price - distance, ROUND_CEILING),
            highest_price=_inwards(proposal.reference_price + distance, ROUND_FLOOR),
        )
        self._opened[decision.decision_id] = Review(decision=decision, terms=terms)
        return terms

    def answer(self, verdict: ReviewVerdict) -> Sequence[ReviewVerdict | ConsensusResult | Ignored]:
        """Return what an answer to an open review causes: itself, and the end if it decides."""
        review = self._opened[verdict.decision_id]
        if reason := _without_effect(review, verdict):
            return [Ignored(message=verdict, reason=reason)]
        terms = review.terms
        if verdict.decided_at > terms.deadline:
            outcome, reason = Outcome.REJECT, Reason.REVIEW_TIMEOUT
        elif not verdict.approved:
            outcome, reason = Outcome.REJECT, Reason.REVIEW_REJECTED
        elif not terms.lowest_price <= verdict.price_now <= terms.highest_price:
            outcome, reason = Outcome.REJECT, Reason.PRICE_MOVED
        elif terms.approvals_needed > 1 and not review.approved_by:
            review.approved_by = verdict.actor
            return [verdict]
        else:
            outcome, reason = Outcome.EXECUTE, Reason.APPROVED
        end = self._close(review, outcome, reason, verdict.occurred_at, verdict.message_id)
        return [verdict, end]

    def expire(self, now: datetime) -> Sequence[ConsensusResult]:
        """Close the reviews that nobody answered in time; returns their rejections in order."""
        overdue = [r for r in self._opened.values() if r.terms.deadline <= now]
        overdue.sort(key=lambda r: (r.terms.deadline, r.terms.decision_id))
        return [
            self._close(r, Outcome.REJECT, Reason.REVIEW_TIMEOUT, r.terms.deadline) for r in overdue
        ]

    def escalate(self, now: datetime) -> Sequence[ReviewEscalated]:
        """Mark the reviews that have waited too long as urgent, each once, in order."""
        due = [r for r in self._opened.values() if not r.escalated and r.terms.escalates_at <= now]
        due.sort(key=lambda r: (r.terms.escalates_at, r.terms.decision_id))
        for review in due:
            review.escalated = True
        return [_escalated(r.terms) for r in due]

    def _close(
        self, review: Review, outcome: Outcome, reason: Reason, moment: datetime, cause: str = ""
    ) -> ConsensusResult:
        """Return the decision that ends a review: a new event, the first one stays as it was."""
        decision = review.decision
        del self._opened[decision.decision_id]
        return msgspec.structs.replace(
            decision,
            message_id=final_id(decision.decision_id),
            causation_id=cause or decision.decision_id,
            occurred_at=max(moment, decision.occurred_at),
            outcome=outcome,
            reason=reason,
        )


def _without_effect(review: Review, verdict: ReviewVerdict) -> str:
    """Return why an answer is not taken, or nothing."""
    # The id is unique on record: one that a sender makes up could collide with another event's,
    # and the record would refuse the whole batch.
    own = verdict_id(verdict.decision_id, verdict.actor, approved=verdict.approved)
    if verdict.message_id != own:
        return "wrong_id"
    if verdict.approved and verdict.actor == review.approved_by:
        return "same_person"
    return ""


def _escalated(terms: ReviewOpened) -> ReviewEscalated:
    return ReviewEscalated(
        message_id=escalated_id(terms.decision_id),
        correlation_id=terms.correlation_id,
        causation_id=terms.message_id,
        occurred_at=terms.escalates_at,
        decision_id=terms.decision_id,
        deadline=terms.deadline,
    )


def _inwards(price: Decimal, rounding: str) -> Decimal:
    """Return a limit in whole billionths: every price that it admits, the exact one admits too."""
    return price.quantize(BILLIONTH, rounding=rounding, context=EXACT)
