"""The portfolio as the record tells it: a row per update, and whether its sums hold."""

import json
from collections.abc import Iterable
from decimal import Decimal

import polars as pl

from domain.portfolio import PortfolioUpdated

_SCHEMA = {
    "symbol": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "message_id": pl.String,
    "cash": pl.Float64,
    "reserved": pl.Float64,
    "equity": pl.Float64,
    "gross": pl.Float64,
    "positions": pl.Int64,
    "difference": pl.Float64,
    "held": pl.String,
}


def portfolio_frame(updates: Iterable[PortfolioUpdated]) -> pl.DataFrame:
    """Return the table PORTFOLIO: a row per update, filed under the account's currency.

    ``difference`` is equity less cash and positions, summed again from quantity and mark; ``held``
    is the positions as JSON.
    """
    return pl.DataFrame(list(map(_row, updates)), schema=_SCHEMA, orient="row").sort(
        "symbol", "timestamp", "message_id"
    )


def _row(update: PortfolioUpdated) -> tuple[object, ...]:
    portfolio = update.portfolio
    values = [p.quantity * p.mark_price for p in portfolio.positions]
    again = portfolio.cash + sum(values, Decimal(0))
    held = {
        p.symbol: [str(p.quantity), str(p.average_price), str(p.mark_price)]
        for p in portfolio.positions
    }
    return (
        portfolio.currency,
        update.occurred_at,
        update.message_id,
        float(portfolio.cash),
        float(portfolio.reserved),
        float(portfolio.equity),
        float(sum(map(abs, values), Decimal(0))),
        len(portfolio.positions),
        float(portfolio.equity - again),
        json.dumps(held, sort_keys=True),
    )
