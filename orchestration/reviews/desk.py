"""The review desk: the queue of decisions that wait for persons, and the persons' answers.

The command line and the HTTP API are two doors to it. An answer goes over the bus to the engine,
which alone decides what it means; the desk waits for what the engine recorded, so what it tells is
on record. Of persons who answer at once the engine takes one, and the desk tells the others who.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from adapters.bus import open_bus
from adapters.clock import open_clock
from adapters.keys import sealing
from adapters.ledger import migrate
from adapters.ledger.reviews import ReviewTables
from adapters.persons import Person, Persons
from adapters.processes.run_file import find_process
from adapters.profile import connected
from domain.errors import Conflict, EnvironmentProblem, InvalidValue, NotPermitted
from domain.market import MarketData
from domain.producers import Producer
from domain.review import Claim, ReviewVerdict, final_id, statement, verdict_id
from domain.settings import Profile, Settings
from domain.streams import Stream, partition_of
from domain.voting import TradingProposal
from orchestration.live_plane import CONSENSUS
from orchestration.reviews.prices import LastPrices
from orchestration.reviews.queue import ReviewQueue
from orchestration.reviews.review import Price, Review, answered_before

_POLL_SECONDS = 0.05
_Result = TypeVar("_Result")


class Answer(NamedTuple):
    """What a person says; the market's price goes before the one that a person gives."""

    approved: bool
    reason: str
    price: Decimal | None = None


class ReviewDesk:
    """Looks at reviews, and takes claims and answers.

    Parameters
    ----------
    settings
        Connected settings, the ledger's schema at its head.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.persons = Persons(settings.home)
        self.tables = ReviewTables(settings.ledger_url.get_secret_value())
        self._queue = ReviewQueue(settings, self.tables)
        self._bus = open_bus(settings, encode=sealing(settings, Producer.OPERATOR))
        self._clock = open_clock(settings)
        self._prices = LastPrices(self._bus, settings.partitions, self._clock)

    async def waiting(self, *, limit: int) -> Sequence[Review]:
        """Return the reviews that have not ended, oldest first."""
        return await asyncio.to_thread(self._queue.waiting, limit)

    async def find(self, decision_id: str) -> Review:
        """Return one review with the price now, whether it has ended or not.

        Raises
        ------
        NotOnRecord
            If no such decision is on record, or it was not sent to persons.
        """
        review = await asyncio.to_thread(self._queue.find, decision_id)
        bar = await self._prices.of(review.decision.proposal.symbol)
        if bar is None:
            return review
        return replace(review, price_now=Price(price=bar.price, observed_at=bar.observed_at))

    async def claim(self, decision_id: str, person: Person) -> Claim:
        """Say that this person looks at a review; said again, it is renewed.

        Raises
        ------
        Conflict
            If it has ended, or another person looks at it.
        NotOnRecord
            As `find`.
        """
        review = await asyncio.to_thread(self._queue.find, decision_id)
        if review.final is not None:
            raise answered_before(review)
        seconds = self._settings.review.claim_seconds
        claim = await asyncio.to_thread(self.tables.claim, decision_id, person.name, seconds)
        if claim.actor != person.name:
            raise _claimed(claim)
        return claim

    async def release(self, decision_id: str, person: Person) -> None:
        """End this person's claim, if there is one."""
        await asyncio.to_thread(self._queue.find, decision_id)
        await asyncio.to_thread(self.tables.release, decision_id, person.name)

    async def answer(
        self, decision_id: str, person: Person, answer: Answer, *, patience_seconds: float
    ) -> Review:
        """Send a person's answer to the engine; returns the review with what that made of it.

        To say the same again changes nothing and returns the same.

        Raises
        ------
        Conflict
            If another answered first, another person looks at it just now, or the price that is
            given is not the market's, or there is none.
        NotPermitted
            If the trade is worth more than this person may approve.
        NotOnRecord
            As `find`.
        InvalidValue
            If the reason can't go on record.
        EnvironmentProblem
            If the consensus does not run here, or does not answer in time.
        """
        answer = answer._replace(reason=statement(answer.reason))
        review = await self.find(decision_id)
        if review.has_said(person.name, approved=answer.approved):
            return review
        self._admit(review, person, answer)
        verdict = await self._send(review, person, answer)
        await self._taken_in(verdict, patience_seconds)
        review = await self.find(decision_id)
        if not review.has_said(person.name, approved=answer.approved):
            raise answered_before(review)
        await asyncio.to_thread(self.tables.release, decision_id, person.name)
        return review

    def now(self, reviews: Iterable[Review]) -> datetime | None:
        """Return the desk's time, given that these were seen; None while it is not known."""
        for review in reviews:
            self._clock.observe(review.decision.occurred_at)
        try:
            return self._clock.now()
        except InvalidValue:  # an event clock before the first event
            return None

    async def close(self) -> None:
        """Release the connections."""
        await self._bus.close()
        self.tables.close()

    def _admit(self, review: Review, person: Person, answer: Answer) -> None:
        if review.final is not None:
            raise answered_before(review)
        if review.claim is not None and review.claim.actor != person.name:
            raise _claimed(review.claim)
        value, limit = review.terms.value, person.approval_limit
        if answer.approved and limit is not None and value > limit:
            currency = review.decision.proposal.portfolio.currency
            raise NotPermitted(
                f"The trade is worth {value} {currency}; {person.name} may approve up to {limit}.",
                next_step="Ask a person with a higher limit, or reject it.",
            )
        settings = self._settings
        if settings.profile is Profile.EMBEDDED and find_process(settings.home, CONSENSUS) is None:
            raise EnvironmentProblem(
                f"The consensus does not run in {settings.home}.",
                next_step="Start the platform there (`quorum up`), then answer again.",
            )

    async def _send(self, review: Review, person: Person, answer: Answer) -> ReviewVerdict:
        decision = review.decision
        symbol = decision.proposal.symbol
        bar = await self._prices.of(symbol)
        self._clock.observe(decision.occurred_at)
        now = self._clock.now()
        age = timedelta(seconds=self._settings.trading.maximum_price_age_seconds)
        fresh = bar if bar is not None and bar.observed_at >= now - age else None
        price = _price(decision.proposal, answer, bar, fresh)
        verdict = ReviewVerdict(
            message_id=verdict_id(decision.decision_id, person.name, approved=answer.approved),
            correlation_id=decision.correlation_id,
            causation_id=decision.decision_id,
            occurred_at=now,
            decision_id=decision.decision_id,
            approved=answer.approved,
            actor=person.name,
            reason=answer.reason,
            price_now=price,
            price_observed_at=fresh.observed_at if fresh else None,
            decided_at=now,
        )
        partition = partition_of(symbol, self._settings.partitions)
        await self._bus.publish(Stream.REVIEWS, partition, verdict)
        return verdict

    async def _taken_in(self, verdict: ReviewVerdict, patience_seconds: float) -> None:
        """Wait until the answer is on record, or the review has ended without it."""
        awaited = [verdict.message_id, final_id(verdict.decision_id)]
        deadline = time.monotonic() + patience_seconds
        while not await asyncio.to_thread(self.tables.events, awaited):
            if time.monotonic() > deadline:
                raise EnvironmentProblem(
                    f"The consensus did not answer within {patience_seconds:g} s.",
                    kept="Your answer is on the bus; it is taken in when the consensus is ready.",
                    next_step="`quorum status` tells what is wrong, `quorum review show "
                    f"{verdict.decision_id}` what became of your answer.",
                )
            await asyncio.sleep(_POLL_SECONDS)


def at_desk(settings: Settings, act: Callable[[ReviewDesk], Awaitable[_Result]]) -> _Result:
    """Return what `act` does at a desk that is open for it."""

    async def open_for(ready: Settings) -> _Result:
        desk = ReviewDesk(ready)
        try:
            return await act(desk)
        finally:
            await desk.close()

    with connected(settings, producer=Producer.OPERATOR) as ready:
        migrate(ready.ledger_url.get_secret_value())
        return asyncio.run(open_for(ready))


def _claimed(claim: Claim) -> Conflict:
    return Conflict(
        f"{claim.actor} looks at decision {claim.decision_id} until "
        f"{claim.expires_at:%Y-%m-%d %H:%M:%S} UTC.",
        next_step=f"Take another one, ask {claim.actor} to release it, or wait until then.",
    )


def _price(
    proposal: TradingProposal, answer: Answer, bar: MarketData | None, fresh: MarketData | None
) -> Decimal:
    """Return the price to check: the market's while it is fresh, else the person's word."""
    if fresh is not None:
        if answer.price is None or answer.price == fresh.price:
            return fresh.price
        raise Conflict(
            f"The market's price of {fresh.symbol} is {fresh.price}, of "
            f"{fresh.observed_at:%Y-%m-%d %H:%M} UTC; {answer.price} was given.",
            next_step="Leave the price out; the market's is taken.",
        )
    if answer.price is not None:
        return answer.price
    if not answer.approved:  # a rejection needs none
        return proposal.reference_price
    raise Conflict(
        f"No price of {proposal.symbol} is on the bus."
        if bar is None
        else f"The last price of {proposal.symbol} on the bus, {bar.price}, is of "
        f"{bar.observed_at:%Y-%m-%d %H:%M} UTC: too old to approve by.",
        next_step="Say what it costs now (`--price`).",
    )
