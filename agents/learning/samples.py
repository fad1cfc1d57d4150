"""Samples from the features and bars frames: what was known, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.indicators import FEATURE_NAMES
from agents.price_history import (
    Floats,
    Microseconds,
    PriceHistory,
    price_histories,
    to_instant,
    to_microseconds,
)
from domain.errors import DataQualityError

HORIZON_DAYS = 5
_SHARES = (0.70, 0.85)


@dataclass(frozen=True)
class Panel:
    """One row per (symbol, bar) that has all features, sorted by time, then symbol.

    Parameters
    ----------
    features
        Rows × `FEATURE_NAMES`.
    forward_return
        Log return from the next open to the close `HORIZON_DAYS` bars ahead.
    forward_variance
        Mean squared daily log return of the next `HORIZON_DAYS` bars.
    next_range, next_volume
        The next bar's log Parkinson volatility, and log volume against the 20-day mean now.
    day_return
        Log return of the next bar, close to close.
    known
        Whether all that is ahead had happened before the cutoff.
    """

    symbols: NDArray[np.str_]
    times: Microseconds
    features: Floats
    forward_return: Floats
    forward_variance: Floats
    next_range: Floats
    next_volume: Floats
    day_return: Floats
    known: NDArray[np.bool_]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.times)

    def take(self, rows: NDArray[np.bool_]) -> "Panel":
        """Return the rows of a mask."""
        return Panel(**{name: column[rows] for name, column in vars(self).items()})

    def columns(self, names: tuple[str, ...]) -> Floats:
        """Return the features of these names, in this order."""
        return self.features[:, [FEATURE_NAMES.index(name) for name in names]]


def panel(bars: pl.DataFrame, features: pl.DataFrame, until: datetime) -> Panel:
    """Join features to what followed, from bars that closed before `until`.

    Raises
    ------
    DataQualityError
        If no row has both all features and a known future.
    """
    visible = bars.filter(pl.col("timestamp") < until)
    ahead = pl.concat(
        [_ahead(symbol, history) for symbol, history in price_histories(visible).items()]
    )
    joined = (
        features.filter(pl.col("timestamp") < until)
        .with_columns(time=pl.col("timestamp").dt.epoch("us"))
        .join(ahead, on=["symbol", "time"], how="inner")
        .sort("time", "symbol")
    )
    table = joined.select(FEATURE_NAMES).to_numpy()
    joined = joined.filter(pl.Series(np.asarray(np.isfinite(table).all(axis=1))))
    if joined.is_empty() or not joined["known"].any():
        raise DataQualityError(
            f"No bar before {until:%Y-%m-%d} has all features and a known future.",
            next_step="Give more history: about 100 bars per symbol before the cutoff.",
        )
    return Panel(
        symbols=joined["symbol"].to_numpy(),
        times=joined["time"].to_numpy(),
        features=np.ascontiguousarray(joined.select(FEATURE_NAMES).to_numpy()),
        **{
            name: joined[name].to_numpy()
            for name in ahead.columns
            if name not in ("symbol", "time")
        },
    )


def _ahead(symbol: str, bars: PriceHistory) -> pl.DataFrame:
    h, n = HORIZON_DAYS, bars.length

    def shifted(values: Floats, days: int) -> Floats:
        result = np.full(n, np.nan)
        result[: max(0, n - days)] = values[days:]
        return result

    log_close = np.log(bars.close)
    squares = np.zeros(n)
    for day in range(1, h + 1):
        squares += (shifted(log_close, day) - shifted(log_close, day - 1)) ** 2
    log_volume = np.log(np.maximum(bars.volume, 1.0))
    means = np.full(n, np.nan)
    if n >= 20:
        means[19:] = np.convolve(log_volume, np.full(20, 0.05), mode="valid")
    parkinson = np.log(bars.high / bars.low) / (2.0 * np.sqrt(np.log(2.0)))
    forward = shifted(log_close, h) - shifted(np.log(bars.open), 1)
    return pl.DataFrame(
        {
            "symbol": [symbol] * n,
            "time": bars.times,
            "forward_return": forward,
            "forward_variance": np.maximum(squares / h, 1e-8),
            "next_range": np.log(np.maximum(shifted(parkinson, 1), 1e-4)),
            "next_volume": shifted(log_volume, 1) - means,
            "day_return": shifted(log_close, 1) - log_close,
            "known": np.isfinite(forward),
        }
    )


@dataclass(frozen=True)
class Slices:
    """Training, tuning (early stopping and calibration) and validation (metrics) rows."""

    training: Panel
    tuning: Panel
    validation: Panel


def split(rows: Panel) -> Slices:
    """Cut by time at 70 % and 85 % of the days, purged so that no label reaches a later slice."""
    usable = rows.take(rows.known)
    days = np.unique(usable.times)
    if len(days) < 20 * HORIZON_DAYS:
        raise DataQualityError(
            f"Only {len(days)} days have features and a known future; {20 * HORIZON_DAYS} needed.",
            next_step="Give more history before the cutoff.",
        )
    tuning_start, validation_start = (int(share * len(days)) for share in _SHARES)

    def between(first: int, after: int) -> Panel:
        last = days[after - HORIZON_DAYS - 1] if after < len(days) else days[-1]
        return usable.take((usable.times >= days[first]) & (usable.times <= last))

    return Slices(
        training=between(0, tuning_start),
        tuning=between(tuning_start, validation_start),
        validation=between(validation_start, len(days)),
    )


def purged_slices(times: Microseconds, count: int) -> list[NDArray[np.bool_]]:
    """Cut rows by time into `count` slices of equally many days; returns the rows of each.

    The last `HORIZON_DAYS` days of each but the last are left out: no label reaches the next one.
    """
    days = np.unique(times)
    edges = [round(place * len(days) / count) for place in range(count + 1)]
    lasts = [days[max(first, after - HORIZON_DAYS - 1)] for first, after in pairwise(edges)]
    lasts[-1] = days[-1]
    return [
        (times >= days[first]) & (times <= last)
        for first, last in zip(edges[:-1], lasts, strict=True)
    ]


def first_instant(rows: Panel) -> datetime:
    """Return the first row's instant."""
    return to_instant(int(rows.times[0]))


def within(rows: Panel, start: datetime, end: datetime) -> Panel:
    """Return the rows with a known future and start ≤ time < end."""
    inside = (rows.times >= to_microseconds(start)) & (rows.times < to_microseconds(end))
    return rows.take(inside & rows.known)
