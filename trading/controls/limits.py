"""Controls that measure an order against a limit."""

from decimal import Decimal

from domain.money import EXACT, notional, ratio
from domain.orders import Denial, Order, Side
from trading.controls.context import (
    ControlContext,
    drawdown,
    order_value,
    reduces,
    reducible,
)


def maximum_order_value(order: Order, context: ControlContext) -> Denial | None:
    """Limit one order's notional (USD)."""
    value = order_value(order, context)
    if value > context.limits.maximum_order_value:
        return Denial(
            control="maximum_order_value",
            reason="the order is too large",
            measured=value,
            limit=context.limits.maximum_order_value,
        )
    return None


def short_sale(order: Order, context: ControlContext) -> Denial | None:
    """Require the shares that are sold, less those in other open sales (long only)."""
    if order.side is Side.BUY:
        return None
    available = reducible(order, context)
    if order.quantity > available:
        return Denial(
            control="short_sale",
            reason="more would be sold than is held",
            measured=order.quantity,
            limit=available,
        )
    return None


def maximum_position(order: Order, context: ControlContext) -> Denial | None:
    """Limit the position after all open buys, as a fraction of equity."""
    if order.side is Side.SELL or context.last is None:
        return None
    after = EXACT.add(EXACT.add(context.held, context.open_buys), order.quantity)
    fraction = _of_equity(notional(context.last.price, abs(after)), context)
    if fraction is None or fraction > context.limits.maximum_position_fraction:
        return Denial(
            control="maximum_position",
            reason="the position would be too large a part of equity",
            measured=_or_none_left(fraction),
            limit=context.limits.maximum_position_fraction,
        )
    return None


def gross_exposure(order: Order, context: ControlContext) -> Denial | None:
    """Limit the sum of all positions and open buys, as a fraction of equity."""
    if reduces(order, context):
        return None
    after = EXACT.add(context.gross_exposure, order_value(order, context))
    fraction = _of_equity(after, context)
    if fraction is None or fraction > context.limits.maximum_gross_exposure:
        return Denial(
            control="gross_exposure",
            reason="gross exposure would be too high",
            measured=_or_none_left(fraction),
            limit=context.limits.maximum_gross_exposure,
        )
    return None


def buying_power(order: Order, context: ControlContext) -> Denial | None:
    """Require that a buy's reservation fits into the cash that nothing has reserved (USD)."""
    if order.side is Side.BUY and context.reservation > context.buying_power:
        return Denial(
            control="buying_power",
            reason="not enough cash",
            measured=context.reservation,
            limit=context.buying_power,
        )
    return None


def drawdown_guard(order: Order, context: ControlContext) -> Denial | None:
    """Let out only what reduces while equity is far below its high-water mark (fraction)."""
    if reduces(order, context):
        return None
    fallen = drawdown(context.equity, context.high_water_mark)
    if fallen >= context.limits.maximum_drawdown:
        return Denial(
            control="drawdown_guard",
            reason="equity is too far below its high-water mark",
            measured=fallen,
            limit=context.limits.maximum_drawdown,
        )
    return None


def _of_equity(value: Decimal, context: ControlContext) -> Decimal | None:
    """Return value over equity; None without equity, which no limit allows."""
    return ratio(value, context.equity) if context.equity > 0 else None


def _or_none_left(fraction: Decimal | None) -> Decimal:
    """Return the fraction; -1 stands for "no equity is left to measure against"."""
    return Decimal(-1) if fraction is None else fraction
