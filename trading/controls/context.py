"""What the controls know when an order is about to leave, and the measures they share."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.market import MarketData
from domain.money import EXACT, ZERO, notional, ratio
from domain.orders import Order, Side, TradingState
from domain.settings import TradingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlContext:
    """What is known when an order is about to leave (USD, shares).

    Parameters
    ----------
    trading_state
        Whether trading is active, reducing or halted.
    limits
        The settings that the controls enforce.
    now
        The present instant.
    last
        The last bar of the order's symbol; None if the symbol is unknown.
    held
        Signed quantity held of the symbol.
    open_buys, open_sells
        Quantity of the symbol in orders sent and not yet filled.
    equity, gross_exposure
        Of the portfolio at the mark; the exposure includes open buys of all symbols.
    buying_power
        Cash that no order has reserved.
    reservation
        Cash that this order would reserve.
    high_water_mark
        Highest equity since the start, or since a person last resumed trading.
    known_orders
        Client order ids already used.
    """

    trading_state: TradingState
    limits: TradingSettings
    now: datetime
    last: MarketData | None
    held: Decimal
    open_buys: Decimal
    open_sells: Decimal
    equity: Decimal
    gross_exposure: Decimal
    buying_power: Decimal
    reservation: Decimal
    high_water_mark: Decimal
    known_orders: Collection[str]


def drawdown(equity: Decimal, high_water_mark: Decimal) -> Decimal:
    """Return how far equity is below its high-water mark, as a fraction of that mark."""
    if high_water_mark <= 0 or equity >= high_water_mark:
        return ZERO
    return ratio(EXACT.subtract(high_water_mark, equity), high_water_mark)


def reservation(
    side: Side, quantity: Decimal, arrival_price: Decimal, limits: TradingSettings
) -> Decimal:
    """Return the cash (USD) that an order holds until it has filled.

    A buy holds its value at the arrival price plus a buffer for the gap to the price it gets,
    plus fees; a sale holds nothing.
    """
    if side is Side.SELL:
        return ZERO
    buffered = EXACT.multiply(arrival_price, EXACT.add(Decimal(1), limits.reservation_buffer))
    return notional(EXACT.add(buffered, limits.fee_per_share), quantity)


def order_value(order: Order, context: ControlContext) -> Decimal:
    """Return the order's notional (USD) at the highest of arrival, limit and last price."""
    prices = [order.arrival_price]
    if order.limit_price is not None:
        prices.append(order.limit_price)
    if context.last is not None:
        prices.append(context.last.price)
    return notional(max(prices), order.quantity)


def reducible(order: Order, context: ControlContext) -> Decimal:
    """Return how much of the symbol an order of this side could close (shares)."""
    held = context.held if order.side is Side.SELL else context.held.copy_negate()
    already = context.open_sells if order.side is Side.SELL else context.open_buys
    return max(EXACT.subtract(held, already), ZERO)


def reduces(order: Order, context: ControlContext) -> bool:
    """Whether the whole order only shrinks the position."""
    return order.quantity <= reducible(order, context)
