"""Trades a table of price relatives through the paper venue and the portfolio ledger.

An account that is right reproduces what the literature prints for such tables. Each day opens at
the close before it, so orders decided on one close fill at that price; what they cost beyond it is
`cost_bps` of what is traded, and none by default.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from agents.price_history import Floats
from domain.errors import InvalidValue
from domain.identity import derive_id
from domain.market import MarketData
from domain.money import BASIS_POINT, BILLIONTH, EXACT, ZERO, canonical
from domain.orders import Order, Side
from domain.settings import TradingSettings
from evaluation.online_portfolios import (
    best_constant_weights,
    constant_rebalanced,
    exponentiated_gradient,
    passive_aggressive_mean_reversion,
)
from trading.paper_venue import PaperVenue
from trading.portfolio import PortfolioLedger

#: Nobody's order is limited by the volume of a table that has none.
_VOLUME = Decimal(10**17)
_FIRST_PRICE = Decimal(100)
_FIRST_DAY = datetime(2000, 1, 1, tzinfo=UTC)
_ONE_DAY = timedelta(days=1)


def read_relatives(table: pl.DataFrame) -> Floats:
    """Return the table's relatives, shape (days, assets); a column named day or date is left out.

    Raises
    ------
    InvalidValue
        If the table is empty, or a relative is missing, not finite or not above zero.
    """
    prices = table.select(pl.exclude("day", "date"))
    wordy = [name for name, kind in prices.schema.items() if not kind.is_numeric()]
    if wordy:
        raise InvalidValue(
            f"Column {wordy[0]} holds no numbers.",
            next_step="Leave it out; only a column called day or date may stand beside the assets.",
        )
    relatives = prices.cast(pl.Float64).to_numpy()
    if not relatives.size:
        raise InvalidValue(
            "The table has no price relatives.",
            next_step="Give one row a day and one column an asset.",
        )
    wrong = np.argwhere(~(np.isfinite(relatives) & (relatives > 0.0)))
    if wrong.size:
        row, column = (int(place) for place in wrong[0])
        raise InvalidValue(
            f"Row {row + 1}, column {prices.columns[column]} has no price relative above zero "
            f"({relatives[row, column]}); {len(wrong)} such values in all.",
            next_step="Leave the asset or the days out; a relative is a close over the one before.",
        )
    return relatives


def final_wealth(relatives: Floats, way: str, *, cost_bps: Decimal = ZERO) -> float:
    """Return what one unit of cash has become after the last day.

    Parameters
    ----------
    way
        One of `WAYS`.
    cost_bps
        Commission and half spread together, in basis points of what is traded.
    """
    account = RelativesAccount(relatives, cost_bps=cost_bps)
    return float(WAYS[way](account, relatives)[-1])


def load_relatives(path: Path) -> Floats:
    """Return the relatives of a Parquet or CSV file.

    Raises
    ------
    InvalidValue
        If it can't be read as a table, or its values are none (`read_relatives`).
    """
    read = pl.read_parquet if path.suffix == ".parquet" else pl.read_csv
    try:
        table = read(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InvalidValue(
            f"{path} can't be read as a table: {error}",
            next_step="Give a Parquet or CSV file.",
        ) from error
    return read_relatives(table)


class RelativesAccount:
    """An account of one unit of cash that trades a table's assets.

    Parameters
    ----------
    relatives
        Shape (days, assets), each a close over the close before it.
    cost_bps
        Commission and half spread together, in basis points of what is traded.
    """

    def __init__(self, relatives: Floats, *, cost_bps: Decimal = ZERO) -> None:
        self._relatives = relatives
        self._symbols = [f"ASSET{column:04d}" for column in range(relatives.shape[1])]
        self._cost = EXACT.multiply(cost_bps, BASIS_POINT)
        settings = TradingSettings(
            starting_cash=Decimal(1),
            half_spread_bps=cost_bps,
            impact_coefficient=ZERO,
            fee_per_share=ZERO,
        )
        self._venue = PaperVenue(settings)
        self.ledger = PortfolioLedger(settings.starting_cash)
        self._prices = [_FIRST_PRICE] * relatives.shape[1]

    def hold(self, weights: Floats) -> Floats:
        """Return wealth after each day where the first day's `weights`, (assets,), are kept."""
        return asyncio.run(self._run([weights]))

    def rebalance(self, weights: Floats) -> Floats:
        """Return wealth after each day where each day begins with its `weights`, (days, assets)."""
        return asyncio.run(self._run(list(weights)))

    async def _run(self, weights: Sequence[Floats]) -> Floats:
        wealth = np.empty(len(self._relatives))
        for day, relative in enumerate(self._relatives):
            opens = self._prices
            self._prices = [
                canonical(EXACT.multiply(price, Decimal(repr(float(change)))))
                for price, change in zip(opens, relative, strict=True)
            ]
            if day < len(weights):
                await self._trade(day, weights[day], opens)
            for symbol, price in zip(self._symbols, self._prices, strict=True):
                self.ledger.mark(symbol, price)
            wealth[day] = float(self.ledger.equity)
        return wealth

    async def _trade(self, day: int, weights: Floats, opens: Sequence[Decimal]) -> None:
        """Bring the account to `weights` at the day's open; the venue sees the bars it needs."""
        equity = self.ledger.equity
        for symbol, start, end, weight in zip(
            self._symbols, opens, self._prices, weights, strict=True
        ):
            worth = EXACT.multiply(canonical(float(weight)), equity)
            target = EXACT.quantize(EXACT.divide(worth, start), BILLIONTH)
            change = EXACT.subtract(target, self.ledger.quantity(symbol))
            if change:
                await self._venue.submit(self._order(day, symbol, start, change))
                for report in await self._venue.on_market_data(self._bar(day, symbol, start, end)):
                    self.ledger.apply(report)

    def _order(self, day: int, symbol: str, price: Decimal, change: Decimal) -> Order:
        name = derive_id("price-relatives", symbol, day)
        return Order(
            client_order_id=name,
            decision_id=name,
            symbol=symbol,
            side=Side.BUY if change > 0 else Side.SELL,
            quantity=change.copy_abs(),
            arrival_price=price,
            created_at=_FIRST_DAY + day * _ONE_DAY,
        )

    def _bar(self, day: int, symbol: str, start: Decimal, end: Decimal) -> MarketData:
        name = derive_id("price-relatives", "bar", symbol, day)
        dearer, cheaper = EXACT.add(Decimal(1), self._cost), EXACT.subtract(Decimal(1), self._cost)
        return MarketData(
            message_id=name,
            correlation_id=name,
            occurred_at=_FIRST_DAY + (day + 1) * _ONE_DAY,
            symbol=symbol,
            observed_at=_FIRST_DAY + (day + 1) * _ONE_DAY,
            price=end,
            volume=_VOLUME,
            open=start,
            # What trades at the touch is within the day's range.
            high=EXACT.multiply(max(start, end), dearer),
            low=EXACT.multiply(min(start, end), cheaper),
        )


def _buy_and_hold(account: RelativesAccount, relatives: Floats) -> Floats:
    return account.hold(constant_rebalanced(relatives)[0])


def _best_asset(account: RelativesAccount, relatives: Floats) -> Floats:
    best = int(np.argmax(np.log(relatives).sum(axis=0)))
    return account.hold(np.eye(relatives.shape[1])[best])


def _constant_rebalanced(account: RelativesAccount, relatives: Floats) -> Floats:
    return account.rebalance(constant_rebalanced(relatives))


def _best_constant_rebalanced(account: RelativesAccount, relatives: Floats) -> Floats:
    return account.rebalance(constant_rebalanced(relatives, best_constant_weights(relatives)))


def _exponentiated_gradient(account: RelativesAccount, relatives: Floats) -> Floats:
    return account.rebalance(exponentiated_gradient(relatives))


def _mean_reversion(account: RelativesAccount, relatives: Floats) -> Floats:
    return account.rebalance(passive_aggressive_mean_reversion(relatives))


#: Name → how an account follows it; the two called best know the whole table beforehand.
WAYS: Mapping[str, Callable[[RelativesAccount, Floats], Floats]] = {
    "uniform buy and hold": _buy_and_hold,
    "best asset": _best_asset,
    "uniform constant rebalanced": _constant_rebalanced,
    "best constant rebalanced": _best_constant_rebalanced,
    "exponentiated gradient": _exponentiated_gradient,
    "passive aggressive mean reversion": _mean_reversion,
}
