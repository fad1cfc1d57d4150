"""What the order path remembers of each symbol: its last bar and its recent volatility."""

from collections import deque
from collections.abc import Iterable
from copy import deepcopy
from decimal import Decimal
from itertools import pairwise
from typing import Self

import msgspec

from domain.market import MarketData
from domain.money import EXACT, ZERO, canonical, ratio

#: Closes remembered per symbol: 20 returns.
WINDOW = 21
#: Returns needed before a measured volatility is believed.
MINIMUM_RETURNS = 5
#: Volatility of one bar that is assumed until then (2 %, high for a large stock's day).
ASSUMED_VOLATILITY = Decimal("0.02")


def volatility(closes: Iterable[Decimal]) -> Decimal:
    """Return the sample standard deviation of simple returns per bar, as a fraction.

    In exact decimal arithmetic, so that every machine prices a fill alike. Fewer than
    `MINIMUM_RETURNS` returns give `ASSUMED_VOLATILITY`.
    """
    prices = list(closes)
    returns = [
        EXACT.subtract(EXACT.divide(later, earlier), Decimal(1))
        for earlier, later in pairwise(prices)
    ]
    if len(returns) < MINIMUM_RETURNS:
        return ASSUMED_VOLATILITY
    mean = EXACT.divide(_total(returns), Decimal(len(returns)))
    squares = [EXACT.power(EXACT.subtract(value, mean), 2) for value in returns]
    variance = EXACT.divide(_total(squares), Decimal(len(returns) - 1))
    return canonical(EXACT.sqrt(variance))


def _total(values: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for value in values:
        total = EXACT.add(total, value)
    return total


class MarketState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a `Market` knows, by symbol."""

    last: dict[str, MarketData] = {}
    closes: dict[str, tuple[Decimal, ...]] = {}


class Market:
    """The last bar and the recent closes of every symbol seen."""

    def __init__(self) -> None:
        self._last: dict[str, MarketData] = {}
        self._closes: dict[str, deque[Decimal]] = {}

    def is_news(self, data: MarketData) -> bool:
        """Whether `data` is later than everything seen of its symbol.

        A bar that comes again, or late, is not: nothing may fill or be marked twice.
        """
        last = self._last.get(data.symbol)
        return last is None or (data.observed_at, data.nanosecond) > (
            last.observed_at,
            last.nanosecond,
        )

    def observe(self, data: MarketData) -> None:
        """Remember a bar."""
        self._last[data.symbol] = data
        self._closes.setdefault(data.symbol, deque(maxlen=WINDOW)).append(data.price)

    def last(self, symbol: str) -> MarketData | None:
        """Return the last bar of `symbol`, or None if it was never seen."""
        return self._last.get(symbol)

    def volatility(self, symbol: str) -> Decimal:
        """Return `volatility` of the symbol's recent closes (fraction per bar)."""
        return volatility(self._closes.get(symbol, ()))

    def mean_price(self, symbol: str) -> Decimal | None:
        """Return the mean of the symbol's recent closes, or None if it was never seen."""
        closes = self._closes.get(symbol)
        return ratio(_total(closes), Decimal(len(closes))) if closes else None

    @classmethod
    def of(cls, state: MarketState) -> Self:
        """Return the market that `state` was asked of."""
        market = cls()
        market._last = dict(state.last)
        market._closes = {s: deque(closes, maxlen=WINDOW) for s, closes in state.closes.items()}
        return market

    def state(self) -> MarketState:
        """Return all that it knows."""
        return MarketState(self._last, {s: tuple(closes) for s, closes in self._closes.items()})

    def copy(self) -> Self:
        """Return an independent copy."""
        return deepcopy(self)
