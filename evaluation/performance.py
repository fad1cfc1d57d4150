"""What was earned and at what risk: one measure, one function.

Returns are simple returns per period (0.01 = 1 %), equity is a positive wealth (any currency).
All measures refuse NaN and infinity (`domain.errors.InvalidValue`) and answer NaN where the
input is too short for the measure to exist, or its denominator is zero.
"""

import math
from datetime import datetime
from typing import NamedTuple

import numpy as np
import polars as pl

from domain.errors import InvalidValue
from evaluation.arrays import Floats, Series, finite, same_length

TRADING_DAYS = 252
NAN = math.nan

#: A standard deviation below this share of the mean is rounding noise of a constant series.
_NOISE = 1e-12


class Drawdown(NamedTuple):
    """The deepest fall from a peak.

    `depth` is a fraction (-0.2 = 20 % below the peak); `recovered` is the first instant at which
    the peak was reached again, None where it has not been.
    """

    depth: float
    peak: datetime
    trough: datetime
    recovered: datetime | None


def simple_returns(equity: Series) -> Floats:
    """Return the n - 1 simple returns of n equity values; empty for fewer than two.

    Raises
    ------
    InvalidValue
        If a value is not finite or not above zero.
    """
    wealth = finite(equity, "equity")
    if np.any(wealth <= 0):
        raise InvalidValue(
            "Equity must stay above zero for returns to exist.",
            next_step="Cut the series where the account was lost.",
        )
    return wealth[1:] / wealth[:-1] - 1.0


def total_return(returns: Series) -> float:
    """Compound return over the whole series, a fraction; NaN for an empty series."""
    r = finite(returns, "returns")
    return math.expm1(float(np.sum(np.log1p(r)))) if len(r) else NAN


def annualised_return(returns: Series, periods_per_year: float = TRADING_DAYS) -> float:
    """Geometric return per year, a fraction; NaN for an empty series."""
    r = finite(returns, "returns")
    return math.expm1(float(np.mean(np.log1p(r))) * periods_per_year) if len(r) else NAN


def volatility(returns: Series) -> float:
    """Sample standard deviation (n - 1) of the returns per period; NaN below two returns."""
    r = finite(returns, "returns")
    return float(np.std(r, ddof=1)) if len(r) > 1 else NAN


def annualised_volatility(returns: Series, periods_per_year: float = TRADING_DAYS) -> float:
    """`volatility` times the square root of the periods in a year; NaN below two returns."""
    return volatility(returns) * math.sqrt(periods_per_year)


def sharpe_ratio(returns: Series, risk_free: float = 0.0) -> float:
    """Mean excess return over its standard deviation, per period.

    `risk_free` is a return per period. NaN below two returns or without variation.
    """
    excess = finite(returns, "returns") - risk_free
    spread = volatility(excess)
    if math.isnan(spread) or spread <= _NOISE * (1.0 + abs(float(np.mean(excess)))):
        return NAN
    return float(np.mean(excess)) / spread


def annualised_sharpe_ratio(
    returns: Series, risk_free: float = 0.0, periods_per_year: float = TRADING_DAYS
) -> float:
    """`sharpe_ratio` times the root of the periods in a year (assumes no autocorrelation)."""
    return sharpe_ratio(returns, risk_free) * math.sqrt(periods_per_year)


def downside_deviation(returns: Series, target: float = 0.0) -> float:
    """Root mean square of the shortfalls below `target`, over **all** n periods; NaN if empty."""
    r = finite(returns, "returns")
    return math.sqrt(float(np.mean(np.minimum(r - target, 0.0) ** 2))) if len(r) else NAN


def sortino_ratio(
    returns: Series, target: float = 0.0, periods_per_year: float = TRADING_DAYS
) -> float:
    """Annualised mean return above `target` (per period) over the downside deviation.

    NaN for an empty series or one without a shortfall.
    """
    downside = downside_deviation(returns, target)
    if math.isnan(downside) or downside == 0.0:
        return NAN
    excess = float(np.mean(finite(returns, "returns"))) - target
    return excess / downside * math.sqrt(periods_per_year)


def drawdowns(equity: Series) -> Floats:
    """Fraction below the running peak at each point: 0 at a peak, -0.2 when 20 % below it."""
    wealth = finite(equity, "equity")
    return wealth / np.maximum.accumulate(wealth) - 1.0 if len(wealth) else wealth


def maximum_drawdown(equity: Series) -> float:
    """Deepest drawdown, a fraction at or below zero; NaN for an empty series."""
    depths = drawdowns(equity)
    return float(np.min(depths)) if len(depths) else NAN


def worst_drawdown(equity: Series, timestamps: list[datetime]) -> Drawdown | None:
    """Deepest drawdown with its dates; None where equity never fell below a peak."""
    wealth = finite(equity, "equity")
    if len(wealth) != len(timestamps):
        raise InvalidValue("Equity and timestamps differ in length.", next_step="Pair them first.")
    depths = drawdowns(wealth)
    if len(depths) == 0 or float(np.min(depths)) == 0.0:
        return None
    trough = int(np.argmin(depths))
    peak = int(np.argmax(wealth[: trough + 1]))
    regained = np.flatnonzero(wealth[trough:] >= wealth[peak])
    recovered = timestamps[trough + int(regained[0])] if len(regained) else None
    return Drawdown(float(depths[trough]), timestamps[peak], timestamps[trough], recovered)


def calmar_ratio(returns: Series, periods_per_year: float = TRADING_DAYS) -> float:
    """Annualised return over the depth of the deepest drawdown; NaN if empty or without one."""
    r = finite(returns, "returns")
    depth = -maximum_drawdown(np.concatenate(([1.0], np.cumprod(1.0 + r))))
    return annualised_return(r, periods_per_year) / depth if len(r) and depth > 0 else NAN


def hit_rate(returns: Series) -> float:
    """Share of the non-zero returns that are above zero; NaN where all are zero."""
    r = finite(returns, "returns")
    moved = r[r != 0.0]
    return float(np.mean(moved > 0.0)) if len(moved) else NAN


def turnover(traded_value: Series, equity: Series, periods_per_year: float = TRADING_DAYS) -> float:
    """Value bought plus value sold per year, over mean equity.

    `traded_value` is the absolute value traded in each period of `equity`: 2.0 means the
    portfolio was bought and sold once in a year. NaN for an empty series.
    """
    traded, wealth = finite(traded_value, "traded value"), finite(equity, "equity")
    same_length(traded, wealth, "Traded value and equity")
    if len(wealth) == 0:
        return NAN
    return float(np.mean(np.abs(traded)) / np.mean(wealth)) * periods_per_year


def exposure(gross_value: Series, equity: Series) -> float:
    """Mean of gross position value over equity (1.0 = fully invested); NaN if empty."""
    gross, wealth = finite(gross_value, "gross value"), finite(equity, "equity")
    same_length(gross, wealth, "Gross value and equity")
    return float(np.mean(np.abs(gross) / wealth)) if len(wealth) else NAN


def monthly_returns(timestamps: list[datetime], equity: Series) -> pl.DataFrame:
    """Return ``year, month, return``: each month's last equity over the previous month's last.

    The first month counts from the first value, so a lone first value gives 0.
    """
    wealth = finite(equity, "equity")
    if len(wealth) == 0:
        return pl.DataFrame(schema={"year": pl.Int32, "month": pl.Int8, "return": pl.Float64})
    months = (
        pl.DataFrame({"timestamp": timestamps, "equity": wealth})
        .with_columns(year=pl.col("timestamp").dt.year(), month=pl.col("timestamp").dt.month())
        .group_by("year", "month", maintain_order=True)
        .agg(pl.col("equity").last())
    )
    before = pl.col("equity").shift(1).fill_null(float(wealth[0]))
    return months.select("year", "month", (pl.col("equity") / before - 1.0).alias("return"))


def buy_and_hold(bars: pl.DataFrame, capital: float) -> pl.DataFrame:
    """Return ``timestamp, equity`` of equal money in every symbol of `bars`, never touched again.

    Each symbol's share buys at its first close, without costs, and waits in cash until then; a
    symbol without a bar on a day keeps its last close. `bars` has columns symbol, timestamp, close.
    """
    wide = (
        bars.sort("timestamp")
        .pivot(on="symbol", index="timestamp", values="close", maintain_order=True)
        .sort("timestamp")
    )
    symbols = sorted(set(wide.columns) - {"timestamp"})
    if not symbols:
        return pl.DataFrame(schema={"timestamp": pl.Datetime("us", "UTC"), "equity": pl.Float64})
    value = np.zeros(wide.height)
    # Summed by numpy in one order, so that the result never depends on polars' thread count.
    for symbol in symbols:
        close = wide[symbol].forward_fill()
        first = float(close.drop_nulls()[0])
        value += (close / first).fill_null(1.0).to_numpy() * (capital / len(symbols))
    return pl.DataFrame({"timestamp": wide["timestamp"], "equity": value})
