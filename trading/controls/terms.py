"""Controls that look at an order's own terms: price, quantity, value, and what it belongs to."""

from decimal import Decimal

from domain.money import EXACT, ZERO, ratio
from domain.orders import RESTING_EXITS, Denial, Order, Side
from trading.controls.context import ControlContext, denied, order_value, prices


def tick_size(order: Order, context: ControlContext) -> Denial | None:
    """Require limit and stop prices on the symbol's grid (USD)."""
    if order.limit_price is None and order.stop_price is None:
        return None
    step = context.limits.tick_sizes.get(order.symbol, context.limits.tick_size)
    for price in (order.limit_price, order.stop_price):
        if price is not None and step and EXACT.remainder(price, step):
            return denied("tick_size", "the price is between two ticks", price, step)
    return None


def lot_size(order: Order, context: ControlContext) -> Denial | None:
    """Require a whole number of lots (shares)."""
    step = context.limits.lot_sizes.get(order.symbol, context.limits.lot_size)
    if step and EXACT.remainder(order.quantity, step):
        return denied("lot_size", "the quantity is no whole number of lots", order.quantity, step)
    return None


def price_collar(order: Order, context: ControlContext) -> Denial | None:
    """Require arrival, limit and stop price near the last price (fraction of it)."""
    if context.last is None:
        return None
    distance, limit = _distance(order, context.last.price), context.limits.price_collar
    if distance > limit:
        reason = "the price is too far from the last price"
        return denied("price_collar", reason, distance, limit)
    return None


def price_band(order: Order, context: ControlContext) -> Denial | None:
    """Require the same prices near the mean of the recent closes: the collar over time."""
    if context.mean_price is None:
        return None
    distance, limit = _distance(order, context.mean_price), context.limits.price_band
    if distance > limit:
        reason = "the price is too far from the mean of the recent closes"
        return denied("price_band", reason, distance, limit)
    return None


def maximum_order_quantity(order: Order, context: ControlContext) -> Denial | None:
    """Limit one order's quantity (shares)."""
    limit = context.limits.maximum_order_quantity
    if order.quantity > limit:
        reason = "the order is for too many"
        return denied("maximum_order_quantity", reason, order.quantity, limit)
    return None


def maximum_order_value(order: Order, context: ControlContext) -> Denial | None:
    """Limit one order's notional (USD)."""
    value, limit = order_value(order, context.last), context.limits.maximum_order_value
    if value > limit:
        return denied("maximum_order_value", "the order is too large", value, limit)
    return None


def parent_quantity(order: Order, context: ControlContext) -> Denial | None:
    """Let children fill no more than their parent, all that were ever sent together (shares)."""
    if not order.parent_order_id:
        return None
    room = context.parent_room
    if room is None:
        return denied("parent_quantity", "its parent is not known here", order.quantity, ZERO)
    if order.quantity > room:
        reason = "the children would be more than their parent"
        return denied("parent_quantity", reason, order.quantity, max(room, ZERO))
    return None


def self_match(order: Order, context: ControlContext) -> Denial | None:
    """Let nothing out that could trade with an own order (prices in USD)."""
    for other in context.opposing:
        if other.parent_order_id and other.parent_order_id == order.client_order_id:
            continue  # a way out of this very order
        if other.role in RESTING_EXITS and _rests(other, context):
            continue  # the market is not there
        ours, theirs = _reach(order), _reach(other)
        buy, sell = (ours, theirs) if order.side is Side.BUY else (theirs, ours)
        if buy is None or sell is None or buy >= sell:
            reason = f"it could trade with our own order {other.client_order_id}"
            return denied("self_match", reason, ours or ZERO, theirs or ZERO)
    return None


def _rests(other: Order, context: ControlContext) -> bool:
    """Whether the last price has not reached a way out (prices in USD)."""
    if context.last is None:
        return False
    price, sells = context.last.price, other.side is Side.SELL
    if other.limit_price is not None:
        return price < other.limit_price if sells else price > other.limit_price
    return other.stop_price is not None and (
        price > other.stop_price if sells else price < other.stop_price
    )


def _reach(order: Order) -> Decimal | None:
    """Return the worst price that an order takes; None takes any."""
    return order.limit_price


def _distance(order: Order, reference: Decimal) -> Decimal:
    return max(ratio(abs(EXACT.subtract(price, reference)), reference) for price in prices(order))
