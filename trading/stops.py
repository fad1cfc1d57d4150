"""Where a stop stands: waiting, following the price, or triggered.

A bar shows a high and a low and not which came first, so a bar either moves a trailing stop or
triggers it: it is held against the level that stood before the bar.
"""

from decimal import Decimal
from typing import NamedTuple, Self

from domain.market import MarketData
from domain.money import EXACT
from domain.orders import Order, Side


class Stop(NamedTuple):
    """A stop of one order.

    Parameters
    ----------
    side
        Of the order: a sale is triggered from above, a purchase from below.
    level
        Price (quote currency) that triggers it.
    trail
        Distance at which the level follows the best price; None where it stands still.
    triggered
        Whether the order is live.
    """

    side: Side
    level: Decimal
    trail: Decimal | None = None
    triggered: bool = False

    @classmethod
    def of(cls, order: Order) -> Self | None:
        """Return an order's stop as it starts, or None if it has none."""
        if order.stop_price is None:
            return None
        return cls(order.side, order.stop_price, order.trail)

    def reached(self, bar: MarketData) -> Decimal | None:
        """Return the price at which `bar` triggers the stop, or None if it does not.

        A bar that opens beyond the level triggers it at its open: the price gapped through.
        """
        low, high = price_range(bar)
        start = bar.price if bar.open is None else bar.open
        if self.side is Side.BUY:
            return max(self.level, start) if high >= self.level else None
        return min(self.level, start) if low <= self.level else None

    def after(self, bar: MarketData) -> Self:
        """Return the stop as it stands after a bar: triggered, moved, or as it was."""
        if self.triggered:
            return self
        if self.reached(bar) is not None:
            return self._replace(triggered=True)
        if self.trail is None:
            return self
        low, high = price_range(bar)
        if self.side is Side.BUY:
            return self._replace(level=min(self.level, EXACT.add(low, self.trail)))
        return self._replace(level=max(self.level, EXACT.subtract(high, self.trail)))


def price_range(bar: MarketData) -> tuple[Decimal, Decimal]:
    """Return the lowest and the highest price that the bar shows (quote currency)."""
    shown = [bar.price] if bar.open is None else [bar.open, bar.price]
    low = bar.low if bar.low is not None else min(shown)
    high = bar.high if bar.high is not None else max(shown)
    return low, high
