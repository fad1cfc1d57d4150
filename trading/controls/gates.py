"""Controls that ask whether any order of this kind may leave now."""

from decimal import Decimal

from domain.money import ZERO, canonical
from domain.orders import Denial, Order, TimeInForce, TradingState
from trading.controls.context import ControlContext, denied, reduces, reducible

_ONE = Decimal(1)


def trading_state(order: Order, context: ControlContext) -> Denial | None:
    """Let nothing out while HALTED, and only what shrinks the position while REDUCING."""
    if context.trading_state is TradingState.ACTIVE:
        return None
    of = f" for {context.scope}" if context.scope.name else ""
    if context.trading_state is TradingState.HALTED:
        return denied("trading_state", f"trading is halted{of}", order.quantity, ZERO)
    if reduces(order, context):
        return None
    measured, limit = order.quantity, reducible(order, context)
    return denied("trading_state", f"trading is only reducing{of}", measured, limit)


def venue_connection(order: Order, context: ControlContext) -> Denial | None:
    """Let nothing out to a venue that does not answer."""
    if not context.connected:
        reason = "the venue does not answer, and what it holds is not known"
        return denied("venue_connection", reason, order.quantity, ZERO)
    return None


def restricted_list(order: Order, context: ControlContext) -> Denial | None:
    """Let nothing out in a restricted symbol."""
    if order.symbol in context.limits.restricted_symbols:
        reason = f"{order.symbol} is on the restricted list"
        return denied("restricted_list", reason, order.quantity, ZERO)
    return None


def duplicate_order(order: Order, context: ControlContext) -> Denial | None:
    """Let a client order id leave once."""
    if order.client_order_id in context.known_orders:
        return denied("duplicate_order", "this client order id was used before", Decimal(2), _ONE)
    return None


def repeated_order(_order: Order, context: ControlContext) -> Denial | None:
    """Let the same terms leave once within `duplicate_window_seconds`, whatever their ids."""
    if context.alike:
        reason = "an order of the same terms left just before"
        return denied("repeated_order", reason, Decimal(2), _ONE)
    return None


def unknown_symbol(order: Order, context: ControlContext) -> Denial | None:
    """Require market data of the symbol."""
    if context.last is None:
        reason = f"no market data was ever seen of {order.symbol}"
        return denied("unknown_symbol", reason, ZERO, _ONE)
    return None


def market_closed(order: Order, context: ControlContext) -> Denial | None:
    """Require an open market of what can't wait for its open."""
    if not context.limits.exchange or context.session_open:
        return None
    if context.session_open is None:
        reason = f"the calendar {context.limits.exchange} does not reach this day"
        return denied("market_closed", reason, ZERO, _ONE)
    at_once = order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
    if at_once or not context.limits.queue_while_closed:
        return denied("market_closed", "the market is closed", ZERO, _ONE)
    return None


def stale_price(_order: Order, context: ControlContext) -> Denial | None:
    """Require a last price that is recent, and not from the future (seconds)."""
    if context.last is None:
        return None
    age = (context.now - context.last.observed_at).total_seconds()
    if 0 <= age <= context.limits.maximum_price_age_seconds:
        return None
    measured = canonical(age)
    if age < 0:
        return denied("stale_price", "the last price is from the future", measured, ZERO)
    limit = canonical(context.limits.maximum_price_age_seconds)
    return denied("stale_price", "the last price is too old", measured, limit)
