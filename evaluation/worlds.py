"""Planted-truth worlds: bars in which we know what can be earned, because we put it there.

In all of them the log return of day t + 1, from close to close, is

    drift(t) + σ ε(t + 1),    ε independent standard normal,

and what is planted is `drift(t)`, a function of published closes up to t alone:

- `edge_world`: μ · sign(close(t) / close(t - lookback) - 1), with μ = sharpe · σ. No policy that
  knows only the past can do better per day than holding that sign, whose log return has
  mean μ, standard deviation σ, and Sharpe ratio per day exactly `sharpe`.
- `no_edge_world`: 0 everywhere; every policy earns nothing before costs and loses after them.
- `break_world`: as `edge_world` up to and including day `break_day`, then 0, or with
  ``reverses=True`` the opposite sign.

A fifth of each day's variance falls into the overnight gap, which carries no drift: who decides
at the close and fills at the next open keeps the whole edge. Bars come on Mondays to Fridays at
21:00 UTC, prices in millionths. Bars have the plan's columns; `truth` has symbol, timestamp and
drift (of the log return of the **next** day).
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from domain.errors import InvalidValue
from evaluation.arrays import Floats

_GAP_SHARE = 0.2
_PLACES = 6
_FIRST_PRICE = 100.0
SYMBOLS = ("ALPHA", "BRAVO", "CHARLIE", "DELTA", "ECHO")


class World(NamedTuple):
    """Bars, and the truth behind them, row by row."""

    bars: pl.DataFrame
    truth: pl.DataFrame


def edge_world(
    *,
    seed: int,
    days: int = 2_500,
    symbols: Sequence[str] = SYMBOLS,
    sharpe: float = 0.15,
    volatility: float = 0.015,
    lookback: int = 10,
) -> World:
    """Return a world whose trend persists: daily Sharpe ratio `sharpe` for who follows it."""
    strength = np.full(days, sharpe)
    return _world(seed, symbols, strength, volatility, lookback)


def no_edge_world(
    *,
    seed: int,
    days: int = 2_500,
    symbols: Sequence[str] = SYMBOLS,
    volatility: float = 0.015,
) -> World:
    """Return a world in which the past says nothing about the future."""
    return _world(seed, symbols, np.zeros(days), volatility, lookback=1)


def break_world(
    *,
    seed: int,
    break_day: int,
    days: int = 2_500,
    symbols: Sequence[str] = SYMBOLS,
    sharpe: float = 0.15,
    volatility: float = 0.015,
    lookback: int = 10,
    reverses: bool = False,
) -> World:
    """Return `edge_world` (the same bars up to the break) whose edge ends after `break_day`."""
    after = -sharpe if reverses else 0.0
    strength = np.where(np.arange(days) < break_day, sharpe, after)
    return _world(seed, symbols, strength, volatility, lookback)


def _world(
    seed: int, symbols: Sequence[str], strength: Floats, volatility: float, lookback: int
) -> World:
    days, width = len(strength), len(symbols)
    if days < 2 or width == 0 or not volatility > 0 or lookback < 1:
        raise InvalidValue(
            "A world needs two days, a symbol, a volatility above zero and a lookback of a day.",
            next_step="Check the arguments.",
        )
    rng = np.random.default_rng(seed)
    # One draw per day and purpose: a longer world begins with the same days.
    draws = rng.standard_normal((days, 4, width))
    volumes = rng.lognormal(15.0, 0.4, (days, width)).round()
    open_, close = np.empty((days, width)), np.empty((days, width))
    drift = np.zeros((days, width))
    before, planted = np.full(width, _FIRST_PRICE), np.zeros(width)
    for day in range(days):
        gap = volatility * math.sqrt(_GAP_SHARE) * draws[day, 0]
        noise = volatility * math.sqrt(1 - _GAP_SHARE) * draws[day, 1]
        open_[day] = before * np.exp(gap)
        close[day] = np.round(before * np.exp(gap + planted + noise), _PLACES)
        if day >= lookback:
            drift[day] = strength[day] * volatility * np.sign(close[day] - close[day - lookback])
        before, planted = close[day], drift[day]
    reach = volatility / 3 * np.abs(draws[:, 2:])
    high = np.maximum(open_, close) * np.exp(reach[:, 0])
    low = np.minimum(open_, close) * np.exp(-reach[:, 1])
    prices = {"open": open_, "high": high, "low": low, "close": close}
    return _frames(symbols, prices, volumes, drift)


def _frames(
    symbols: Sequence[str],
    prices: dict[str, Floats],
    volume: Floats,
    drift: Floats,
) -> World:
    stamps = _weekdays(len(drift))
    schema = pl.Schema({"symbol": pl.String, "timestamp": pl.Datetime("us", "UTC")})
    bars: list[pl.DataFrame] = []
    truth: list[pl.DataFrame] = []
    for i, symbol in sorted(enumerate(symbols), key=lambda pair: pair[1]):
        key = pl.DataFrame({"symbol": [symbol] * len(stamps), "timestamp": stamps}, schema=schema)
        columns = [pl.Series(name, np.round(p[:, i], _PLACES)) for name, p in prices.items()]
        columns += [
            pl.Series("volume", volume[:, i]),
            pl.Series("raw_close", prices["close"][:, i]),
        ]
        source = pl.lit("planted").alias("source")
        bars.append(key.with_columns(*columns).with_columns(source))
        truth.append(key.with_columns(pl.Series("drift", drift[:, i])))
    return World(pl.concat(bars), pl.concat(truth))


def _weekdays(count: int) -> list[datetime]:
    first = datetime(2000, 1, 3, 21, tzinfo=UTC)
    return [first + timedelta(days=7 * (day // 5) + day % 5) for day in range(count)]
