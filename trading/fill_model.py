"""What a bar lets an order claim: price, quantity and fee of one simulated fill.

A market order pays, from the bar's open, half the spread and a square-root impact::

    price = open ± open · (half_spread_bps / 10⁴ + coefficient · σ · √(quantity / volume))

with σ the volatility of one bar: σ grows with the bar's length as its volume's root does, so
the law holds for minutes as for days. The price is clipped to the bar's low and high, and the
quantity to a share of the bar's volume: a fill never claims more than the bar shows.
"""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from domain.market import MarketData
from domain.money import BASIS_POINT, EXACT, ZERO, canonical, notional
from domain.orders import Order, OrderType, Side, TimeInForce
from domain.settings import TradingSettings

#: Fill prices (USD) and slippage (bps) are kept in whole millionths.
_MILLIONTH = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class SimulatedFill:
    """A fill that a bar allows: quantity (shares), price and fee (USD)."""

    quantity: Decimal
    price: Decimal
    fee: Decimal


def market_price(
    side: Side,
    quantity: Decimal,
    bar: MarketData,
    volatility: Decimal,
    settings: TradingSettings,
) -> Decimal:
    """Return the price (USD) of a market order for `quantity` shares at the bar's open.

    Parameters
    ----------
    volatility
        Standard deviation of one bar's return, as a fraction, known before the bar.
    """
    start = bar.open if bar.open is not None else bar.price
    if bar.bid is not None and bar.ask is not None:
        half_spread = EXACT.divide(EXACT.subtract(bar.ask, bar.bid), Decimal(2))
    else:
        half_spread = EXACT.multiply(start, EXACT.multiply(settings.half_spread_bps, BASIS_POINT))
    participation = EXACT.divide(quantity, bar.volume) if bar.volume else Decimal(1)
    impact = EXACT.multiply(
        EXACT.multiply(start, settings.impact_coefficient),
        EXACT.multiply(volatility, EXACT.sqrt(participation)),
    )
    cost = EXACT.add(half_spread, impact)
    price = EXACT.add(start, cost) if side is Side.BUY else EXACT.subtract(start, cost)
    rounded = EXACT.quantize(price, _MILLIONTH)
    return canonical(_clip(rounded, bar))


def fill(
    order: Order,
    leaves: Decimal,
    bar: MarketData,
    *,
    available: Decimal,
    volatility: Decimal,
    settings: TradingSettings,
) -> SimulatedFill | None:
    """Return what `bar` fills of an order with `leaves` shares open, or None.

    Of the bar's volume `available` shares are still to be had (`fillable`, less earlier fills).
    A limit order fills at the market's price where that is within the limit, and else at its
    limit if the bar traded through it (a touch is not enough: the queue ahead is unknown). IOC and
    FOK look at the open alone; FOK needs the whole quantity.
    """
    quantity = min(leaves, available)
    if quantity <= 0 or (order.time_in_force is TimeInForce.FOK and quantity < leaves):
        return None
    price = market_price(order.side, quantity, bar, volatility, settings)
    if order.order_type is OrderType.LIMIT and order.limit_price is not None:
        limit, buys = order.limit_price, order.side is Side.BUY
        marketable = price <= limit if buys else price >= limit
        if not marketable:
            if order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
                return None
            low, high = _range(bar)
            if not (low < limit if buys else high > limit):
                return None
            price = limit
    return SimulatedFill(quantity, price, notional(settings.fee_per_share, quantity))


def fillable(bar: MarketData, settings: TradingSettings) -> Decimal:
    """Return how much of the bar's volume all orders together may take (whole shares)."""
    share = EXACT.multiply(bar.volume, settings.maximum_participation_rate)
    return share.quantize(Decimal(1), rounding=ROUND_DOWN, context=EXACT)


def cost_fraction(
    side: Side,
    quantity: Decimal,
    arrival_price: Decimal,
    *,
    bar: MarketData,
    volatility: Decimal,
    settings: TradingSettings,
) -> Decimal:
    """Return what entering at `bar` would cost, as a fraction of the arrival notional.

    The slippage from the arrival price (the gap to the open included, as for real fills) plus
    fees; negative where the open came towards the order.
    """
    priced = min(quantity, fillable(bar, settings)) or quantity
    price = market_price(side, priced, bar, volatility, settings)
    per_share = EXACT.add(signed(side, price, arrival_price), settings.fee_per_share)
    return canonical(EXACT.divide(per_share, arrival_price))


def slippage_bps(side: Side, price: Decimal, arrival_price: Decimal) -> Decimal:
    """Return the signed cost of `price` against the arrival price (bps; positive is worse)."""
    cost = EXACT.multiply(signed(side, price, arrival_price), Decimal(10_000))
    return canonical(EXACT.quantize(EXACT.divide(cost, arrival_price), _MILLIONTH))


def signed(side: Side, price: Decimal, arrival_price: Decimal) -> Decimal:
    """Return how much worse `price` is than the arrival price (USD per share)."""
    worse = EXACT.subtract(price, arrival_price)
    return worse if side is Side.BUY else EXACT.subtract(ZERO, worse)


def _range(bar: MarketData) -> tuple[Decimal, Decimal]:
    """Return the lowest and the highest price that the bar shows (USD)."""
    shown = [bar.price] if bar.open is None else [bar.open, bar.price]
    low = bar.low if bar.low is not None else min(shown)
    high = bar.high if bar.high is not None else max(shown)
    return low, high


def _clip(price: Decimal, bar: MarketData) -> Decimal:
    low, high = _range(bar)
    return min(max(price, low), high)
