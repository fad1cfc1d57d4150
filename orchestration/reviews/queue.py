"""The queue as it is on record: reviews put together from the log of decisions and the claims."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from adapters.ledger.reviews import ReviewTables
from domain.errors import NotOnRecord
from domain.messages import Message
from domain.review import ReviewOpened, ReviewVerdict, escalated_id, final_id, opened_id
from domain.settings import Settings
from domain.voting import ConsensusResult
from orchestration.record import read_side
from orchestration.reviews.review import Review, review_of


class ReviewQueue:
    """Reads reviews.

    Parameters
    ----------
    settings
        Connected settings, the ledger's schema at its head.
    tables
        The recorded events, and the claims.
    """

    def __init__(self, settings: Settings, tables: ReviewTables) -> None:
        self._settings = settings
        self._tables = tables

    def waiting(self, limit: int) -> Sequence[Review]:
        """Return the reviews that have not ended, oldest first."""
        with read_side(self._settings) as queries:
            found = [entry.message for entry in queries.waiting_reviews(limit=limit)]
        reviews = self._reviews([m for m in found if isinstance(m, ConsensusResult)])
        # The projection may be behind the log: what has ended there meanwhile is left out.
        return [review for review in reviews if review.final is None]

    def find(self, decision_id: str) -> Review:
        """Return one review, whether it has ended or not.

        Raises
        ------
        NotOnRecord
            If no such decision is on record, or it was not sent to persons.
        """
        events = self._tables.events([decision_id]) if _is_id(decision_id) else {}
        decision = events.get(decision_id)
        if not isinstance(decision, ConsensusResult):
            raise NotOnRecord(
                f"No decision on record has the id {decision_id!r:.80}.",
                next_step="`quorum review list` shows those that wait for a person.",
            )
        review = next(self._reviews([decision]), None)
        if review is None:
            raise NotOnRecord(
                f"Decision {decision_id} was not sent to a person: "
                f"{decision.outcome} ({decision.reason}).",
                next_step=f"`quorum explain {decision_id}` tells why.",
            )
        return review

    def _reviews(self, decisions: Sequence[ConsensusResult]) -> Iterator[Review]:
        """Yield the review of each decision that has one."""
        parts = {decision.decision_id: _parts(decision.decision_id) for decision in decisions}
        events = self._tables.events([part for ids in parts.values() for part in ids])
        claims = self._tables.claims(list(parts))
        for decision in decisions:
            decision_id = decision.decision_id
            found = [events[part] for part in parts[decision_id] if part in events]
            found += self._verdicts(decision.correlation_id, found)
            review = review_of(decision, found, claim=claims.get(decision_id))
            if review is not None:
                yield review

    def _verdicts(self, correlation_id: str, parts: Sequence[Message]) -> Sequence[Message]:
        """Return what persons said: the end names what caused it; a first approval is looked up."""
        if any(isinstance(p, ReviewOpened) and p.approvals_needed > 1 for p in parts):
            with read_side(self._settings) as queries:
                walk = [entry.message for entry in queries.walks.events(correlation_id)]
            return [message for message in walk if isinstance(message, ReviewVerdict)]
        causes = [part.causation_id for part in parts if isinstance(part, ConsensusResult)]
        return list(self._tables.events(causes).values()) if causes else []


def _parts(decision_id: str) -> tuple[str, ...]:
    return opened_id(decision_id), escalated_id(decision_id), final_id(decision_id)


def _is_id(text: str) -> bool:
    """Whether it looks like an id; what does not, the database never sees."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
