"""The order path's side of a venue: send once, ask what is in doubt, cancel, reconcile."""

from collections.abc import Mapping, Sequence

from domain.errors import VenueUnavailable
from domain.identity import derive_id
from domain.messages import Message
from domain.metrics import Metric
from domain.orders import (
    Order,
    OrderRole,
    OrderStatus,
    Scope,
    TradingState,
    TradingStateChanged,
)
from domain.ports.broker import Broker
from domain.ports.clock import Clock
from domain.ports.kill_switch import KillSwitch
from domain.ports.metrics import Metrics
from domain.reconciliation import Discrepancy, DiscrepancyKind, Reconciled
from domain.settings import TradingSettings
from trading.kill_switch import with_requests
from trading.order_state import IllegalTransition, OrderState, Overfill
from trading.reconciliation import differences
from trading.recorder import Recorder
from trading.trading_states import scopes_of, state_of

_UNANSWERED = (OrderStatus.SUBMITTED, OrderStatus.UNKNOWN)
_ENDED = (OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED)


class VenueLink:
    """Everything that is said to a venue, and what its answers cause.

    Parameters
    ----------
    broker
        The venue.
    recorder
        Where events go.
    clock
        Tells how long an order has been in doubt.
    settings
        The venue's name, and when what it never saw is over.
    switch
        What persons ask for beside the record.
    """

    def __init__(
        self,
        broker: Broker,
        recorder: Recorder,
        clock: Clock,
        metrics: Metrics,
        settings: TradingSettings,
        *,
        switch: KillSwitch,
    ) -> None:
        self._broker = broker
        self._recorder = recorder
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._switch = switch
        self._in_doubt: set[str] = set()
        self._was_lost = False
        self.connected = True
        self.book = recorder.book

    def states(self) -> Mapping[Scope, TradingState]:
        """Return the trading states that hold: recorded ones, and what the switch asks for."""
        return with_requests(self.book.states, self._switch.requests())

    def doubt(self) -> None:
        """Take for possibly sent what is recorded as submitted: a process before may have."""
        self._in_doubt = {
            state.order.client_order_id
            for state in self.book.open_orders()
            if state.status is OrderStatus.SUBMITTED
        }

    async def dispatch(self) -> Sequence[Message]:
        """Send what was decided and not yet sent, and learn what became of what is in doubt.

        Safe to repeat: what may have been sent before is asked about, never sent again.
        """
        events: list[Message] = []
        for state in self.book.open_orders():
            if state.order.role is OrderRole.PARENT:
                continue
            if state.status is OrderStatus.SUBMITTED:
                events += await self._send(state)
            elif state.status is OrderStatus.UNKNOWN:
                events += await self._resolve(state)
            elif state.status is OrderStatus.PENDING_CANCEL:
                events += await self.cancel(state.order.client_order_id)
        if self._was_lost and self.connected:
            self._was_lost = False
            if self._settings.cancel_on_disconnect:
                for state in self.book.open_orders():
                    events += await self.cancel(state.order.client_order_id)
        return events

    async def cancel(self, client_order_id: str, cause: Message | None = None) -> list[Message]:
        """Ask the venue to cancel an order; one that never left, or is over, needs no asking.

        One in doubt is asked about first: it is cancelled once the venue knows it.
        """
        state = self.book.orders[client_order_id]
        order = state.order
        if state.is_over or order.role is OrderRole.PARENT:
            return []
        if state.status is OrderStatus.INITIALIZED:
            return [self._recorder.update(order, OrderStatus.DENIED, cause, reason="cancelled")]
        events: list[Message] = []
        if state.status in _UNANSWERED:
            events += await self.ask(state, cause)
        if state.is_over or state.status in _UNANSWERED:
            return events
        if state.status is not OrderStatus.PENDING_CANCEL:
            events.append(self._recorder.update(order, OrderStatus.PENDING_CANCEL, cause))
        try:
            await self._broker.cancel(client_order_id)
        except VenueUnavailable:
            self._lost("cancel")
            return events
        return [*events, *await self.ask(state, cause)]

    async def compare(self) -> Sequence[Message]:
        """Reconcile while running; a venue that does not answer is asked again later."""
        try:
            return await self.reconcile()
        except VenueUnavailable:
            self._lost("compare")
            return []

    async def reconcile(self, *, looked: bool = False) -> Sequence[Message]:
        """Compare the record with the venue: book what explains itself, stop for what does not.

        What differs is looked at twice, and counts where it stays.

        Raises
        ------
        VenueUnavailable
            If the venue does not answer; without its answer nothing may be traded.
        """
        events: list[Message] = []
        found: list[Discrepancy] = []
        for state in self.book.open_orders():
            try:
                events += await self._catch_up(state)
            except (Overfill, IllegalTransition) as problem:
                found.append(
                    Discrepancy(
                        kind=DiscrepancyKind.FILL,
                        subject=state.order.client_order_id,
                        recorded=state.status,
                        venue=problem.what,
                    )
                )
        positions = await self._broker.positions()
        found += differences(self.book, await self._broker.open_orders(), positions)
        self.connected = True
        if found and not looked:  # something may have filled between two questions
            return [*events, *await self.reconcile(looked=True)]
        if not found:
            return events
        report = Reconciled(
            message_id=derive_id("reconciled", *map(str, found)),
            correlation_id="reconciliation",
            occurred_at=self._clock.now(),
            venue=self._settings.venue,
            orders=len(self.book.open_orders()),
            symbols=len(positions),
            discrepancies=tuple(found),
        )
        for each in found:
            self._metrics.count(Metric.DISCREPANCIES, kind=each.kind.value)
        if not self.book.has_taken(report):
            events += [self._recorder.record(report), self._stop_for(report)]
        return events

    async def cancel_halted(self, changed: TradingStateChanged) -> list[Message]:
        """Cancel the open orders that a HALTED falls on."""
        if changed.state is not TradingState.HALTED:
            return []
        events: list[Message] = []
        for state in self.book.open_orders():
            never_sent = state.status is OrderStatus.SUBMITTED
            if not never_sent and changed.scope in scopes_of(state.order, self._settings.venue):
                events += await self.cancel(state.order.client_order_id, changed)
        return events

    async def ask(self, state: OrderState, cause: Message | None = None) -> list[Message]:
        """Learn what a venue did to an order; without an answer nothing leaves from now on."""
        try:
            events = await self._catch_up(state, cause)
        except VenueUnavailable:
            self._lost("status")
            return []
        self.connected = True
        return events

    async def _send(self, state: OrderState) -> list[Message]:
        order = state.order
        if self._is_halted(order):
            return [
                self._recorder.update(
                    order, OrderStatus.CANCELLED, reason="halted before it was sent"
                )
            ]
        try:
            # One that was recorded before this process started may have been sent.
            status = (
                await self._broker.status(order.client_order_id)
                if order.client_order_id in self._in_doubt
                else None
            )
            if status is None:
                status = await self._broker.submit(order)
        except VenueUnavailable:
            self._lost("submit")
            reason = "the venue did not answer"
            return [self._recorder.update(order, OrderStatus.UNKNOWN, reason=reason)]
        self._in_doubt.discard(order.client_order_id)
        if status in (OrderStatus.ACCEPTED, OrderStatus.REJECTED):
            return [self._recorder.update(order, status)]
        return []

    async def _resolve(self, state: OrderState) -> list[Message]:
        """Ask what became of an order that nobody answered for; never send it again."""
        events = await self.ask(state)
        if not self.connected:
            return []
        age = (self._clock.now() - state.order.created_at).total_seconds()
        if state.status is OrderStatus.UNKNOWN and age >= self._settings.unknown_order_seconds:
            reason = "the venue never saw it"
            events.append(self._recorder.update(state.order, OrderStatus.REJECTED, reason=reason))
        elif state.status is not OrderStatus.UNKNOWN and self._is_halted(state.order):
            events += await self.cancel(state.order.client_order_id)
        return events

    def _is_halted(self, order: Order) -> bool:
        return state_of(order, self._settings.venue, self.states())[0] is TradingState.HALTED

    async def _catch_up(self, state: OrderState, cause: Message | None = None) -> list[Message]:
        """Book the fills and the end of an order that the record has not.

        The status is asked for first, so that every fill that led to it is among the executions.
        """
        order = state.order
        if state.status is OrderStatus.INITIALIZED or order.role is OrderRole.PARENT:
            return []
        status = await self._broker.status(order.client_order_id)
        events: list[Message] = []
        for report in await self._broker.executions(order.client_order_id):
            events += self._recorder.fill(report, cause)
        taken_in = status is OrderStatus.ACCEPTED and state.status in _UNANSWERED
        if status is not None and not state.is_over and (taken_in or status in _ENDED):
            events.append(self._recorder.update(state.order, status, cause))
        return events

    def _lost(self, operation: str) -> None:
        """Let nothing out until the venue answers again."""
        self.connected = False
        self._was_lost = True
        self._metrics.count(Metric.VENUE_TIMEOUTS, operation=operation)

    def _stop_for(self, report: Reconciled) -> Message:
        reason = f"{len(report.discrepancies)} differences from the venue are unexplained"
        return self._recorder.record(
            TradingStateChanged(
                message_id=derive_id("trading-state", report.message_id),
                correlation_id=report.correlation_id,
                causation_id=report.message_id,
                occurred_at=report.occurred_at,
                state=TradingState.HALTED,
                actor="reconciliation",
                reason=reason,
            )
        )
