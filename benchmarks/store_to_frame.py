"""14 factors over 800 symbols × 3,400 days: from the store to a frame.

The task is Qlib's (its paper, table 2: InfluxDB 368 s, HDF5 184 s, MySQL 365 s, MongoDB 253 s, Qlib
with its caches 7.4 s, all on one core of another machine). The factors are computed here from
stored bars, nothing is cached.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from adapters.time_series.delta import DeltaTimeSeries
from agents.indicators.bar_panel import BarPanel, checked
from agents.indicators.technical import analyse_panel
from agents.price_history import PriceHistory
from benchmarks.indicators import COLUMNS
from benchmarks.measure import Row, alternately, run
from domain.ports.time_series import Table

SYMBOLS, DAYS, _ROUNDS = 800, 3_400, 3
_PUBLISHED = {"InfluxDB, published": 368.0, "Qlib with its caches, published": 7.4}
_NAMES = ("open", "high", "low", "close", "volume")


def stored_bars() -> pl.DataFrame:
    random = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.02, (SYMBOLS, DAYS)), axis=1)).ravel()
    first = datetime(2007, 1, 2, 21, tzinfo=UTC)
    days = pl.datetime_range(
        first, first + timedelta(days=DAYS - 1), "1d", eager=True, time_unit="us"
    )
    return pl.DataFrame(
        {
            "symbol": np.repeat([f"S{n:03}" for n in range(SYMBOLS)], DAYS),
            "timestamp": pl.concat([days] * SYMBOLS),
            "open": close * 0.999,
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "volume": random.integers(1, 1_000_000, SYMBOLS * DAYS).astype(float),
        }
    )


def factors(store: DeltaTimeSeries) -> pl.DataFrame:
    """Read the bars and return symbol, timestamp and the 14 factors."""
    bars = store.read(Table.BARS)
    counts = bars["symbol"].rle().struct.unnest()
    starts = np.concatenate([[0], np.cumsum(counts["len"].to_numpy())]).astype(np.int64)
    times = bars["timestamp"].dt.timestamp("us").to_numpy()
    prices = (bars[name].to_numpy() for name in _NAMES)
    panel = BarPanel(tuple(counts["value"]), starts, PriceHistory(times, *prices))
    values = analyse_panel(checked(panel), COLUMNS)
    return bars.select("symbol", "timestamp").with_columns(
        pl.Series(name, values[name]) for name in COLUMNS
    )


def seconds_of(operation: Callable[[], object]) -> float:
    began = time.perf_counter()
    operation()
    return time.perf_counter() - began


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        store = DeltaTimeSeries(Path(folder))
        store.write(Table.BARS, stored_bars())
        assert factors(store).height == SYMBOLS * DAYS
        found = alternately({"ours": lambda: seconds_of(lambda: factors(store))}, _ROUNDS)
        read = alternately({"read": lambda: seconds_of(lambda: store.read(Table.BARS))}, _ROUNDS)
    best = min(found["ours"])
    figure = "14 factors of 800 × 3,400 stored bars, as a frame"
    return [
        *(
            Row(figure=figure, unit="s", ours=best, beside=name, theirs=seconds)
            for name, seconds in _PUBLISHED.items()
        ),
        Row(figure=figure, unit="s", ours=best, beside="the limit", theirs=2.0),
        Row(figure="of that, reading the bars", unit="s", ours=min(read["read"])),
    ]


if __name__ == "__main__":
    run(measure)
