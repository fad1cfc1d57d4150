"""What was sent, closed and lost lately: the memory of the controls that look back.

A fold of the order path's own events, like `trading.book`, so a restart forgets nothing.
"""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Self

import msgspec

from domain.money import EXACT, ZERO, canonical, ratio
from domain.orders import (
    EVERYTHING,
    Order,
    OrderRole,
    OrderType,
    Scope,
    ScopeKind,
    TradingState,
    TradingStateChanged,
)
from domain.settings import TradingSettings

_SECOND = timedelta(seconds=1)
_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)

#: What two orders that do the same have in common.
Terms = tuple[str, str, str, Decimal, str, Decimal | None, Decimal | None]


@dataclass(slots=True)
class Children:
    """What children may have filled of a parent: by child, and together (shares)."""

    each: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    total: Decimal = ZERO


class ActivityState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that an `Activity` remembers."""

    sent: list[datetime]
    executions: dict[str, list[datetime]]
    alike: list[tuple[Terms, datetime]]
    children: dict[str, Children]
    stopped_out: dict[str, datetime]
    returns: dict[str, list[tuple[datetime, Decimal]]]
    day: date | None
    equity: Decimal
    day_start: Decimal


class Activity:
    """Orders sent by time and strategy, children by parent, closing trades, the day's start.

    Parameters
    ----------
    settings
        How far back each control looks.
    """

    def __init__(self, settings: TradingSettings) -> None:
        self._executions_within = timedelta(seconds=settings.execution_window_seconds)
        self._alike_within = timedelta(seconds=settings.duplicate_window_seconds)
        self._returns_within = timedelta(seconds=settings.minimum_profit_window_seconds)
        self._returns_kept = settings.minimum_profit_trades
        self._sent: deque[datetime] = deque()
        self._executions: dict[str, deque[datetime]] = {}
        self._alike: dict[Terms, datetime] = {}
        self._children: dict[str, Children] = {}
        self._stopped_out: dict[str, datetime] = {}
        self._returns: dict[str, deque[tuple[datetime, Decimal]]] = {}
        self._day: date | None = None
        self._equity = self.day_start = settings.starting_cash

    @classmethod
    def of(cls, state: ActivityState, settings: TradingSettings) -> Self:
        """Return the memory that `state` was asked of."""
        activity = cls(settings)
        activity._sent = deque(state.sent)
        activity._executions = {name: deque(at) for name, at in state.executions.items()}
        activity._alike = dict(state.alike)
        activity._children = dict(state.children)
        activity._stopped_out = dict(state.stopped_out)
        activity._returns = {
            symbol: deque(known, maxlen=settings.minimum_profit_trades)
            for symbol, known in state.returns.items()
        }
        activity._day, activity._equity = state.day, state.equity
        activity.day_start = state.day_start
        return activity

    def state(self) -> ActivityState:
        """Return all that is remembered."""
        return ActivityState(
            sent=list(self._sent),
            executions={name: list(at) for name, at in self._executions.items()},
            alike=list(self._alike.items()),
            children=self._children,
            stopped_out=self._stopped_out,
            returns={symbol: list(known) for symbol, known in self._returns.items()},
            day=self._day,
            equity=self._equity,
            day_start=self.day_start,
        )

    def sent(self, order: Order) -> None:
        """Take in that an order left."""
        at = order.created_at
        _append(self._sent, at, _SECOND)
        if order.role in (OrderRole.SINGLE, OrderRole.PARENT):
            known = self._executions.setdefault(order.strategy, deque())
            _append(known, at, self._executions_within)
            terms, before = _terms(order), at - self._alike_within
            self._alike.pop(terms, None)
            self._alike[terms] = at
            while self._alike[oldest := next(iter(self._alike))] < before:
                del self._alike[oldest]

    def at_risk(self, order: Order, quantity: Decimal) -> None:
        """Take in what a child has filled or may still fill of its parent (shares)."""
        if order.role is OrderRole.CHILD:
            known = self._children.setdefault(order.parent_order_id, Children())
            before = known.each.get(order.client_order_id, ZERO)
            known.each[order.client_order_id] = quantity
            known.total = EXACT.add(known.total, EXACT.subtract(quantity, before))

    def filled(self, order: Order, at: datetime, profit: Decimal, cost: Decimal) -> None:
        """Take in a fill: what it realised and what the part that it closed had cost (USD)."""
        if order.order_type in _STOPS and cost:
            self._stopped_out[order.symbol] = at
        if cost:
            known = self._returns.setdefault(order.symbol, deque(maxlen=self._returns_kept))
            known.append((at, ratio(profit, cost)))

    def valued(self, equity: Decimal, at: datetime) -> None:
        """Take in the portfolio's equity (USD); a new day (UTC) starts from the one before."""
        if self._day is not None and at.date() > self._day:
            self.day_start = self._equity
        self._day = at.date()
        self._equity = equity

    def changed(self, event: TradingStateChanged) -> None:
        """Take in a trading state: who resumes a strategy lets it count from nothing again."""
        if event.state is TradingState.ACTIVE:
            if event.scope == EVERYTHING:
                self.day_start = self._equity
            if event.scope.kind in (ScopeKind.STRATEGY, ScopeKind.GLOBAL):
                self._executions.pop(event.scope.name, None)

    def messages(self, now: datetime) -> int:
        """Return how many orders left within the second before `now`."""
        return _since(self._sent, now - _SECOND)

    def executions(self, strategy: str, now: datetime) -> int:
        """Return how often a strategy was applied lately, since it was last resumed."""
        known = self._executions.get(strategy)
        return _since(known, now - self._executions_within) if known else 0

    def alike(self, order: Order) -> bool:
        """Whether an order of the same terms left just before."""
        at = self._alike.get(_terms(order))
        return at is not None and order.created_at - at < self._alike_within

    def children(self, parent_order_id: str, but: str = "") -> Decimal:
        """Return what children of an order, `but` one, have filled or may fill (shares)."""
        known = self._children.get(parent_order_id)
        return EXACT.subtract(known.total, known.each.get(but, ZERO)) if known else ZERO

    def stopped_out(self, symbol: str) -> datetime | None:
        """Return when a stop last closed some of a symbol."""
        return self._stopped_out.get(symbol)

    def mean_return(self, symbol: str, now: datetime) -> Decimal | None:
        """Return the mean return of the last closing trades; None while there are too few."""
        since = now - self._returns_within
        recent = [value for at, value in self._returns.get(symbol, ()) if at > since]
        if len(recent) < self._returns_kept:
            return None
        total = ZERO
        for value in recent:
            total = EXACT.add(total, value)
        return canonical(EXACT.divide(total, Decimal(len(recent))))


def scope_of_strategy(strategy: str) -> Scope:
    """Return the scope of a strategy; orders without one belong to all of trading."""
    return Scope(kind=ScopeKind.STRATEGY, name=strategy) if strategy else EVERYTHING


def _append(moments: deque[datetime], at: datetime, within: timedelta) -> None:
    """Remember a moment and forget those that no question asks for any more."""
    while moments and moments[0] <= at - within:
        moments.popleft()
    moments.append(at)


def _since(moments: deque[datetime], since: datetime) -> int:
    """Return how many moments are after `since`."""
    return len(moments) - bisect_right(moments, since)


def _terms(order: Order) -> Terms:
    return (
        order.strategy,
        order.symbol,
        order.side.value,
        order.quantity,
        order.order_type.value,
        order.limit_price,
        order.stop_price,
    )
