"""The alpha set: a wide table of scale-free features for research, each with its formula.

Six shapes of the newest bar, and `FAMILIES` over each of `WINDOWS`. All look back on finitely many
bars, so live the newest row is computed on the trailing `LONGEST` bars. No model reads them: what
the models read is `features`, and stays so until a training shows that more is better.

``python -m agents.indicators.alphas > docs/alphas.md`` writes the page that lists them.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import talib

from agents.indicators.bar_panel import BarPanel
from agents.price_history import Floats, PriceHistory
from domain.errors import InvalidValue

WINDOWS = (5, 10, 20, 60)
#: Bars that the newest row depends on.
LONGEST = max(WINDOWS) + 1
#: A window whose values vary by less, relative to their level, doesn't move: no ratio is taken.
_STILL = 1e-12


class AlphaBars:
    """One symbol's bars, and what several alphas read of them, computed once."""

    def __init__(self, bars: PriceHistory) -> None:
        self.open, self.high, self.low = bars.open, bars.high, bars.low
        self.close, self.volume = bars.close, bars.volume

    @cached_property
    def previous(self) -> Floats:
        """Close of the bar before; NaN at the first."""
        return _before(self.close)

    @cached_property
    def returns(self) -> Floats:
        """Log return of the bar."""
        return np.log(self.close / self.previous)

    @cached_property
    def log_close(self) -> Floats:
        """Log close from the first bar on: small numbers, which lose no digits in squares."""
        return np.log(self.close) - np.log(self.close[:1])

    @cached_property
    def log_volume(self) -> Floats:
        """Log of one plus the volume."""
        return np.log1p(self.volume)

    @cached_property
    def volume_changes(self) -> Floats:
        """Change of the log volume."""
        return self.log_volume - _before(self.log_volume)


AlphaFunction = Callable[[AlphaBars], Floats]


class Alpha(NamedTuple):
    """One feature: formula, bars before its first value, unit, and how to compute it."""

    formula: str
    look_back: int
    unit: str
    function: AlphaFunction


class _Family(NamedTuple):
    formula: str
    extra: int  # bars looked back on beyond n - 1
    unit: str
    function: Callable[[AlphaBars, int], Floats]


def _before(values: Floats) -> Floats:
    result = np.full(len(values), np.nan)
    result[1:] = values[:-1]
    return result


def _quotient(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient, NaN where the denominator is not positive."""
    safe = np.where(denominator > 0.0, denominator, np.nan)
    return numerator / safe


def _distance_from_mean(bars: AlphaBars, n: int) -> Floats:
    return bars.close / talib.SMA(bars.close, n) - 1.0


def _slope(bars: AlphaBars, n: int) -> Floats:
    return talib.LINEARREG_SLOPE(bars.log_close, n)


def _fit(bars: AlphaBars, n: int) -> Floats:
    variance = talib.VAR(bars.log_close, n)
    explained = _slope(bars, n) ** 2 * ((n * n - 1.0) / 12.0)
    return _quotient(explained, np.where(variance > _STILL**2, variance, 0.0))


def _residual(bars: AlphaBars, n: int) -> Floats:
    return bars.log_close - talib.LINEARREG(bars.log_close, n)


def _range_position(bars: AlphaBars, n: int) -> Floats:
    lowest, highest = talib.MIN(bars.low, n), talib.MAX(bars.high, n)
    return _quotient(bars.close - lowest, highest - lowest)


def _correlation(one: Floats, other: Floats, n: int) -> Floats:
    """Return Pearson's correlation over `n` bars; NaN where either doesn't move."""
    correlation = talib.CORREL(one, other, n)
    moves = (talib.VAR(one, n) > _STILL) & (talib.VAR(other, n) > _STILL)
    return np.where(moves, correlation, np.nan)


def _gain_share(bars: AlphaBars, n: int) -> Floats:
    gains = talib.SUM(np.maximum(bars.returns, 0.0), n)
    return _quotient(gains, talib.SUM(np.abs(bars.returns), n))


def _efficiency(bars: AlphaBars, n: int) -> Floats:
    net = np.abs(talib.SUM(bars.returns, n))
    return _quotient(net, talib.SUM(np.abs(bars.returns), n))


def _up_share(bars: AlphaBars, n: int) -> Floats:
    return talib.SMA(np.where(np.isnan(bars.returns), np.nan, bars.returns > 0.0), n)


def _signed_volume(bars: AlphaBars, n: int) -> Floats:
    signed = talib.SUM(np.sign(bars.returns) * bars.volume, n)
    return _quotient(signed, talib.SUM(bars.volume, n))


def _parkinson(bars: AlphaBars, n: int) -> Floats:
    return np.sqrt(talib.SMA(np.log(bars.high / bars.low) ** 2, n) / (4.0 * np.log(2.0)))


def _momentum(bars: AlphaBars, n: int) -> Floats:
    return talib.ROCP(bars.close, n)


def _volatility(bars: AlphaBars, n: int) -> Floats:
    return talib.STDDEV(bars.returns, n)


def _below_high(bars: AlphaBars, n: int) -> Floats:
    return bars.close / talib.MAX(bars.high, n) - 1.0


def _above_low(bars: AlphaBars, n: int) -> Floats:
    return bars.close / talib.MIN(bars.low, n) - 1.0


def _price_volume(bars: AlphaBars, n: int) -> Floats:
    return _correlation(bars.log_close, bars.log_volume, n)


def _return_volume(bars: AlphaBars, n: int) -> Floats:
    return _correlation(bars.returns, bars.volume_changes, n)


def _relative_volume(bars: AlphaBars, n: int) -> Floats:
    return _quotient(bars.volume, talib.SMA(bars.volume, n))


def _volume_variation(bars: AlphaBars, n: int) -> Floats:
    return _quotient(talib.STDDEV(bars.volume, n), talib.SMA(bars.volume, n))


def _body(bars: AlphaBars) -> Floats:
    return bars.close / bars.open - 1.0


def _extent(bars: AlphaBars) -> Floats:
    return (bars.high - bars.low) / bars.open


def _upper_shadow(bars: AlphaBars) -> Floats:
    return (bars.high - np.maximum(bars.open, bars.close)) / bars.open


def _lower_shadow(bars: AlphaBars) -> Floats:
    return (np.minimum(bars.open, bars.close) - bars.low) / bars.open


def _close_location(bars: AlphaBars) -> Floats:
    return _quotient(2.0 * bars.close - bars.high - bars.low, bars.high - bars.low)


def _gap(bars: AlphaBars) -> Floats:
    return bars.open / bars.previous - 1.0


FAMILIES: Mapping[str, _Family] = {
    "momentum": _Family("close / close[n] - 1", 1, "fraction", _momentum),
    "mean_distance": _Family("close / mean(close, n) - 1", 0, "fraction", _distance_from_mean),
    "volatility": _Family("std(return, n)", 1, "log return", _volatility),
    "range": _Family("sqrt(mean(log(high / low)², n) / (4 log 2))", 0, "log return", _parkinson),
    "slope": _Family("slope(log close, n)", 0, "log return per bar", _slope),
    "fit": _Family("r²(log close on time, n)", 0, "0 … 1", _fit),
    "residual": _Family("log close - line(log close, n)", 0, "log return", _residual),
    "below_high": _Family("close / max(high, n) - 1", 0, "fraction", _below_high),
    "above_low": _Family("close / min(low, n) - 1", 0, "fraction", _above_low),
    "range_position": _Family(
        "(close - min(low, n)) / (max(high, n) - min(low, n))", 0, "0 … 1", _range_position
    ),
    "up_share": _Family("mean(return > 0, n)", 1, "0 … 1", _up_share),
    "gain_share": _Family("sum(max(return, 0), n) / sum(abs(return), n)", 1, "0 … 1", _gain_share),
    "efficiency": _Family("abs(sum(return, n)) / sum(abs(return), n)", 1, "0 … 1", _efficiency),
    "price_volume": _Family(
        "correlation(log close, log(1 + volume), n)", 0, "-1 … 1", _price_volume
    ),
    "return_volume": _Family(
        "correlation(return, change of log(1 + volume), n)", 1, "-1 … 1", _return_volume
    ),
    "relative_volume": _Family("volume / mean(volume, n)", 0, "ratio", _relative_volume),
    "volume_variation": _Family("std(volume, n) / mean(volume, n)", 0, "ratio", _volume_variation),
    "signed_volume": _Family(
        "sum(sign(return) · volume, n) / sum(volume, n)", 1, "-1 … 1", _signed_volume
    ),
}


def _over(name: str, n: int) -> Alpha:
    formula, extra, unit, function = FAMILIES[name]
    formula = formula.replace(", n", f", {n}").replace("[n]", f"[{n}]")

    def over(bars: AlphaBars) -> Floats:
        return function(bars, n)

    return Alpha(formula, n - 1 + extra, unit, over)


#: Name → alpha. NaN where history is short, and where a denominator is 0 or nothing moves.
ALPHAS: Mapping[str, Alpha] = {
    "body": Alpha("close / open - 1", 0, "fraction", _body),
    "extent": Alpha("(high - low) / open", 0, "fraction", _extent),
    "upper_shadow": Alpha("(high - max(open, close)) / open", 0, "fraction", _upper_shadow),
    "lower_shadow": Alpha("(min(open, close) - low) / open", 0, "fraction", _lower_shadow),
    "close_location": Alpha("(2 close - high - low) / (high - low)", 0, "-1 … 1", _close_location),
    "gap": Alpha("open / close[1] - 1", 1, "fraction", _gap),
    **{f"{name}_{n}": _over(name, n) for n in WINDOWS for name in FAMILIES},
}


def compute_alphas(panel: BarPanel, names: Sequence[str] = tuple(ALPHAS)) -> dict[str, Floats]:
    """Return name → one value per row of a panel; no symbol sees another's bars.

    Raises
    ------
    InvalidValue
        If a name is unknown.
    """
    unknown = [name for name in names if name not in ALPHAS]
    if unknown:
        raise InvalidValue(
            f"There is no alpha named {unknown[0]}.", next_step="docs/alphas.md lists them."
        )
    table = np.empty((len(names), panel.rows))
    functions = [ALPHAS[name].function for name in names]
    with np.errstate(divide="ignore", invalid="ignore"):
        for rows, history in panel.histories():
            bars = AlphaBars(history)
            for column, function in zip(table, functions, strict=True):
                column[rows] = function(bars)
    return dict(zip(names, table, strict=True))


def latest_alphas(bars: PriceHistory) -> dict[str, float]:
    """Return the newest bar's alphas; equal to its row of `compute_alphas` to 1e-9."""
    shown = AlphaBars(bars.last(LONGEST))
    with np.errstate(divide="ignore", invalid="ignore"):
        return {name: float(alpha.function(shown)[-1]) for name, alpha in ALPHAS.items()}


def page() -> str:
    """Return `docs/alphas.md`."""
    rows = "".join(
        f"| `{name}` | `{alpha.formula}` | {alpha.look_back} | {alpha.unit} |\n"
        for name, alpha in ALPHAS.items()
    )
    return (
        "# Alphas\n\n"
        "This page is made from the table in `agents/indicators/alphas.py`:\n"
        "`python -m agents.indicators.alphas > docs/alphas.md`.\n\n"
        "`return` is the log return of a bar, `x[n]` is x n bars ago; means, sums, deviations,\n"
        "slopes and correlations are of the newest n bars, this one included. A value is NaN\n"
        "where history is short, a denominator is 0, or nothing in the window moves. Look-back is\n"
        "the number of bars before the first value.\n\n"
        "| name | formula | look-back | unit |\n|---|---|---:|---|\n" + rows
    )


if __name__ == "__main__":
    sys.stdout.write(page())
