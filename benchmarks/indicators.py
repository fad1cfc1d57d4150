"""Fourteen indicators of 2.5 million bars, beside TA-Lib, polars and pandas on the same bars.

Where a peer has no rolling mean absolute deviation (CCI), it is let off with a standard deviation;
where it begins a smoothing otherwise than TA-Lib, with its own beginning.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import talib

from agents.indicators.bar_panel import BarPanel, checked
from agents.indicators.technical import analyse_panel
from agents.price_history import PriceHistory
from benchmarks.measure import Row, alternately, run

SYMBOLS, DAYS = 1000, 2500
COLUMNS = (
    "rsi_14", "macd_histogram", "bollinger_upper", "atr_14", "adx_14", "stochastic_k", "obv",
    "sma_20", "ema_20", "roc_10", "donchian_upper", "donchian_lower", "cci_20", "mfi_14",
)  # fmt: skip
_ROUNDS = 7


def random_panel(symbols: int, days: int, seed: int = 1) -> BarPanel:
    """Return random walks, each symbol's after the other's."""
    random = np.random.default_rng(seed)
    close = np.exp(0.01 * random.standard_normal((symbols, days)).cumsum(axis=1) + 4).ravel()
    opened = close * np.exp(0.003 * random.standard_normal(len(close)))
    spread = 0.5 * np.abs(random.standard_normal(len(close)))
    bars = PriceHistory(
        np.tile(np.arange(days) * 86_400_000_000, symbols),
        opened,
        np.maximum(opened, close) + spread,
        np.maximum(np.minimum(opened, close) - spread, 0.01),
        close,
        np.round(1e6 * np.exp(random.standard_normal(len(close)))),
    )
    names = tuple(f"S{number:04}" for number in range(symbols))
    return BarPanel(names, np.arange(symbols + 1) * days, bars)


def by_talib(panel: BarPanel) -> dict[str, np.ndarray]:
    table = {name: np.empty(panel.rows) for name in COLUMNS}
    for rows, b in panel.histories():
        hlc = b.high, b.low, b.close
        values = (
            talib.RSI(b.close, 14), talib.MACD(b.close)[2], talib.BBANDS(b.close, 20)[0],
            talib.ATR(*hlc, 14), talib.ADX(*hlc, 14), talib.STOCH(*hlc, 14)[0],
            talib.OBV(b.close, b.volume), talib.SMA(b.close, 20), talib.EMA(b.close, 20),
            talib.ROC(b.close, 10), talib.MAX(b.high, 20), talib.MIN(b.low, 20),
            talib.CCI(*hlc, 20), talib.MFI(*hlc, b.volume, 14),
        )  # fmt: skip
        for name, column in zip(COLUMNS, values, strict=True):
            table[name][rows] = column
    return table


def frame_of(panel: BarPanel) -> pl.DataFrame:
    names = ("open", "high", "low", "close", "volume")
    symbols = np.repeat(np.arange(len(panel.symbols)), np.diff(panel.starts))
    columns = dict(zip(names, panel.bars.prices(), strict=True))
    return pl.DataFrame({"symbol": symbols, **columns})


def by_polars(frame: pl.DataFrame) -> pl.DataFrame:
    o, h, low, c, v = (pl.col(name) for name in ("symbol", "high", "low", "close", "volume"))

    def wilder(values: pl.Expr) -> pl.Expr:
        return values.ewm_mean(alpha=1 / 14, adjust=False, min_samples=14)

    def ema(values: pl.Expr, n: int) -> pl.Expr:
        return values.ewm_mean(span=n, adjust=False, min_samples=n)

    change = c.diff()
    extent = pl.max_horizontal(h - low, (h - c.shift()).abs(), (low - c.shift()).abs())
    rise, fall = h.diff(), -low.diff()
    plus = wilder(pl.when((rise > fall) & (rise > 0)).then(rise).otherwise(0.0)) / wilder(extent)
    minus = wilder(pl.when((fall > rise) & (fall > 0)).then(fall).otherwise(0.0)) / wilder(extent)
    macd = ema(c, 12) - ema(c, 26)
    lowest, highest = low.rolling_min(14), h.rolling_max(14)
    typical = (h + low + c) / 3
    flow = typical * v
    gain = pl.when(typical.diff() > 0).then(flow).otherwise(0.0).rolling_sum(14)
    loss = pl.when(typical.diff() < 0).then(flow).otherwise(0.0).rolling_sum(14)
    up, down = wilder(change.clip(lower_bound=0)), wilder((-change).clip(lower_bound=0))
    expressions = (
        100 * up / (up + down),
        macd - ema(macd, 9),
        c.rolling_mean(20) + 2 * c.rolling_std(20, ddof=0),
        wilder(extent),
        wilder(100 * (plus - minus).abs() / (plus + minus)),
        (100 * (c - lowest) / (highest - lowest)).rolling_mean(3),
        (change.sign().fill_null(1) * v).cum_sum(),
        c.rolling_mean(20),
        ema(c, 20),
        (c / c.shift(10) - 1) * 100,
        h.rolling_max(20),
        low.rolling_min(20),
        (typical - typical.rolling_mean(20)) / (0.015 * typical.rolling_std(20)),
        100 * gain / (gain + loss),
    )
    named = zip(COLUMNS, expressions, strict=True)
    return frame.select(each.over(o).alias(name) for name, each in named)


def by_pandas(frame: pd.DataFrame) -> pd.DataFrame:
    symbol, h, low, c, v = (frame[name] for name in ("symbol", "high", "low", "close", "volume"))

    def grouped(values: pd.Series):
        return values.groupby(symbol, sort=False)

    def over(values: pd.Series, n: int, what: str) -> pd.Series:
        return getattr(grouped(values).rolling(n), what)().droplevel(0)

    def smoothed(values: pd.Series, **how: float) -> pd.Series:
        return grouped(values).ewm(adjust=False, **how).mean().droplevel(0)

    def wilder(values: pd.Series) -> pd.Series:
        return smoothed(values, alpha=1 / 14)

    before, change = grouped(c).shift(), grouped(c).diff()
    extent = np.maximum(h - low, np.maximum((h - before).abs(), (low - before).abs()))
    rise, fall = grouped(h).diff(), -grouped(low).diff()
    reach = wilder(extent)
    plus = wilder(rise.where((rise > fall) & (rise > 0), 0.0)) / reach
    minus = wilder(fall.where((fall > rise) & (fall > 0), 0.0)) / reach
    up, down = wilder(change.clip(lower=0)), wilder((-change).clip(lower=0))
    macd = smoothed(c, span=12) - smoothed(c, span=26)
    lowest, highest = over(low, 14, "min"), over(h, 14, "max")
    typical = (h + low + c) / 3
    moved, flow = grouped(typical).diff(), typical * v
    gain = over(flow.where(moved > 0, 0.0), 14, "sum")
    loss = over(flow.where(moved < 0, 0.0), 14, "sum")
    values = (
        100 * up / (up + down),
        macd - smoothed(macd, span=9),
        over(c, 20, "mean") + 2 * over(c, 20, "std"),
        reach,
        wilder(100 * (plus - minus).abs() / (plus + minus)),
        over(100 * (c - lowest) / (highest - lowest), 3, "mean"),
        grouped(np.sign(change).fillna(1) * v).cumsum(),
        over(c, 20, "mean"),
        smoothed(c, span=20),
        grouped(c).pct_change(10) * 100,
        over(h, 20, "max"),
        over(low, 20, "min"),
        (typical - over(typical, 20, "mean")) / (0.015 * over(typical, 20, "std")),
        100 * gain / (gain + loss),
    )
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))


def cpu_seconds_of(operation: Callable[[], object]) -> Callable[[], float]:
    def measured() -> float:
        began = time.process_time()
        operation()
        return time.process_time() - began

    return measured


def peak_memory() -> float:
    """Return the megabytes that bars and values take at most, over those of the imports."""
    code = (
        "from benchmarks.indicators import COLUMNS, DAYS, SYMBOLS, analyse_panel, checked, peak\n"
        "from benchmarks.indicators import random_panel\n"
        "random_panel(10, 100); before = peak()\n"
        "table = analyse_panel(checked(random_panel(SYMBOLS, DAYS)), COLUMNS)\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def peak() -> float:
    """Return this process's greatest resident size so far, in megabytes."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if "VmHWM" in line).split()[1]) / 1024


def measure() -> list[Row]:
    panel = checked(random_panel(SYMBOLS, DAYS))
    frame = frame_of(panel)
    table = frame.to_pandas()
    ours, theirs = analyse_panel(panel, COLUMNS), by_talib(panel)
    farthest = max(float(np.nanmax(np.abs(ours[name] - theirs[name]))) for name in COLUMNS)
    differing = sum(int((np.isnan(ours[name]) != np.isnan(theirs[name])).sum()) for name in COLUMNS)
    del ours, theirs
    found = alternately(
        {
            "ours": cpu_seconds_of(lambda: analyse_panel(checked(panel), COLUMNS)),
            "TA-Lib on numpy arrays": cpu_seconds_of(lambda: by_talib(panel)),
            "polars expressions": cpu_seconds_of(lambda: by_polars(frame)),
        },
        _ROUNDS,
    )
    found["pandas groupby"] = [cpu_seconds_of(lambda: by_pandas(table))()]
    # The best round: the others tell of what else the machine did.
    rate = {name: panel.rows / min(seconds) / 1e6 for name, seconds in found.items()}
    rows = [
        Row(
            figure="14 indicators of 2.5 M bars",
            unit="M bars/CPU s",
            ours=rate["ours"],
            beside=name,
            theirs=rate[name],
        )
        for name in rate
        if name != "ours"
    ]
    return [
        *rows,
        Row(figure="farthest from TA-Lib's values", unit="", ours=farthest),
        Row(figure="NaN where TA-Lib has none, or the other way", unit="values", ours=differing),
        Row(
            figure="peak memory of bars and values",
            unit="MB",
            ours=peak_memory(),
            beside="the limit",
            theirs=450.0,
        ),
    ]


if __name__ == "__main__":
    run(measure)
