"""The gateway's side of the exactly-once processor: messages in, recorded order events out.

The log "orders" holds what was taken in (bars without their indicators, decisions) and what it
caused. It is the only memory: recovery folds it, from the newest snapshot on, and brings the paper
venue back from it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

import msgspec
import structlog

from consensus.authenticity import Authenticity
from consensus.handler import Batch, Effects, dead_letter
from domain.errors import RecordIncomplete
from domain.experience import Experience
from domain.limits import LimitChangeUpdated, LimitsDeclared
from domain.market import FeedChanged, MarketData
from domain.messages import Message
from domain.metrics import Metric
from domain.money import ZERO
from domain.orders import (
    ExecutionReport,
    OrderUpdated,
    TradingStateChanged,
    TradingStateRequested,
)
from domain.portfolio import PortfolioUpdated
from domain.ports.broker import Broker
from domain.ports.clock import Clock
from domain.ports.kill_switch import KillSwitch
from domain.ports.ledger import (
    DeadLetter,
    Ignored,
    Ledger,
    Log,
    Outgoing,
    Recorded,
    Reservation,
)
from domain.ports.limit_requests import LimitRequests
from domain.ports.metrics import Metrics
from domain.reconciliation import Reconciled
from domain.refusals import Refusal
from domain.settings import Settings
from domain.streams import Stream, partition_of
from domain.voting import ConsensusResult
from trading.book import OrderBook
from trading.gateway import Gateway
from trading.order_context import Surroundings
from trading.paper_venue import PaperVenue
from trading.planner import ExecutionPlanner

#: Who hears of what; the inputs that are recorded are nobody's news.
_STREAMS: Mapping[type[Message], Stream] = {
    OrderUpdated: Stream.ORDERS,
    TradingStateChanged: Stream.ORDERS,
    LimitsDeclared: Stream.ORDERS,
    LimitChangeUpdated: Stream.ORDERS,
    Reconciled: Stream.ORDERS,
    ExecutionReport: Stream.EXECUTIONS,
    PortfolioUpdated: Stream.PORTFOLIO,
    Experience: Stream.EXPERIENCES,
}
_PAGE = 1000
_EVENTS_BETWEEN_SNAPSHOTS = 10_000
_log = structlog.get_logger(__name__)

#: One portfolio has one writer, whatever the number of stream partitions.
LOG_PARTITION = 0


class GatewayHandler:
    """Runs a `Gateway` under `consensus.processor.Processor` (implements its `Handler`).

    A venue inside this process is part of the state that the log rebuilds, so orders reach it at
    once and the result does not depend on how messages were batched. A venue outside hears of an
    order only after the order is committed.

    Parameters
    ----------
    venue
        Where orders go.
    clock
        Tells the controls how old a price is.
    authenticity
        Judges decisions and requests; None takes them as they come (a backtest).
    switch, limit_requests, around
        As for `Gateway`.
    """

    log: str = Log.ORDERS

    def __init__(
        self,
        venue: Broker,
        clock: Clock,
        metrics: Metrics,
        settings: Settings,
        authenticity: Authenticity | None = None,
        *,
        switch: KillSwitch | None = None,
        limit_requests: LimitRequests | None = None,
        around: Surroundings | None = None,
        events_between_snapshots: int = _EVENTS_BETWEEN_SNAPSHOTS,
    ) -> None:
        self._switch = switch
        self._limit_requests = limit_requests
        self._around = around
        self._compared_at: datetime | None = None
        self._limits_declared = False
        self._reservations: list[Reservation] = []
        self._authenticity = authenticity
        self._between = events_between_snapshots
        self._since_snapshot = 0
        self._venue = venue
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self.gateway = self._new_gateway()

    async def recover(self, ledger: Ledger) -> None:
        """Forget everything and fold the log again, from the newest snapshot on."""
        gateway, after = self._new_gateway(), 0
        snapshot = await ledger.snapshot(self.log, LOG_PARTITION)
        if snapshot is not None:
            try:
                gateway.resume(OrderBook.from_bytes(snapshot.data, self._settings.trading))
                after = snapshot.sequence
            except msgspec.ValidationError as problem:
                _log.warning("a snapshot of another release: read all orders", problem=str(problem))
        self._since_snapshot = 0
        async for page in _recorded(ledger, after):
            gateway.recover(entry.message for entry in page)
            self._since_snapshot += len(page)
        if isinstance(self._venue, PaperVenue):
            book = gateway.book
            self._venue.restore(book.orders.values(), book.ledger.quantities(), book.market)
        self.gateway = gateway
        self._compared_at = None
        self._limits_declared = False
        await self._compare_reservations(ledger)

    async def _compare_reservations(self, ledger: Ledger) -> None:
        """See that the capital held is what the orders on record hold; else mend it, and say so."""
        self._reservations = []
        ours = self.gateway.book.ledger
        ours.take_changed()
        known = await ledger.reservations(self.log, LOG_PARTITION)
        for order in sorted({*known, *ours.reservations}):
            found, right = known.get(order, ZERO), ours.reservations.get(order, ZERO)
            if found != right:
                _log.error("a reservation is not its order's", order=order, found=str(found))
                self._metrics.count(Metric.RESERVATIONS_MENDED)
                self._reservations.append(Reservation(client_order_id=order, amount=right))

    def _reserved(self) -> tuple[Reservation, ...]:
        """Return the reservations that changed since they were last committed."""
        before, self._reservations = self._reservations, []
        changed = self.gateway.book.ledger.take_changed().items()
        return (*before, *(Reservation(client_order_id=o, amount=a) for o, a in changed))

    async def handle(self, batch: Batch) -> Effects:
        """Return what the messages cause, in order."""
        events: list[Message] = []
        outbox: list[Outgoing] = []
        ignored: list[Ignored] = []
        letters: list[DeadLetter] = []
        for delivery, message in batch:
            if self._authenticity and (refused := self._authenticity.refusal(delivery, message)):
                letters.append(dead_letter(delivery, *refused))
                continue
            if isinstance(message, MarketData | ConsensusResult):
                self._clock.observe(message.occurred_at)
                for event in (
                    *self._declared(message),
                    *await self._compared(),
                    *await self.gateway.obey(),
                ):
                    events.append(event)
                    outbox += self._outgoing(event, (event,))
            caused = await self._take(message)
            if caused is None:
                found = f"The gateway takes no {type(message).__name__}."
                letters.append(dead_letter(delivery, Refusal.UNEXPECTED_TYPE, found))
            elif not caused:
                ignored.append(Ignored(message=message, reason="duplicate"))
            else:
                events += caused
                outbox += self._outgoing(message, caused)
        return Effects(
            events=tuple(events),
            outbox=tuple(outbox),
            dead_letters=tuple(letters),
            ignored=tuple(ignored),
            snapshot=self._snapshot(len(events)),
            reservations=self._reserved(),
        )

    def _declared(self, cause: Message) -> Sequence[Message]:
        """Put the settings' limits on record before anything else; say which do not hold."""
        if self._limits_declared:
            return ()
        self._limits_declared = True
        events = self.gateway.declare_limits(cause)
        if events and (looser := self.gateway.book.limits.looser_in_settings()):
            _log.warning("the settings' limits do not hold: a raise takes two persons", of=looser)
            self._metrics.count(Metric.LIMIT_CHANGES, len(looser), status="NOT_ADOPTED")
        return events

    async def _compared(self) -> Sequence[Message]:
        """Compare with the venue before anything else is taken in, and from time to time."""
        now = self._clock.now()
        if self._compared_at is None:
            events = await self.gateway.reconcile()
        elif (now - self._compared_at).total_seconds() < self._settings.trading.drop_copy_seconds:
            return ()
        else:
            events = await self.gateway.compare()
        self._compared_at = now
        return events

    async def committed(self, effects: Effects) -> Effects | None:  # noqa: ARG002 - what is unsent counts
        """Send committed orders to a venue outside; inside there is nothing left to send."""
        outbox: list[Outgoing] = []
        events = await self.gateway.dispatch()
        for event in events:
            outbox += self._outgoing(event, (event,))
        if not events:
            return None
        return Effects(events=tuple(events), outbox=tuple(outbox), reservations=self._reserved())

    def _snapshot(self, events: int) -> bytes | None:
        self._since_snapshot += events
        # It holds all that is remembered, so it is written the more seldom the more that is.
        if self._since_snapshot < max(self._between, self.gateway.book.remembered):
            return None
        self._since_snapshot = 0
        return self.gateway.book.to_bytes()

    def _new_gateway(self) -> Gateway:
        return Gateway(
            self._venue,
            self._clock,
            self._metrics,
            self._settings.trading,
            self._around,
            switch=self._switch,
            limit_requests=self._limit_requests,
            plan=ExecutionPlanner(self._settings.trading, self._metrics),
        )

    async def _take(self, message: Message) -> Sequence[Message] | None:
        """Return what a message causes, or None if it is not the gateway's to take."""
        match message:
            case MarketData():
                events = [*await self.gateway.on_market_data(message)]
            case ConsensusResult():
                events = [*await self.gateway.on_decision(message)]
            case FeedChanged():  # bars that come late are refused by their age
                return ()
            case TradingStateRequested():
                return await self.gateway.on_request(message)
            case _:
                return None
        if isinstance(self._venue, PaperVenue):
            events += await self.gateway.dispatch()
        return events

    def _outgoing(self, cause: Message, events: Sequence[Message]) -> list[Outgoing]:
        partition = partition_of(_symbol(cause), self._settings.partitions)
        return [
            Outgoing(stream=stream, partition=partition, message=event)
            for event in events
            if (stream := _STREAMS.get(type(event))) is not None
        ]


def _symbol(message: Message) -> str:
    """Return the symbol that a message is about; what is about none goes to partition 0."""
    match message:
        case MarketData(symbol=symbol):
            return symbol
        case ConsensusResult(proposal=proposal):
            return proposal.symbol
        case OrderUpdated(order=order):
            return order.symbol
        case _:
            return ""


async def _recorded(ledger: Ledger, after: int) -> AsyncIterator[Sequence[Recorded]]:
    """Yield the log's events behind `after`, oldest first, by pages.

    Raises
    ------
    RecordIncomplete
        If the first of them are not there.
    """
    while page := await ledger.events(Log.ORDERS, LOG_PARTITION, after=after, limit=_PAGE):
        if page[0].sequence != after + 1:
            raise RecordIncomplete(
                f"The orders log has event {page[0].sequence} where {after + 1} should follow.",
                kept="Nothing was traded on a state that can't be known.",
                next_step="Start the release that archived the months before, or restore a backup.",
            )
        yield page
        after = page[-1].sequence
