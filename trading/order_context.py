"""Gather what the controls know of one order, from the book and what surrounds it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.money import EXACT, ZERO
from domain.orders import Order, OrderRole, OrderStatus, Scope, Side, TradingState
from domain.sessions import Sessions
from domain.settings import TradingSettings
from trading.book import OrderBook
from trading.controls.context import ControlContext, order_value, reservation
from trading.trading_states import state_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the controls know beside the book.

    Parameters
    ----------
    sessions
        The venue's calendar; None where it is always open.
    versions
        Returns the software versions of everything that takes part in trading.
    flags
        Names that this release knows of switches an order may carry.
    """

    sessions: Sessions | None = None
    versions: Callable[[], Collection[str]] = tuple
    flags: Collection[str] = ()


def context_of(
    order: Order,
    book: OrderBook,
    limits: TradingSettings,
    now: datetime,
    *,
    around: Surroundings,
    states: Mapping[Scope, TradingState],
    connected: bool = True,
) -> ControlContext:
    """Return what the controls know when `order` is about to leave at `now`.

    Parameters
    ----------
    states
        Trading states that hold, the kill switch's among them.
    """
    symbol, exposures, activity = order.symbol, book.exposures, book.activity
    last = book.market.last(symbol)
    known = book.orders.get(order.client_order_id)
    used = known is not None and known.status is not OrderStatus.INITIALIZED
    # A child is counted and paid for with its parent, a target with its stop.
    elsewhere = order.role in (OrderRole.CHILD, OrderRole.TAKE_PROFIT)
    counted = ZERO if elsewhere else order.quantity
    own = EXACT.subtract(order.quantity, counted)
    open_buys, open_sells = (
        EXACT.subtract(exposures.quantity(symbol, side), own if order.side is side else ZERO)
        for side in Side
    )
    value = order_value(order, last) if counted else ZERO
    state, scope = state_of(order, limits.venue, states)
    return ControlContext(
        trading_state=state,
        scope=scope,
        limits=limits,
        now=now,
        last=last,
        mean_price=book.market.mean_price(symbol),
        session_open=_is_open(around.sessions, now),
        connected=connected,
        held=book.ledger.quantity(symbol),
        open_buys=open_buys,
        open_sells=open_sells,
        opposing=[s.order for s in book.open_orders(symbol) if s.order.side is not order.side],
        equity=book.ledger.equity,
        exposure=exposures.after(symbol, order.side, value),
        buying_power=book.ledger.buying_power,
        reservation=reservation(order, counted, limits),
        high_water_mark=book.high_water_mark,
        day_start=activity.day_start,
        known_orders=(order.client_order_id,) if used else (),
        alike=not order.parent_order_id and activity.alike(order),
        messages=activity.messages(now),
        executions=activity.executions(order.strategy, now),
        parent_room=_parent_room(order, book),
        stopped_out_at=activity.stopped_out(symbol),
        mean_return=activity.mean_return(symbol, now),
        versions=frozenset(around.versions()),
        flags=around.flags,
    )


def _is_open(sessions: Sessions | None, now: datetime) -> bool | None:
    return sessions.is_open(now) if sessions is not None and sessions.cover(now) else None


def _parent_room(order: Order, book: OrderBook) -> Decimal | None:
    """Return what an order's parent leaves for it: the unsent rest, or what it has filled."""
    parent = book.orders.get(order.parent_order_id) if order.parent_order_id else None
    if parent is None:
        return None
    if order.role is OrderRole.CHILD:
        others = book.activity.children(order.parent_order_id, but=order.client_order_id)
        return EXACT.subtract(parent.order.quantity, others) if not parent.is_over else ZERO
    return parent.filled
