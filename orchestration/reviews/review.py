"""A review as a person needs to see it, put together from what is recorded about it."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.errors import Conflict
from domain.messages import Message, Value
from domain.review import Claim, ReviewEscalated, ReviewOpened, ReviewVerdict, verdict_id
from domain.voting import ConsensusResult


class ReviewState(StrEnum):
    """Where a review stands."""

    WAITING = "waiting"
    WAITING_FOR_SECOND = "waiting_for_second_approval"
    ENDED = "ended"


class Price(Value, frozen=True, kw_only=True):
    """The market's last price of a symbol."""

    price: Decimal
    observed_at: datetime


class Review(Value, frozen=True, kw_only=True):
    """A decision that was sent to persons, and how it ended, if it did.

    Parameters
    ----------
    terms
        The deadline, how many must approve, where the price may be.
    escalated
        Whether it is urgent.
    verdicts
        What persons answered, in order.
    claim
        Who looks at it just now.
    price_now
        The market's last price; absent in a list, and where none is known.
    final
        The decision that ended it.
    """

    state: ReviewState
    decision: ConsensusResult
    terms: ReviewOpened
    escalated: bool = False
    verdicts: tuple[ReviewVerdict, ...] = ()
    claim: Claim | None = None
    price_now: Price | None = None
    final: ConsensusResult | None = None

    def has_said(self, actor: str, *, approved: bool) -> bool:
        """Whether this person's answer of that kind was taken."""
        said = verdict_id(self.decision.decision_id, actor, approved=approved)
        return any(verdict.message_id == said for verdict in self.verdicts)

    def account(self) -> str:
        """Return how it ended, or how far it is, in a sentence; empty while nobody answered."""
        words = "; ".join(map(_said, self.verdicts))
        if self.final is None:
            return f"{words}; a second person must approve." if words else ""
        end = f"{self.final.outcome} ({self.final.reason})"
        return f"{end}: {words}" if words else f"{end}: nobody answered in time."


def review_of(
    decision: ConsensusResult, others: Iterable[Message], *, claim: Claim | None = None
) -> Review | None:
    """Return the review of `decision` from what else is recorded about it; None: there is none."""
    terms, final, escalated = None, None, False
    verdicts: list[ReviewVerdict] = []
    for event in others:
        match event:
            case ReviewOpened() if event.decision_id == decision.decision_id:
                terms = event
            case ReviewEscalated() if event.decision_id == decision.decision_id:
                escalated = True
            case ReviewVerdict() if event.decision_id == decision.decision_id:
                verdicts.append(event)
            case ConsensusResult() if event.decision_id != decision.decision_id:
                final = event
            case _:
                pass
    if terms is None:
        return None
    waiting = ReviewState.WAITING_FOR_SECOND if verdicts else ReviewState.WAITING
    return Review(
        state=waiting if final is None else ReviewState.ENDED,
        decision=decision,
        terms=terms,
        escalated=escalated,
        verdicts=tuple(verdicts),
        claim=claim if final is None else None,
        final=final,
    )


def answered_before(review: Review) -> Conflict:
    """Return the error that tells a person who was first."""
    decision_id = review.decision.decision_id
    return Conflict(
        f"Decision {decision_id} was answered before: {review.account()}",
        kept="What was answered stands.",
        next_step=f"`quorum review show {decision_id}` tells all of it.",
    )


def _said(verdict: ReviewVerdict) -> str:
    word = "approved" if verdict.approved else "rejected"
    source = "the market's" if verdict.price_observed_at else "their own word"
    return (
        f"{word} by {verdict.actor} at {verdict.decided_at:%Y-%m-%d %H:%M:%S} UTC at a price of "
        f"{verdict.price_now} ({source}): “{verdict.reason}”"
    )
