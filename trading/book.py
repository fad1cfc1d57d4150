"""What the order path knows, as a fold of its own events.

`OrderBook.apply` is the only way state changes, while running and on recovery alike, so what comes
back after a crash is what was there before it.
"""

from collections.abc import Collection

from domain.errors import QuorumError
from domain.experience import Experience
from domain.market import MarketData
from domain.messages import Message
from domain.money import EXACT
from domain.orders import (
    EVERYTHING,
    ExecutionReport,
    OrderRole,
    OrderStatus,
    OrderUpdated,
    Scope,
    TradingState,
    TradingStateChanged,
)
from domain.portfolio import PortfolioUpdated
from domain.settings import TradingSettings
from domain.voting import ConsensusResult
from trading.activity import Activity
from trading.controls.context import reservation
from trading.experience import ExperienceBook
from trading.exposure import Exposures
from trading.market import Market
from trading.order_state import OrderState
from trading.portfolio import PortfolioLedger

#: A child that waits for its time.
_PLANNED = OrderStatus.INITIALIZED


class UnexplainedExecution(QuorumError):
    """A venue reports a fill of an order that was never sent from here."""


class OrderBook:
    """Portfolio, orders, market, trading state and pending experiences.

    Parameters
    ----------
    settings
        Starting cash (USD) and what reservations hold.
    """

    def __init__(self, settings: TradingSettings) -> None:
        self._settings = settings
        self.market = Market()
        self.ledger = PortfolioLedger(settings.starting_cash)
        self.experiences = ExperienceBook(settings)
        self.orders: dict[str, OrderState] = {}
        self.exposures = Exposures(settings.sectors)
        self.activity = Activity(settings)
        self.states: dict[Scope, TradingState] = {}
        self.high_water_mark = self.ledger.equity
        self._open: dict[str, dict[str, OrderState]] = {}
        self._walks: dict[str, str] = {}
        self._taken: set[str] = set()

    def apply(self, event: Message) -> None:
        """Take one event in; events of other kinds change nothing.

        Raises
        ------
        UnexplainedExecution
            If a fill belongs to no known order.
        trading.order_state.IllegalTransition, trading.order_state.Overfill
            If an order's events contradict each other.
        """
        match event:
            case MarketData():
                self.experiences.observe(event, self.market)
                self.market.observe(event)
                for state in self.open_orders(event.symbol):
                    state.observe(event)
                self.ledger.mark(event.symbol, event.price)
                held = self.ledger.market_value(event.symbol)
                self.exposures.mark(event.symbol, event.price, held)
            case ConsensusResult():
                self._taken.add(event.message_id)
                self.experiences.open(event)
            case OrderUpdated():
                self._update(event)
            case ExecutionReport():
                self._fill(event)
            case Experience():
                self.experiences.close(event)
            case TradingStateChanged():
                self._taken.add(event.causation_id)
                if event.state is TradingState.ACTIVE and event.scope == EVERYTHING:
                    # Resuming is a person's decision: the drawdown is measured from here on.
                    self.high_water_mark = self.ledger.equity
                self.activity.changed(event)
                self.states[event.scope] = event.state
            case PortfolioUpdated():
                self.activity.valued(event.portfolio.equity, event.occurred_at)
                self.high_water_mark = max(self.high_water_mark, event.portfolio.equity)
            case _:
                pass

    @property
    def trading_state(self) -> TradingState:
        """The state of all trading; `states` has those of strategies, symbols and venues."""
        return self.states.get(EVERYTHING, TradingState.ACTIVE)

    def has_taken(self, message: Message) -> bool:
        """Whether this decision or request was taken in before."""
        return message.message_id in self._taken

    def correlation_id(self, client_order_id: str) -> str:
        """Return the walk that an order belongs to; empty if it is unknown."""
        return self._walks.get(client_order_id, "")

    def open_orders(self, symbol: str | None = None) -> list[OrderState]:
        """Return orders that may still fill, in the order they came, of one or all symbols."""
        symbols: Collection[str] = sorted(self._open) if symbol is None else (symbol,)
        return [state for s in symbols for state in self._open.get(s, {}).values()]

    def has_working(self, parent_order_id: str) -> bool:
        """Whether a child of an order waits for its time or may still fill."""
        symbol = self.orders[parent_order_id].order.symbol
        return any(s.order.parent_order_id == parent_order_id for s in self.open_orders(symbol))

    def _update(self, event: OrderUpdated) -> None:
        order = event.order
        known = self.orders.get(order.client_order_id)
        if event.status is OrderStatus.DENIED and known and known.status is not _PLANNED:
            return  # A duplicate was denied; the order that has the id goes on.
        if known is None:
            known = self.orders[order.client_order_id] = OrderState(order)
            self._walks[order.client_order_id] = event.correlation_id
            self._open.setdefault(order.symbol, {})[order.client_order_id] = known
        if event.status is OrderStatus.SUBMITTED:
            self.activity.sent(order)
        if event.status is OrderStatus.PENDING_REPLACE and known.replacement is None:
            known.ask_replacement(order)
        elif event.status is not known.status:
            known.become(event.status, order if known.replacement else None)
        self._settle(known)

    def _fill(self, report: ExecutionReport) -> None:
        state = self.orders.get(report.client_order_id)
        if state is None:
            raise UnexplainedExecution(
                f"Fill {report.execution_id} is of order {report.client_order_id}, which was "
                "never sent from here.",
                kept="The fill was not booked.",
                next_step="Compare the venue's orders with `quorum explain`, then resume trading.",
            )
        realized = self.ledger.realized(report.symbol)
        closed = self.ledger.closing_cost(report)
        if not self.ledger.has(report.execution_id):
            state.fill(report.quantity)  # first: what it refuses is not booked
            self.ledger.apply(report)
            self.experiences.book(report)
            profit = EXACT.subtract(self.ledger.realized(report.symbol), realized)
            self.activity.filled(state.order, report.executed_at, profit, closed)
            self.exposures.hold(report.symbol, self.ledger.market_value(report.symbol))
            self._settle(state)
            parent = self.orders.get(state.order.parent_order_id)
            if parent is not None and state.order.role is OrderRole.CHILD:
                parent.fill(report.quantity)
                self._settle(parent)

    def _settle(self, state: OrderState) -> None:
        """Hold cash for exactly what may still fill, and forget an order that is over."""
        order, leaves = state.order, state.leaves
        if order.role is OrderRole.PARENT and leaves:  # less what its children hold
            sent = self.activity.children(order.client_order_id)
            leaves = EXACT.subtract(order.quantity, sent)
        held = reservation(state.replacement or order, leaves, self._settings)
        self.ledger.reserve(order.client_order_id, held)
        self.exposures.open(state.replacement or order, leaves)
        if order.role is OrderRole.CHILD:
            self.activity.at_risk(order, EXACT.add(state.filled, leaves))
            if (parent := self.orders.get(order.parent_order_id)) is not None:
                self._settle(parent)
        if state.is_over:
            self._open.get(order.symbol, {}).pop(order.client_order_id, None)
