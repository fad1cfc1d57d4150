"""What the portfolio would be if orders filled as badly as they can: sent ones count at once.

Of a symbol only one side can be the worst case: all open buys fill and no sale does, or the
reverse. All amounts are sums of whole billionths, kept up order by order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Self

import msgspec

from domain.money import EXACT, ZERO, notional
from domain.orders import Order, Side

_add, _subtract = EXACT.add, EXACT.subtract


class Exposure(NamedTuple):
    """Worst cases of one symbol, its sector and all of the portfolio (USD).

    Parameters
    ----------
    sector
        None where the symbol has no sector.
    net
        Absolute sum of signed values.
    """

    symbol: Decimal
    sector: Decimal | None
    gross: Decimal
    net: Decimal


@dataclass(slots=True)
class SymbolExposure:
    """One symbol: the value held, and open orders by side (USD; quantities in shares)."""

    held: Decimal = ZERO
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    buy_quantity: Decimal = ZERO
    sell_quantity: Decimal = ZERO

    @property
    def worst(self) -> Decimal:
        """The largest that its absolute value may become (USD)."""
        return _worst(self.held, self.buys, self.sells)


class ExposuresState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that `Exposures` knows."""

    symbols: dict[str, SymbolExposure]
    prices: dict[str, Decimal]
    open: dict[str, dict[str, tuple[Order, Decimal, Decimal]]]
    by_sector: dict[str, Decimal]
    gross: Decimal
    all: SymbolExposure


class Exposures:
    """Held and open values by symbol, and their totals.

    Parameters
    ----------
    sectors
        Sector by symbol.
    """

    def __init__(self, sectors: Mapping[str, str]) -> None:
        self._sectors = sectors
        self._symbols: dict[str, SymbolExposure] = {}
        self._prices: dict[str, Decimal] = {}
        self._open: dict[str, dict[str, tuple[Order, Decimal, Decimal]]] = {}
        self._by_sector: dict[str, Decimal] = {}
        self._gross = ZERO
        self._all = SymbolExposure()

    @classmethod
    def of(cls, state: ExposuresState, sectors: Mapping[str, str]) -> Self:
        """Return the exposures that `state` was asked of."""
        exposures = cls(sectors)
        exposures._symbols = dict(state.symbols)
        exposures._prices = dict(state.prices)
        exposures._open = {symbol: dict(orders) for symbol, orders in state.open.items()}
        exposures._by_sector = dict(state.by_sector)
        exposures._gross, exposures._all = state.gross, state.all
        return exposures

    def state(self) -> ExposuresState:
        """Return all that is known."""
        return ExposuresState(
            symbols=self._symbols,
            prices=self._prices,
            open=self._open,
            by_sector=self._by_sector,
            gross=self._gross,
            all=self._all,
        )

    def mark(self, symbol: str, price: Decimal, held: Decimal) -> None:
        """Value a symbol's position at `held` (USD), its open orders at no less than `price`."""
        self._prices[symbol] = price
        for order, leaves, _ in tuple(self._open.get(symbol, {}).values()):
            self.open(order, leaves)
        self.hold(symbol, held)

    def hold(self, symbol: str, value: Decimal) -> None:
        """Value a symbol's position at `value` (USD, signed)."""
        self._change(symbol, held=_subtract(value, self._of(symbol).held))

    def open(self, order: Order, leaves: Decimal) -> None:
        """Count `leaves` shares of an order as sent; 0 forgets it."""
        symbol, buys = order.symbol, order.side is Side.BUY
        known = self._open.setdefault(symbol, {})
        _, quantity, value = known.pop(order.client_order_id, (order, ZERO, ZERO))
        worth = ZERO
        if leaves:
            price = max(worst_price(order), self._prices.get(symbol, ZERO))
            worth = notional(price, leaves)
            known[order.client_order_id] = order, leaves, worth
        more, added = _subtract(worth, value), _subtract(leaves, quantity)
        if buys:
            self._change(symbol, buys=more, buy_quantity=added)
        else:
            self._change(symbol, sells=more, sell_quantity=added)

    def quantity(self, symbol: str, side: Side) -> Decimal:
        """Return what orders of one side may still fill (shares)."""
        found = self._of(symbol)
        return found.buy_quantity if side is Side.BUY else found.sell_quantity

    def after(self, symbol: str, side: Side, value: Decimal) -> Exposure:
        """Return the exposure with another order of `value` (USD); it may be negative."""
        found, both = self._of(symbol), self._all
        buys, sells = (value, ZERO) if side is Side.BUY else (ZERO, value)
        worst = _worst(found.held, _add(found.buys, buys), _add(found.sells, sells))
        more = _subtract(worst, found.worst)
        sector = self._sectors.get(symbol)
        return Exposure(
            worst,
            None if sector is None else _add(self._by_sector.get(sector, ZERO), more),
            _add(self._gross, more),
            _worst(both.held, _add(both.buys, buys), _add(both.sells, sells)),
        )

    def _of(self, symbol: str) -> SymbolExposure:
        found = self._symbols.get(symbol)
        if found is None:
            found = self._symbols[symbol] = SymbolExposure()
        return found

    def _change(self, symbol: str, **amounts: Decimal) -> None:
        found = self._of(symbol)
        before = found.worst
        for name, amount in amounts.items():
            for each in (found, self._all):
                setattr(each, name, _add(getattr(each, name), amount))
        more = _subtract(found.worst, before)
        self._gross = _add(self._gross, more)
        if (sector := self._sectors.get(symbol)) is not None:
            self._by_sector[sector] = _add(self._by_sector.get(sector, ZERO), more)


def worst_price(order: Order) -> Decimal:
    """Return the highest of the prices that an order names (quote currency)."""
    named = (order.arrival_price, order.limit_price, order.stop_price)
    return max(price for price in named if price is not None)


def _worst(held: Decimal, buys: Decimal, sells: Decimal) -> Decimal:
    """Return the larger absolute value: everything bought, or everything sold."""
    return max(_add(held, buys).copy_abs(), _subtract(held, sells).copy_abs())
