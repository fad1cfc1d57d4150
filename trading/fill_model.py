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
from domain.orders import Order, Side, TimeInForce
from domain.settings import TradingSettings
from trading.stops import Stop, price_range

#: Fill prices (USD) and slippage (bps) are kept in whole millionths.
_MILLIONTH = Decimal("0.000001")
#: What does not fill at once does not fill at all.
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK, TimeInForce.AT_CLOSE)


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
    *,
    start: Decimal | None = None,
) -> Decimal:
    """Return the price (USD) of a market order for `quantity` shares.

    Parameters
    ----------
    volatility
        Standard deviation of one bar's return, as a fraction, known before the bar.
    start
        Price at which the order reaches the market; by default the bar's open.
    """
    if start is None:
        start = _open(bar)
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
    stop: Stop | None = None,
) -> SimulatedFill | None:
    """Return what `bar` fills of an order with `leaves` shares open, or None.

    Of the bar's volume `available` shares are still to be had (`fillable`, less earlier fills).
    A limit order fills at the market's price where that is within the limit, and else at its
    limit if the bar traded through it (a touch is not enough: the queue ahead is unknown). IOC and
    FOK look at the open alone; FOK needs the whole quantity. A stop reaches the market at its
    level, or at the open where the price gapped through it; AT_CLOSE at the bar's close.
    """
    quantity = min(leaves, available)
    if quantity <= 0 or (order.time_in_force is TimeInForce.FOK and quantity < leaves):
        return None
    start = _open(bar)
    if order.time_in_force is TimeInForce.AT_CLOSE:
        start = bar.price
    elif stop is not None and not stop.triggered:
        reached = stop.reached(bar)
        if reached is None:
            return None
        start = reached
    price = market_price(order.side, quantity, bar, volatility, settings, start=start)
    if order.limit_price is not None:
        limit, buys = order.limit_price, order.side is Side.BUY
        marketable = price <= limit if buys else price >= limit
        if not marketable:
            # What came before the order reached the market within the bar is not known.
            at_once = order.time_in_force in _AT_ONCE or start != _open(bar)
            low, high = price_range(bar)
            if at_once or not (low < limit if buys else high > limit):
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


def _open(bar: MarketData) -> Decimal:
    """Return the first price that the bar shows (USD)."""
    return bar.price if bar.open is None else bar.open


def _clip(price: Decimal, bar: MarketData) -> Decimal:
    low, high = price_range(bar)
    return min(max(price, low), high)
