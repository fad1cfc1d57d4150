"""Manual review: the queue of decisions that wait for a person, and the person's answer.

The answer goes over the bus to the engine, which alone decides what it means; the command waits
for what the engine recorded, so what it prints is on record.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from adapters.bus import open_bus
from adapters.clock import open_clock
from adapters.keys import sealing
from adapters.ledger import migrate
from adapters.processes.run_file import find_process
from adapters.profile import connected
from adapters.projections.queries import Queries
from domain.errors import EnvironmentProblem, InvalidValue, MessageRefused
from domain.identity import derive_id
from domain.market import MarketData
from domain.messages import Value, decode
from domain.ports.bus import MessageBus
from domain.ports.clock import Clock
from domain.ports.ledger import Log
from domain.producers import Producer
from domain.settings import Settings
from domain.streams import Stream, partition_of
from domain.voting import ConsensusResult, Outcome, ReviewVerdict
from orchestration.live_plane import CONSENSUS
from orchestration.record import read_side

_POLL_SECONDS = 0.05
_PAGE = 1000


class Review(Value, frozen=True, kw_only=True):
    """A decision that was sent to a person, and how it ended, if it did.

    Parameters
    ----------
    deadline
        When it is rejected unanswered.
    final
        The decision that ended the review.
    verdict
        The person's answer; absent where none came in time.
    """

    decision: ConsensusResult
    deadline: datetime
    final: ConsensusResult | None = None
    verdict: ReviewVerdict | None = None


class Answered(Value, frozen=True, kw_only=True):
    """What became of an answer.

    Parameters
    ----------
    review
        The review with its end.
    by_this_call
        Whether this call's answer is the one that counted.
    """

    review: Review
    by_this_call: bool


class Answer(NamedTuple):
    """What a person says about a decision; without a price the last one on the bus is taken."""

    approved: bool
    actor: str
    reason: str
    price: Decimal | None = None


def waiting_reviews(settings: Settings, *, limit: int) -> Sequence[Review]:
    """Return the reviews that nobody has answered, oldest first."""
    with read_side(settings) as queries:
        found = [entry.message for entry in queries.waiting_reviews(limit=limit)]
    return [
        Review(decision=decision, deadline=_deadline(settings, decision))
        for decision in found
        if isinstance(decision, ConsensusResult)
    ]


def find_review(settings: Settings, decision_id: str) -> Review:
    """Return one review, whether it is answered or not.

    Raises
    ------
    InvalidValue
        If no such decision is on record, or it was not sent to a person.
    """
    with read_side(settings) as queries:
        return _review(settings, queries, decision_id)


def answer_review(
    settings: Settings, decision_id: str, answer: Answer, *, patience_seconds: float
) -> Answered:
    """Send a person's answer to the engine and wait for what it makes of it.

    Raises
    ------
    EnvironmentProblem
        If the consensus does not run in this state folder, or does not answer in time.
    InvalidValue
        If the decision can't be answered, or there is no price to check.
    """
    if find_process(settings.home, CONSENSUS) is None:
        raise EnvironmentProblem(
            f"The consensus does not run in {settings.home}.",
            next_step="Start the platform there (`quorum up`), then answer again.",
        )
    with connected(settings, servers=("postgres", "valkey"), producer=Producer.OPERATOR) as ready:
        url = ready.ledger_url.get_secret_value()
        migrate(url)
        queries = Queries(url)
        try:
            review = _review(ready, queries, decision_id)
            if review.final is not None:
                return Answered(review=review, by_this_call=False)
            verdict = asyncio.run(_send(ready, review.decision, answer))
            review = _wait(ready, queries, decision_id, patience_seconds)
            return Answered(review=review, by_this_call=review.verdict == verdict)
        finally:
            queries.close()


def _review(settings: Settings, queries: Queries, decision_id: str) -> Review:
    decision = _event(queries, decision_id)
    if not isinstance(decision, ConsensusResult):
        raise InvalidValue(
            f"No decision on record has the id {decision_id}.",
            next_step="`quorum review list` shows those that wait for a person.",
        )
    if decision.outcome is not Outcome.MANUAL_REVIEW:
        raise InvalidValue(
            f"Decision {decision_id} was not sent to a person: "
            f"{decision.outcome} ({decision.reason}).",
            next_step=f"`quorum explain {decision_id}` tells why.",
        )
    final = _event(queries, derive_id("review", decision_id))
    verdict = None
    if isinstance(final, ConsensusResult):
        verdict = _event(queries, final.causation_id)
    return Review(
        decision=decision,
        deadline=_deadline(settings, decision),
        final=final if isinstance(final, ConsensusResult) else None,
        verdict=verdict if isinstance(verdict, ReviewVerdict) else None,
    )


def _event(queries: Queries, message_id: str) -> object:
    entry = queries.event(Log.DECISIONS, message_id)
    return None if entry is None else entry.message


def _deadline(settings: Settings, decision: ConsensusResult) -> datetime:
    return decision.occurred_at + timedelta(seconds=settings.consensus.review_timeout_seconds)


async def _send(settings: Settings, decision: ConsensusResult, answer: Answer) -> ReviewVerdict:
    """Publish the answer; every answer to one decision has the same id, so one counts."""
    proposal, clock, bus = (
        decision.proposal,
        open_clock(settings),
        open_bus(settings, encode=sealing(settings, Producer.OPERATOR)),
    )
    partition = partition_of(proposal.symbol, settings.partitions)
    try:
        bar = await _last_bar(bus, clock, partition, proposal.symbol)
        clock.observe(decision.occurred_at)
        now = clock.now()
        verdict = ReviewVerdict(
            message_id=derive_id("verdict", decision.decision_id),
            correlation_id=decision.correlation_id,
            causation_id=decision.decision_id,
            occurred_at=now,
            decision_id=decision.decision_id,
            approved=answer.approved,
            actor=answer.actor,
            reason=answer.reason,
            price_now=_price(settings, decision, answer, bar, now),
            decided_at=now,
        )
        await bus.publish(Stream.REVIEWS, partition, verdict)
    finally:
        await bus.close()
    return verdict


async def _last_bar(
    bus: MessageBus, clock: Clock, partition: int, symbol: str
) -> MarketData | None:
    """Return the symbol's last bar on the bus; the clock observes every bar."""
    found, after = None, ""
    while page := await bus.read(Stream.MARKET, partition, after=after, limit=_PAGE):
        after = page[-1].position
        for delivery in page:
            try:
                message = decode(delivery.data)
            except MessageRefused:  # others look after what is malformed
                continue
            clock.observe(message.occurred_at)
            if isinstance(message, MarketData) and message.symbol == symbol:
                found = message
    return found


def _price(
    settings: Settings,
    decision: ConsensusResult,
    answer: Answer,
    bar: MarketData | None,
    now: datetime,
) -> Decimal:
    """Return the price to check; a rejection needs none, so the proposal's will do."""
    if answer.price is not None:
        return answer.price
    if not answer.approved:
        return decision.proposal.reference_price if bar is None else bar.price
    oldest = now - timedelta(seconds=settings.trading.maximum_price_age_seconds)
    if bar is not None and bar.observed_at >= oldest:
        return bar.price
    symbol = decision.proposal.symbol
    raise InvalidValue(
        f"No price of {symbol} is on the bus."
        if bar is None
        else f"The last price of {symbol} on the bus, {bar.price}, is of "
        f"{bar.observed_at:%Y-%m-%d %H:%M} UTC: too old to approve by.",
        next_step="Say what it costs now: --price.",
    )


def _wait(
    settings: Settings, queries: Queries, decision_id: str, patience_seconds: float
) -> Review:
    """Return the review once the engine ended it."""
    deadline = time.monotonic() + patience_seconds
    while (review := _review(settings, queries, decision_id)).final is None:
        if time.monotonic() > deadline:
            raise EnvironmentProblem(
                f"The consensus did not answer within {patience_seconds:g} s.",
                kept="Your answer is on the bus; it is taken in when the consensus is ready.",
                next_step=f"`quorum status` tells what is wrong, `quorum review show {decision_id}`"
                " what became of your answer.",
            )
        time.sleep(_POLL_SECONDS)
    return review
