"""What the order path knows, as a fold of its own events.

`OrderBook.apply` is the only way state changes, while running and on recovery alike, so what comes
back after a crash is what was there before it.
"""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Self

import msgspec

from domain.errors import QuorumError
from domain.experience import Experience
from domain.limits import LimitChangeUpdated, LimitsDeclared
from domain.market import MarketData
from domain.messages import Message
from domain.money import EXACT, ZERO
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
from trading.activity import Activity, ActivityState
from trading.bracket import Bracket, Guard
from trading.controls.context import reservation
from trading.experience import ExperienceBook, ExperiencesState
from trading.exposure import Exposures, ExposuresState
from trading.guards import Guards
from trading.limits import Limits, LimitsState
from trading.market import Market, MarketState
from trading.order_state import OrderState
from trading.portfolio import PortfolioLedger, PortfolioState

#: A child that waits for its time.
_PLANNED = OrderStatus.INITIALIZED
#: A person's time isn't the market's.
_OF_PERSONS = (TradingStateChanged, LimitChangeUpdated)


class UnexplainedExecution(QuorumError):
    """A venue reports a fill of an order that was never sent from here."""


class BookState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that an `OrderBook` knows; orders in the order in which they came.

    A field that is added needs a default, so that what an older release wrote can be read.
    """

    market: MarketState
    portfolio: PortfolioState
    experiences: ExperiencesState
    orders: dict[str, OrderState]
    open: dict[str, list[str]]
    walks: dict[str, str]
    taken: list[str]
    states: list[tuple[Scope, TradingState]]
    activity: ActivityState
    exposures: ExposuresState
    high_water_mark: Decimal
    market_time: datetime | None
    brackets: dict[str, Bracket] = {}
    guards: dict[str, dict[str, Guard]] = {}
    limits: LimitsState = LimitsState()


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
        self.limits = Limits(settings)
        self.states: dict[Scope, TradingState] = {}
        self.high_water_mark = self.ledger.equity
        self.market_time: datetime | None = None
        """The latest moment of which an event was applied, but for what persons asked for."""
        self._open: dict[str, dict[str, OrderState]] = {}
        self._walks: dict[str, str] = {}
        self._taken: set[str] = set()
        self.guards = Guards()

    @classmethod
    def from_bytes(cls, data: bytes, settings: TradingSettings) -> Self:
        """Return the book that `to_bytes` was asked of.

        Raises
        ------
        msgspec.ValidationError
            If another release wrote the bytes, and this one can't read them.
        """
        state = msgspec.json.decode(data, type=BookState)
        book = cls(settings)
        book.market = Market.of(state.market)
        book.ledger = PortfolioLedger.of(state.portfolio)
        book.experiences = ExperienceBook.of(state.experiences, settings)
        book.orders = dict(state.orders)
        book.states = dict(state.states)
        book.activity = Activity.of(state.activity, settings)
        book.limits = Limits.of(state.limits, settings)
        book.exposures = Exposures.of(state.exposures, settings.sectors)
        book.high_water_mark = state.high_water_mark
        book.market_time = state.market_time
        book._open = {s: {name: book.orders[name] for name in n} for s, n in state.open.items()}
        book._walks = dict(state.walks)
        book._taken = set(state.taken)
        book.guards = Guards(state.brackets, state.guards)
        return book

    def to_bytes(self) -> bytes:
        """Return all that is known; books of equal state give equal bytes."""
        state = BookState(
            market=self.market.state(),
            portfolio=self.ledger.state(),
            experiences=self.experiences.state(),
            orders=self.orders,
            open={symbol: list(orders) for symbol, orders in self._open.items()},
            walks=self._walks,
            taken=sorted(self._taken),
            states=list(self.states.items()),
            activity=self.activity.state(),
            exposures=self.exposures.state(),
            high_water_mark=self.high_water_mark,
            market_time=self.market_time,
            brackets=self.guards.brackets,
            guards=self.guards.of_symbols,
            limits=self.limits.state(),
        )
        # Order of insertion is part of the state, so dictionaries are kept as they are.
        return msgspec.json.Encoder(decimal_format="string").encode(state)

    @property
    def remembered(self) -> int:
        """How many decisions and orders are remembered, which is what the bytes grow with."""
        return len(self._taken) + len(self.orders)

    def apply(self, event: Message) -> None:
        """Take one event in; events of other kinds change nothing.

        Raises
        ------
        UnexplainedExecution
            If a fill belongs to no known order.
        trading.order_state.IllegalTransition, trading.order_state.Overfill
            If an order's events contradict each other.
        """
        if not isinstance(event, _OF_PERSONS):
            self.market_time = max(self.market_time or event.occurred_at, event.occurred_at)
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
                self._take(event)
            case OrderUpdated():
                self._update(event)
            case ExecutionReport():
                self._fill(event)
            case Experience():
                self.experiences.close(event)
            case TradingStateChanged():
                self._change_state(event)
            case LimitsDeclared():
                self.limits.apply(event)
            case LimitChangeUpdated():
                self._taken.add(event.causation_id)
                self.limits.apply(event)
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

    def _take(self, decision: ConsensusResult) -> None:
        self._taken.add(decision.message_id)
        self.experiences.open(decision)
        self.guards.decided(decision, self._settings)

    def _change_state(self, event: TradingStateChanged) -> None:
        self._taken.add(event.causation_id)
        if event.state is TradingState.ACTIVE and event.scope == EVERYTHING:
            # Resuming is a person's decision: the drawdown is measured from here on.
            self.high_water_mark = self.ledger.equity
        self.activity.changed(event)
        self.states[event.scope] = event.state

    def _update(self, event: OrderUpdated) -> None:
        order = event.order
        known = self.orders.get(order.client_order_id)
        if event.status is OrderStatus.DENIED and known and known.status is not _PLANNED:
            return  # A duplicate was denied; the order that has the id goes on.
        if event.denial is not None:
            self.experiences.denied(order, event.denial)
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
        self.guards.exit_made(known.order, event.status)
        self.guards.entered(known, self.ledger.quantity(order.symbol), event.occurred_at)

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
            held = self.ledger.quantity(report.symbol)
            profit = EXACT.subtract(self.ledger.realized(report.symbol), realized)
            self.activity.filled(state.order, report.executed_at, profit, closed)
            self.exposures.hold(report.symbol, self.ledger.market_value(report.symbol))
            self._settle(state)
            parent = self.orders.get(state.order.parent_order_id)
            if parent is not None and state.order.role is OrderRole.CHILD:
                parent.fill(report.quantity)
                self._settle(parent)
                self.guards.entered(parent, held, report.executed_at)
            self.guards.closed(state.order, report.quantity, self.orders)
            self.guards.entered(state, held, report.executed_at)

    def _settle(self, state: OrderState) -> None:
        """Hold cash for exactly what may still fill, and forget an order that is over."""
        order, leaves = state.order, state.leaves
        if order.role is OrderRole.PARENT and leaves:  # less what its children hold
            sent = self.activity.children(order.client_order_id)
            leaves = EXACT.subtract(order.quantity, sent)
        if order.role is OrderRole.TAKE_PROFIT:
            leaves = ZERO  # its stop stands for both
        held = reservation(state.replacement or order, leaves, self._settings)
        self.ledger.reserve(order.client_order_id, held)
        self.exposures.open(state.replacement or order, leaves)
        if order.role is OrderRole.CHILD:
            self.activity.at_risk(order, EXACT.add(state.filled, leaves))
            if (parent := self.orders.get(order.parent_order_id)) is not None:
                self._settle(parent)
        if state.is_over:
            self._open.get(order.symbol, {}).pop(order.client_order_id, None)
