"""Controls that measure the portfolio with the order in it; all sent orders count at once."""

from decimal import Decimal

from domain.money import EXACT, notional, ratio
from domain.orders import Denial, Order, Side
from trading.controls.context import ControlContext, denied, reduces, reducible

_ONE = Decimal(1)


def short_sale(order: Order, context: ControlContext) -> Denial | None:
    """Require the shares that are sold, less those in other open sales, where we are long only."""
    if order.side is Side.BUY or context.limits.short_selling:
        return None
    available = reducible(order, context)
    if order.quantity > available:
        reason = "more would be sold than is held"
        return denied("short_sale", reason, order.quantity, available)
    return None


def short_sale_locate(order: Order, context: ControlContext) -> Denial | None:
    """Require a locate of what is sold beyond the holding."""
    if order.side is Side.BUY or order.locate_id or reduces(order, context):
        return None
    available = reducible(order, context)
    reason = "it sells short without a locate"
    return denied("short_sale_locate", reason, order.quantity, available)


def maximum_position(order: Order, context: ControlContext) -> Denial | None:
    """Limit the concentration in one symbol after all open orders, as a fraction of equity."""
    if context.last is None or reduces(order, context):
        return None
    buys = order.side is Side.BUY
    sent = context.open_buys if buys else context.open_sells.copy_negate()
    signed = order.quantity if buys else order.quantity.copy_negate()
    after = EXACT.add(EXACT.add(context.held, sent), signed)
    value = notional(context.last.price, abs(after))
    return _limited(
        "maximum_position",
        "the position would be too large a part of equity",
        value,
        context,
        context.limits.maximum_position_fraction,
    )


def maximum_position_value(order: Order, context: ControlContext) -> Denial | None:
    """Limit the position in one symbol (USD)."""
    value, limit = context.exposure.symbol, context.limits.maximum_position_value
    if value > limit and not reduces(order, context):
        return denied("maximum_position_value", "the position would be too large", value, limit)
    return None


def gross_exposure(order: Order, context: ControlContext) -> Denial | None:
    """Limit the sum of absolute positions, as a fraction of equity."""
    if reduces(order, context):
        return None
    reason, limit = "gross exposure would be too high", context.limits.maximum_gross_exposure
    return _limited("gross_exposure", reason, context.exposure.gross, context, limit)


def net_exposure(order: Order, context: ControlContext) -> Denial | None:
    """Limit the absolute sum of signed positions, as a fraction of equity."""
    if reduces(order, context):
        return None
    reason, limit = "net exposure would be too high", context.limits.maximum_net_exposure
    return _limited("net_exposure", reason, context.exposure.net, context, limit)


def sector_exposure(order: Order, context: ControlContext) -> Denial | None:
    """Limit the absolute positions of the symbol's sector, as a fraction of equity."""
    if context.exposure.sector is None or reduces(order, context):
        return None
    reason, limit = "the sector would be too large", context.limits.maximum_sector_exposure
    return _limited("sector_exposure", reason, context.exposure.sector, context, limit)


def margin(order: Order, context: ControlContext) -> Denial | None:
    """Require equity for the initial margin of all positions (USD)."""
    required = EXACT.multiply(context.exposure.gross, context.limits.initial_margin)
    if required > context.equity and not reduces(order, context):
        reason = "not enough equity for the initial margin"
        return denied("margin", reason, notional(required, _ONE), context.equity)
    return None


def buying_power(order: Order, context: ControlContext) -> Denial | None:
    """Require that a buy's reservation fits into free cash, and credit on margin (USD)."""
    if order.side is Side.SELL:
        return None
    available, needed = context.buying_power, context.limits.initial_margin
    if needed < 1:
        credit = EXACT.multiply(context.equity, EXACT.subtract(EXACT.divide(_ONE, needed), _ONE))
        available = notional(EXACT.add(available, credit), _ONE)
    if context.reservation > available:
        return denied("buying_power", "not enough cash", context.reservation, available)
    return None


def _limited(
    control: str, reason: str, value: Decimal, context: ControlContext, limit: Decimal
) -> Denial | None:
    """Deny a value above `limit` times equity; without equity no limit allows anything."""
    if context.equity <= 0:
        return denied(control, reason, Decimal(-1), limit)
    fraction = ratio(value, context.equity)
    return denied(control, reason, fraction, limit) if fraction > limit else None
