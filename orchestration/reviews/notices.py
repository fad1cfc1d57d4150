"""Telling persons that a review waits, and again, more urgently, when it is escalated.

What is announced is an event of the log (`ReviewOpened`, `ReviewEscalated`), and its id is the
notice's: however many desks run, and however often they start, one notice is delivered once, or
again only if a desk dies between the delivery and its note of it; the receiver knows the id then.
"""

import asyncio
from decimal import Decimal
from typing import Literal

import msgspec
import structlog
from sqlalchemy.exc import OperationalError

from adapters.ledger.reviews import ReviewTables
from adapters.webhook import TIMEOUT_SECONDS, Webhook
from domain.errors import EnvironmentProblem, QuorumError
from domain.messages import Value
from domain.metrics import Metric
from domain.ports.metrics import Metrics
from domain.review import escalated_id, opened_id
from domain.voting import Action
from orchestration.reviews.desk import ReviewDesk
from orchestration.reviews.review import Review

_POLL_SECONDS = 1.0
_MOST_REVIEWS = 500
_FIRST_PAUSE_SECONDS = 2 * TIMEOUT_SECONDS

_log = structlog.get_logger(__name__)


class Notice(Value, frozen=True, kw_only=True):
    """What is announced of a review; the agents' own words stay at the desk."""

    notice_id: str
    urgency: Literal["normal", "high"]
    decision_id: str
    symbol: str
    action: Action
    quantity: Decimal
    value: Decimal
    currency: str
    why: str
    approvals_needed: int
    deadline: str


class Announcer:
    """Announces waiting reviews: in the log always, to the webhook where there is one.

    Parameters
    ----------
    desk
        Where the reviews are.
    tables
        Which notices were delivered.
    webhook
        Who else is told.
    attempts
        How often the webhook is tried for one notice.
    metrics
        Where notices are counted.
    first_pause_seconds
        Between the first two attempts; longer than one takes, so that two never overlap.

    Attributes
    ----------
    problems
        Why nothing is announced; empty when all is well.
    """

    def __init__(
        self,
        desk: ReviewDesk,
        tables: ReviewTables,
        metrics: Metrics,
        *,
        webhook: Webhook | None,
        attempts: int,
        first_pause_seconds: float = _FIRST_PAUSE_SECONDS,
    ) -> None:
        self._desk = desk
        self._tables = tables
        self._metrics = metrics
        self._webhook = webhook
        self._attempts = attempts
        self._pause = first_pause_seconds
        self.problems: list[str] = []

    async def run(self) -> None:
        """Announce for ever; while the record is away there is nothing to announce."""
        while True:
            try:
                await self.announce()
                self.problems = []
            except (QuorumError, OperationalError) as problem:
                why = str(problem).splitlines()[0]
                _log.warning("reviews can't be looked at", error=why)
                self.problems = [f"reviews can't be looked at: {why}"]
            await asyncio.sleep(_POLL_SECONDS)

    async def announce(self) -> None:
        """Announce what waits and was not announced."""
        waiting = await self._desk.waiting(limit=_MOST_REVIEWS)
        self._metrics.gauge(Metric.REVIEWS_WAITING, len(waiting))
        await asyncio.gather(*(self._one(notice) for notice in map(notice_of, waiting)))

    async def _one(self, notice: Notice) -> None:
        attempt = await asyncio.to_thread(
            self._tables.attempt,
            notice.notice_id,
            most=self._attempts if self._webhook else 1,
            pause_seconds=self._pause,
        )
        if not attempt:
            return
        if attempt == 1:
            _log.warning(
                "a decision waits for a person",
                urgency=notice.urgency,
                decision_id=notice.decision_id,
                symbol=notice.symbol,
                value=str(notice.value),
                deadline=notice.deadline,
            )
        await self._deliver(notice, attempt)

    async def _deliver(self, notice: Notice, attempt: int) -> None:
        if self._webhook is not None:
            try:
                await self._webhook.send(notice.notice_id, msgspec.json.encode(notice))
            except EnvironmentProblem as problem:
                given_up = attempt == self._attempts
                outcome = "given_up" if given_up else "failed"
                self._metrics.count(Metric.REVIEW_NOTICES, urgency=notice.urgency, outcome=outcome)
                tell = _log.error if given_up else _log.warning
                tell("announcement not delivered", attempt=attempt, exc_info=problem)
                return
        await asyncio.to_thread(self._tables.delivered, notice.notice_id)
        self._metrics.count(Metric.REVIEW_NOTICES, urgency=notice.urgency, outcome="delivered")


def notice_of(review: Review) -> Notice:
    """Return what there is to announce of a review: that it waits, or that it is urgent."""
    proposal, terms = review.decision.proposal, review.terms
    event_id = escalated_id if review.escalated else opened_id
    return Notice(
        notice_id=event_id(terms.decision_id),
        urgency="high" if review.escalated else "normal",
        decision_id=terms.decision_id,
        symbol=proposal.symbol,
        action=proposal.action,
        quantity=proposal.quantity,
        value=terms.value,
        currency=proposal.portfolio.currency,
        why=review.decision.reason,
        approvals_needed=terms.approvals_needed,
        deadline=terms.deadline.isoformat(),
    )
