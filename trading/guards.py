"""What entries opened and is to be closed again under their brackets: a part of the book's fold."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from domain.money import EXACT
from domain.orders import EXITS, Order, OrderRole, OrderStatus, Side
from domain.settings import TradingSettings
from domain.voting import ConsensusResult
from trading.bracket import Bracket, Guard
from trading.order_state import OrderState


class Guards:
    """Brackets of decisions whose entry has not ended, and what ended entries opened.

    Parameters
    ----------
    brackets
        By decision.
    guards
        By symbol and entry, the oldest first.
    """

    def __init__(
        self, brackets: Mapping[str, Bracket] = {}, guards: Mapping[str, dict[str, Guard]] = {}
    ) -> None:
        self.brackets = dict(brackets)
        self.of_symbols = dict(guards)

    def of(self, symbol: str) -> Mapping[str, Guard]:
        """Return what is to be kept under ways out of a symbol, by entry, the oldest first."""
        return self.of_symbols.get(symbol, {})

    def decided(self, decision: ConsensusResult, settings: TradingSettings) -> None:
        """Take in a decision: its bracket, if it has one."""
        if settings.brackets and (found := Bracket.of(decision, settings)):
            self.brackets[decision.decision_id] = found

    def entered(self, entry: OrderState, held: Decimal, at: datetime) -> None:
        """Keep what an entry opened under its bracket, once the entry has ended (shares held)."""
        order = entry.order
        if not entry.is_over or order.role not in (OrderRole.SINGLE, OrderRole.PARENT):
            return
        bracket = self.brackets.pop(order.decision_id, None)
        opened = min(entry.filled, held if order.side is Side.BUY else held.copy_negate())
        if bracket is not None and opened > 0:
            known = self.of_symbols.setdefault(order.symbol, {})
            known[order.client_order_id] = Guard(bracket, opened, at)

    def exit_made(self, order: Order, status: OrderStatus) -> None:
        """Count a way out; what a control refused is not tried again."""
        if order.role not in (OrderRole.STOP_LOSS, OrderRole.TIME_STOP):
            return
        known = self.of_symbols.get(order.symbol, {})
        guard = known.get(order.parent_order_id)
        if guard is not None and status is OrderStatus.SUBMITTED:
            guard.made += 1
        elif guard is not None and status is OrderStatus.DENIED:
            del known[order.parent_order_id]
            self._drop_if_empty(order.symbol)

    def closed(self, order: Order, quantity: Decimal, orders: Mapping[str, OrderState]) -> None:
        """Take what was closed (shares) off its own entry, or off the oldest ones."""
        known = self.of_symbols.get(order.symbol, {})
        own = order.parent_order_id if order.role in EXITS else ""
        for entry, guard in list(known.items()):
            if own not in ("", entry) or orders[entry].order.side is order.side:
                continue
            taken = min(guard.remaining, quantity)
            guard.remaining = EXACT.subtract(guard.remaining, taken)
            quantity = EXACT.subtract(quantity, taken)
            if not guard.remaining:
                del known[entry]
        self._drop_if_empty(order.symbol)

    def _drop_if_empty(self, symbol: str) -> None:
        """Forget a symbol without guards, as a book that never had one has it."""
        if not self.of_symbols.get(symbol, {0: None}):
            del self.of_symbols[symbol]
