"""Keep what entries opened under their ways out: a target, a stop that trails, a time stop.

What is to be protected, and the ways out that were made, are in the book, so a restart forgets
neither. The ways out are renewed whenever they no longer stand for exactly what is left; each one
passes the controls.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from domain.messages import Message
from domain.money import EXACT, ZERO
from domain.orders import EXITS, Order, OrderRole, OrderStatus, Side
from domain.sessions import Sessions
from trading.book import OrderBook
from trading.bracket import Guard, exits, way_out
from trading.order_state import OrderState
from trading.venue_link import VenueLink

#: Asks the controls about an order and records what they say.
AskControls = Callable[[Order, Message], Awaitable[list[Message]]]


class Protection:
    """The ways out of one order path's positions.

    Parameters
    ----------
    link
        Where ways out are cancelled.
    ask
        Asks the controls.
    sessions
        The venue's calendar; without one a trading day is a day.
    """

    def __init__(self, link: VenueLink, ask: AskControls, sessions: Sessions | None) -> None:
        self._link = link
        self._ask = ask
        self._sessions = sessions

    @property
    def _book(self) -> OrderBook:
        return self._link.book

    async def make_room(self, symbol: str, wanted: Decimal, cause: Message) -> list[Message]:
        """Cancel ways out, the oldest entry's first, until `wanted` shares can be closed."""
        events: list[Message] = []
        for entry in self._book.guards.of(symbol):
            if self._free(symbol) >= wanted:
                break
            events += await self._cancel(self._open(symbol, entry), cause)
        return events

    async def renew(self, symbol: str, cause: Message, now: datetime) -> list[Message]:
        """Make the ways out stand for exactly what is left of each entry."""
        guards = self._book.guards.of(symbol)
        events: list[Message] = []
        for state in self._book.open_orders(symbol):
            if state.order.role in EXITS and state.order.parent_order_id not in guards:
                events += await self._cancel([state], cause)
        stops = self._of(symbol, OrderRole.STOP_LOSS)
        room = EXACT.add(self._free(symbol), sum((s.leaves for s in stops), ZERO))
        for entry, guard in reversed(list(guards.items())):
            target = min(guard.remaining, max(room, ZERO))
            room = EXACT.subtract(room, target)
            events += await self._renew(entry, guard, target, cause, now)
        return events

    async def _renew(
        self, entry: str, guard: Guard, target: Decimal, cause: Message, now: datetime
    ) -> list[Message]:
        order = self._book.orders[entry].order
        standing = self._open(order.symbol, entry)
        timed_out = now >= self._due(guard)
        if any(state.order.role is OrderRole.TIME_STOP for state in standing):
            return []
        if not timed_out and standing and all(state.leaves == target for state in standing):
            return []
        events = await self._cancel(standing, cause)
        if not target or any(not state.is_over for state in standing):
            return events  # what is still open would be closed twice
        if timed_out:
            out = way_out(order, target, OrderRole.TIME_STOP, guard.made)
            return events + await self._ask(self._now(out, now), cause)
        both = exits(
            order,
            target,
            take_profit=guard.bracket.take_profit,
            stop_loss=guard.bracket.stop_loss,
            trail=guard.bracket.trail,
            made=guard.made,
        )
        events += await self._ask(self._now(both.stop_loss, now), cause)
        if self._book.orders[both.stop_loss.client_order_id].status is OrderStatus.SUBMITTED:
            events += await self._ask(self._now(both.take_profit, now), cause)
        return events

    def _due(self, guard: Guard) -> datetime:
        """Return when the time stop closes what is left; past the calendar, by days."""
        days = guard.bracket.days
        opens = self._sessions.due(guard.since, days) if self._sessions else None
        return opens or guard.since + timedelta(days)

    def _now(self, order: Order, now: datetime) -> Order:
        last = self._book.market.last(order.symbol)
        price = order.arrival_price if last is None else last.price
        return replace(order, created_at=now, arrival_price=price)

    def _free(self, symbol: str) -> Decimal:
        """Return what is held and no open order closes (shares)."""
        held = self._book.ledger.quantity(symbol)
        closing = Side.SELL if held > 0 else Side.BUY
        return EXACT.subtract(abs(held), self._book.exposures.quantity(symbol, closing))

    def _of(self, symbol: str, role: OrderRole) -> list[OrderState]:
        return [state for state in self._book.open_orders(symbol) if state.order.role is role]

    def _open(self, symbol: str, entry: str) -> list[OrderState]:
        return [
            state
            for state in self._book.open_orders(symbol)
            if state.order.parent_order_id == entry and state.order.role in EXITS
        ]

    async def _cancel(self, states: Sequence[OrderState], cause: Message) -> list[Message]:
        events: list[Message] = []
        for state in states:
            events += await self._link.cancel(state.order.client_order_id, cause)
        return events
