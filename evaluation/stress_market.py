"""Bars bent by a scenario.

A symbol's return r becomes β · m' + v · (r - β · m): the market's return m (the mean over symbols)
is replaced by the scenario's m', what the symbol did of its own stays, v times as large.
"""

from datetime import datetime
from typing import cast

import numpy as np
import polars as pl

from domain.errors import DataQualityError
from evaluation.arrays import Floats
from evaluation.stress_scenarios import Scenario

#: No return of a day is worse: a price stays positive.
_WORST = -0.95
#: Days before the scenario from which β and volatility are estimated.
_MEMORY = 252


def stressed(
    bars: pl.DataFrame, scenario: Scenario, *, start: datetime, largest: str | None = None
) -> pl.DataFrame:
    """Return the bars up to the scenario's end, bent from `start` on.

    Parameters
    ----------
    bars
        Columns symbol, timestamp, open, high, low, close, volume; others are kept as they are.
    start
        First timestamp of the scenario; `scenario.length` sessions from it are bent.
    largest
        Symbol of the largest position, which `scenario.gap` hits; None where nothing is held.

    Raises
    ------
    DataQualityError
        If fewer sessions are stored from `start` on, none before it, or a symbol lacks one of them.
    """
    instants = bars["timestamp"].unique().sort()
    first = int(instants.search_sorted(start))
    last = first + scenario.length
    if first < 2 or last > len(instants):
        raise DataQualityError(
            f"'{scenario.name}' needs {scenario.length} sessions from {start:%Y-%m-%d} on and two "
            f"before it; {len(instants) - first} and {first} are stored.",
            next_step="Start earlier, or ingest more bars.",
        )
    window = instants[max(0, first - _MEMORY - 1) : last]
    closes = (
        bars.filter(pl.col("timestamp").is_in(window.implode()))
        .pivot(on="symbol", index="timestamp", values="close")
        .sort("timestamp")
        .drop("timestamp")
    )
    prices = closes.to_numpy().astype(np.float64)
    if not np.isfinite(prices[-scenario.length - 1 :]).all():
        raise DataQualityError(
            f"A symbol lacks a bar in the sessions of '{scenario.name}'.",
            next_step="Take another start, or leave the symbol out.",
        )
    returns = prices[1:] / prices[:-1] - 1.0
    told = bent_returns(returns, scenario)
    if scenario.gap and largest is not None:
        told[0, closes.columns.index(largest)] = scenario.gap
    new = prices[-scenario.length - 1] * np.cumprod(1.0 + told, axis=0)
    factors = new / prices[-scenario.length :]
    before = np.vstack([np.ones_like(factors[:1]), factors[:-1]])
    lowest = _lowest(returns, scenario, new / (1.0 + told))
    frame = pl.DataFrame(
        {
            "timestamp": np.repeat(window[-scenario.length :].to_numpy(), len(closes.columns)),
            "symbol": closes.columns * scenario.length,
            "_close": factors.ravel(),
            "_before": before.ravel(),
            "_lowest": lowest.ravel(),
        }
    ).with_columns(pl.col("timestamp").cast(bars.schema["timestamp"]))
    kept = bars.filter(pl.col("timestamp") <= window[-1])
    return _apply(kept, frame, scenario, gapped=largest if scenario.gap else None)


def bent_returns(returns: Floats, scenario: Scenario) -> Floats:
    """Return the last `scenario.length` returns as the scenario has them.

    Parameters
    ----------
    returns
        Days x symbols; NaN where a symbol has no return, in no day of the scenario.

    Notes
    -----
    β and volatility are estimated from the days before the scenario on which all of them have a
    return; without 20 such days β is 1, and all volatilities are equal.
    """
    past, days = returns[: -scenario.length], returns[-scenario.length :]
    beta, relative = _sensitivities(past)
    market = days.mean(axis=1, keepdims=True)
    own = scenario.volatility * market
    moved = np.array(scenario.moves)[:, None] if scenario.moves else own
    if scenario.together:
        told = relative * moved
    else:
        told = beta * moved + scenario.volatility * (days - beta * market)
    return np.maximum(told, _WORST)


def _sensitivities(past: Floats) -> tuple[Floats, Floats]:
    """Return β against the mean of all symbols, and volatility over the mean volatility."""
    ones = np.ones(past.shape[1])
    whole = past[np.isfinite(past).all(axis=1)]
    if len(whole) < 20:
        return ones, ones
    market = whole.mean(axis=1)
    variance = float(market.var())
    deviations = whole.std(axis=0)
    if variance <= 0.0 or deviations.mean() <= 0.0:
        return ones, ones
    covariance = ((whole - whole.mean(axis=0)) * (market - market.mean())[:, None]).mean(axis=0)
    return covariance / variance, deviations / deviations.mean()


def _lowest(returns: Floats, scenario: Scenario, previous: Floats) -> Floats:
    """Return the price that each symbol falls to within each day; infinite where none is told."""
    beta, _ = _sensitivities(returns[: -scenario.length])
    lowest = np.full_like(previous, np.inf)
    for day, low in scenario.lows:
        lowest[day] = previous[day] * (1.0 + np.maximum(beta * low, _WORST))
    return lowest


def _apply(
    bars: pl.DataFrame, frame: pl.DataFrame, scenario: Scenario, *, gapped: str | None
) -> pl.DataFrame:
    """Return the bars with what `frame` says of the close, its predecessor and the low."""
    overnight = (
        pl.when(pl.col("symbol") == gapped).then(1.0).otherwise(scenario.overnight)
        if gapped is not None
        else pl.lit(scenario.overnight)
    )
    step = pl.col("_close") / pl.col("_before")
    opening = (pl.col("open") * pl.col("_before") * step**overnight).alias("_open")
    close = pl.col("close") * pl.col("_close")
    above = pl.col("high") / pl.max_horizontal("open", "close")
    below = pl.col("low") / pl.min_horizontal("open", "close")
    bent = bars.join(frame, on=["timestamp", "symbol"], how="inner").with_columns(opening)
    bent = bent.with_columns(
        open=pl.col("_open"),
        high=pl.max_horizontal(pl.col("_open"), close) * above,
        low=pl.min_horizontal(pl.min_horizontal(pl.col("_open"), close) * below, pl.col("_lowest")),
        close=close,
        volume=pl.col("volume") * scenario.volume,
    ).select(bars.columns)
    started = cast("datetime", frame["timestamp"].min())
    untouched = bars.filter(pl.col("timestamp") < started)
    return pl.concat([untouched, bent.cast(bars.schema)]).sort("symbol", "timestamp")
