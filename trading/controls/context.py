"""What the controls know when an order is about to leave, and the measures they share."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.market import MarketData
from domain.money import EXACT, ZERO, notional, ratio
from domain.orders import EVERYTHING, RESTING_EXITS, Denial, Order, Scope, Side, TradingState
from domain.settings import TradingSettings
from trading.exposure import Exposure, worst_price


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlContext:
    """What is known when an order is about to leave (USD, shares).

    Parameters
    ----------
    trading_state, scope
        The strictest state that holds for the order, and what sets it.
    limits
        The settings that the controls enforce.
    now
        The present instant.
    last, mean_price
        The last bar of the order's symbol and the mean of its recent closes; None if unknown.
    session_open
        Whether the market is open; None where the calendar says nothing, or does not reach.
    connected
        Whether the venue answers.
    held
        Signed quantity held of the symbol.
    open_buys, open_sells
        Quantity of the symbol in orders sent and not yet filled.
    opposing
        Open orders of the symbol on the other side.
    equity
        Of the portfolio at the mark.
    exposure
        Worst cases with this order among those sent.
    buying_power
        Cash that no order has reserved.
    reservation
        Cash that this order would reserve.
    high_water_mark, day_start
        Highest equity since the start, or since a person last resumed trading; equity at the end
        of the day before.
    known_orders
        Client order ids already used.
    alike
        Whether an order of the same terms left just before.
    messages, executions
        Orders that left within a second; applications of the order's strategy lately.
    parent_room
        What the order's parent leaves for it; None where no such parent is known.
    stopped_out_at
        When a stop last closed some of the symbol.
    mean_return
        Mean return of the symbol's last closing trades; None while there are too few.
    versions
        Software versions of everything that takes part in trading.
    flags
        Names that this release knows of switches an order may carry.
    """

    trading_state: TradingState
    scope: Scope = EVERYTHING
    limits: TradingSettings
    now: datetime
    last: MarketData | None
    mean_price: Decimal | None
    session_open: bool | None = None
    connected: bool = True
    held: Decimal
    open_buys: Decimal
    open_sells: Decimal
    opposing: Sequence[Order] = ()
    equity: Decimal
    exposure: Exposure
    buying_power: Decimal
    reservation: Decimal
    high_water_mark: Decimal
    day_start: Decimal
    known_orders: Collection[str]
    alike: bool = False
    messages: int = 0
    executions: int = 0
    parent_room: Decimal | None = None
    stopped_out_at: datetime | None = None
    mean_return: Decimal | None = None
    versions: Collection[str] = ()
    flags: Collection[str] = ()


def denied(control: str, reason: str, measured: Decimal, limit: Decimal) -> Denial:
    """Return the denial of a control."""
    return Denial(control=control, reason=reason, measured=measured, limit=limit)


def drawdown(equity: Decimal, high_water_mark: Decimal) -> Decimal:
    """Return how far equity is below its high-water mark, as a fraction of that mark."""
    if high_water_mark <= 0 or equity >= high_water_mark:
        return ZERO
    return ratio(EXACT.subtract(high_water_mark, equity), high_water_mark)


def reservation(order: Order, leaves: Decimal, limits: TradingSettings) -> Decimal:
    """Return the cash (USD) that an order holds for `leaves` shares until they have filled.

    A buy holds its value at its worst price plus a buffer for the gap to the price it gets, plus
    fees; a sale holds nothing.
    """
    if order.side is Side.SELL or not leaves:
        return ZERO
    buffered = EXACT.multiply(worst_price(order), EXACT.add(Decimal(1), limits.reservation_buffer))
    return notional(EXACT.add(buffered, limits.fee_per_share), leaves)


def order_value(order: Order, last: MarketData | None) -> Decimal:
    """Return the order's notional (USD) at the highest of its own prices and the last price."""
    named = worst_price(order)
    return notional(named if last is None else max(named, last.price), order.quantity)


def prices(order: Order) -> list[Decimal]:
    """Return the prices that an order names: arrival, limit and stop.

    A way out that rests is meant to be far away; its bracket says how far.
    """
    if order.role in RESTING_EXITS:
        return [order.arrival_price]
    named = (order.arrival_price, order.limit_price, order.stop_price)
    return [price for price in named if price is not None]


def reducible(order: Order, context: ControlContext) -> Decimal:
    """Return how much of the symbol an order of this side could close (shares)."""
    held = context.held if order.side is Side.SELL else context.held.copy_negate()
    already = context.open_sells if order.side is Side.SELL else context.open_buys
    return max(EXACT.subtract(held, already), ZERO)


def reduces(order: Order, context: ControlContext) -> bool:
    """Whether the whole order only shrinks the position."""
    return order.quantity <= reducible(order, context)
