"""Controls that ask whether any order of this kind may leave now."""

from decimal import Decimal

from domain.money import EXACT, ZERO, canonical, ratio
from domain.orders import Denial, Order, TradingState
from trading.controls.context import ControlContext, reduces, reducible


def trading_state(order: Order, context: ControlContext) -> Denial | None:
    """Let nothing out while HALTED, and only what shrinks the position while REDUCING."""
    if context.trading_state is TradingState.HALTED:
        return Denial(
            control="trading_state", reason="trading is halted", measured=order.quantity, limit=ZERO
        )
    if context.trading_state is TradingState.REDUCING and not reduces(order, context):
        return Denial(
            control="trading_state",
            reason="trading is only reducing",
            measured=order.quantity,
            limit=reducible(order, context),
        )
    return None


def duplicate_order(order: Order, context: ControlContext) -> Denial | None:
    """Let a client order id leave once."""
    if order.client_order_id in context.known_orders:
        return Denial(
            control="duplicate_order",
            reason="this client order id was used before",
            measured=Decimal(2),
            limit=Decimal(1),
        )
    return None


def unknown_symbol(order: Order, context: ControlContext) -> Denial | None:
    """Require market data of the symbol."""
    if context.last is None:
        return Denial(
            control="unknown_symbol",
            reason=f"no market data was ever seen of {order.symbol}",
            measured=ZERO,
            limit=Decimal(1),
        )
    return None


def stale_price(_order: Order, context: ControlContext) -> Denial | None:
    """Require a last price that is recent, and not from the future (seconds)."""
    if context.last is None:
        return None
    age = canonical((context.now - context.last.observed_at).total_seconds())
    limit = canonical(context.limits.maximum_price_age_seconds)
    if age < 0:
        return Denial(
            control="stale_price",
            reason="the last price is from the future",
            measured=age,
            limit=ZERO,
        )
    if age > limit:
        return Denial(
            control="stale_price", reason="the last price is too old", measured=age, limit=limit
        )
    return None


def price_collar(order: Order, context: ControlContext) -> Denial | None:
    """Require arrival and limit price near the last price (distance as a fraction of it)."""
    if context.last is None:
        return None
    last, limit = context.last.price, context.limits.price_collar
    prices = [order.arrival_price]
    if order.limit_price is not None:
        prices.append(order.limit_price)
    distance = max(ratio(abs(EXACT.subtract(price, last)), last) for price in prices)
    if distance > limit:
        return Denial(
            control="price_collar",
            reason="the price is too far from the last price",
            measured=distance,
            limit=limit,
        )
    return None
