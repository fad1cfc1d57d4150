"""The textbooks' indicators in their natural units, batch: for people and charts.

Where TA-Lib has an indicator, values and NaN pattern are TA-Lib's. `incremental` computes the same
bar by bar. Windows count bars; a symbol's first values, where history is short, are NaN, and so is
a volume-weighted price where nothing was traded.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import talib
from talib import MA_Type

from agents.indicators import volatility
from agents.indicators.bar_panel import BarPanel
from agents.price_history import Floats, PriceHistory
from domain.errors import InvalidValue

_DAY = 86_400_000_000  # microseconds
#: Deviations of a Bollinger band, and average true ranges of a Keltner channel.
BAND_WIDTH = 2.0


class Technical(NamedTuple):
    """One indicator: what it computes, where its first value stands, unit and meaning by column."""

    function: Callable[[PriceHistory], tuple[Floats, ...]]
    look_back: int
    unit: str
    columns: Mapping[str, str]


def _rsi(bars: PriceHistory) -> tuple[Floats, ...]:
    return (talib.RSI(bars.close, 14),)


def _macd(bars: PriceHistory) -> tuple[Floats, ...]:
    return talib.MACD(bars.close, 12, 26, 9)


def _bollinger(bars: PriceHistory) -> tuple[Floats, ...]:
    return talib.BBANDS(bars.close, 20, BAND_WIDTH, BAND_WIDTH)


def _atr(bars: PriceHistory) -> tuple[Floats, ...]:
    return (talib.ATR(bars.high, bars.low, bars.close, 14),)


def _adx(bars: PriceHistory) -> tuple[Floats, ...]:
    return (talib.ADX(bars.high, bars.low, bars.close, 14),)


def _directions(bars: PriceHistory) -> tuple[Floats, ...]:
    prices = (bars.high, bars.low, bars.close)
    return talib.PLUS_DI(*prices, 14), talib.MINUS_DI(*prices, 14)


def _stochastic(bars: PriceHistory) -> tuple[Floats, ...]:
    return talib.STOCH(bars.high, bars.low, bars.close, 14, 3, MA_Type.SMA, 3, MA_Type.SMA)


def _on_balance(bars: PriceHistory) -> tuple[Floats, ...]:
    return (talib.OBV(bars.close, bars.volume),)


def _typical(bars: PriceHistory) -> Floats:
    return (bars.high + bars.low + bars.close) / 3.0


def _vwap(bars: PriceHistory) -> tuple[Floats, ...]:
    traded = talib.SUM(_typical(bars) * bars.volume, 20)
    return (_quotient(traded, talib.SUM(bars.volume, 20)),)


def _session_vwap(bars: PriceHistory) -> tuple[Floats, ...]:
    traded, volume = _typical(bars) * bars.volume, bars.volume.copy()
    starts = np.flatnonzero(np.diff(bars.times // _DAY, prepend=-1)).tolist()
    for start, end in pairwise([*starts, bars.length]):
        np.cumsum(traded[start:end], out=traded[start:end])
        np.cumsum(volume[start:end], out=volume[start:end])
    return (_quotient(traded, volume),)


def _quotient(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient, NaN where the denominator is not positive."""
    return np.divide(
        numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0.0
    )


def _simple_mean(bars: PriceHistory, period: int) -> tuple[Floats, ...]:
    return (talib.SMA(bars.close, period),)


def _exponential_mean(bars: PriceHistory, period: int) -> tuple[Floats, ...]:
    return (talib.EMA(bars.close, period),)


def _rate_of_change(bars: PriceHistory) -> tuple[Floats, ...]:
    return (talib.ROC(bars.close, 10),)


def _donchian(bars: PriceHistory) -> tuple[Floats, ...]:
    upper, lower = talib.MAX(bars.high, 20), talib.MIN(bars.low, 20)
    return upper, (upper + lower) / 2.0, lower


def _keltner(bars: PriceHistory) -> tuple[Floats, ...]:
    middle = talib.EMA(bars.close, 20)
    width = BAND_WIDTH * talib.ATR(bars.high, bars.low, bars.close, 10)
    return middle + width, middle, middle - width


def _commodity_channel(bars: PriceHistory) -> tuple[Floats, ...]:
    return (talib.CCI(bars.high, bars.low, bars.close, 20),)


def _money_flow(bars: PriceHistory) -> tuple[Floats, ...]:
    return (talib.MFI(bars.high, bars.low, bars.close, bars.volume, 14),)


def _volatility(bars: PriceHistory, *, estimate: volatility.Estimator) -> tuple[Floats, ...]:
    return (estimate(bars, volatility.PERIOD),)


_INDICATORS = (
    Technical(_rsi, 14, "0 … 100", {"rsi_14": "relative strength index (Wilder 1978)"}),
    Technical(
        _macd,
        33,
        "price",
        {
            "macd": "exponential mean of 12 bars minus that of 26",
            "macd_signal": "its exponential mean of 9 bars",
            "macd_histogram": "MACD minus signal",
        },
    ),
    Technical(
        _bollinger,
        19,
        "price",
        {
            "bollinger_upper": "mean of 20 bars plus 2 standard deviations",
            "bollinger_middle": "mean of 20 bars",
            "bollinger_lower": "mean of 20 bars minus 2 standard deviations",
        },
    ),
    Technical(_atr, 14, "price", {"atr_14": "average true range (Wilder 1978)"}),
    Technical(_adx, 27, "0 … 100", {"adx_14": "average directional index (Wilder 1978)"}),
    Technical(
        _directions,
        14,
        "0 … 100",
        {"plus_di_14": "directional indicator, up", "minus_di_14": "directional indicator, down"},
    ),
    Technical(
        _stochastic,
        17,
        "0 … 100",
        {
            "stochastic_k": "close within the range of 14 bars, mean of 3",
            "stochastic_d": "mean of 3 of the former",
        },
    ),
    Technical(_on_balance, 0, "shares", {"obv": "volume of rising minus falling bars, summed"}),
    Technical(
        _vwap, 19, "price", {"vwap_20": "volume-weighted typical price of 20 bars"}
    ),
    Technical(
        _session_vwap,
        0,
        "price",
        {"vwap_session": "the same since the UTC day began"},
    ),
    *(
        Technical(
            partial(_simple_mean, period=n), n - 1, "price",
            {f"sma_{n}": f"mean of {n} closes"},
        )
        for n in (20, 50, 200)
    ),
    *(
        Technical(
            partial(_exponential_mean, period=n), n - 1, "price",
            {f"ema_{n}": f"exponential mean of {n} closes, begun with their plain mean"},
        )
        for n in (12, 20, 26)
    ),
    Technical(_rate_of_change, 10, "%", {"roc_10": "change of the close over 10 bars"}),
    Technical(
        _donchian,
        19,
        "price",
        {
            "donchian_upper": "highest high of 20 bars",
            "donchian_middle": "half-way between",
            "donchian_lower": "lowest low of 20 bars",
        },
    ),
    Technical(
        _keltner,
        19,
        "price",
        {
            "keltner_upper": "exponential mean of 20 closes plus 2 average true ranges of 10",
            "keltner_middle": "exponential mean of 20 closes",
            "keltner_lower": "the mean minus 2 average true ranges",
        },
    ),
    Technical(
        _commodity_channel, 19, "index", {"cci_20": "commodity channel index (Lambert 1980)"}
    ),
    Technical(
        _money_flow,
        14,
        "0 … 100",
        {"mfi_14": "money flow index (Quong and Soudack 1989)"},
    ),
    *(
        Technical(
            partial(_volatility, estimate=estimate),
            look_back,
            "per bar",
            {f"volatility_{name}_21": f"realised volatility of 21 bars: {meaning}"},
        )
        for name, (estimate, look_back, meaning) in volatility.ESTIMATORS.items()
    ),
)  # fmt: skip

#: Every column of `analyse`, in order, and the indicator that gives it.
INDICATORS: Mapping[str, Technical] = {
    column: indicator for indicator in _INDICATORS for column in indicator.columns
}


def analyse(bars: PriceHistory, names: Sequence[str] = tuple(INDICATORS)) -> dict[str, Floats]:
    """Return name → one value per bar, of one symbol's bars (`bar_panel.checked`).

    Raises
    ------
    InvalidValue
        If a name is unknown.
    """
    found: dict[str, Floats] = {}
    for indicator in _wanted(names):
        found.update(zip(indicator.columns, indicator.function(bars), strict=True))
    return {name: found[name] for name in names}


def analyse_panel(panel: BarPanel, names: Sequence[str] = tuple(INDICATORS)) -> dict[str, Floats]:
    """Return name → one value per row of the panel; no symbol sees another's bars.

    Raises
    ------
    InvalidValue
        If a name is unknown.
    """
    table = {name: np.empty(panel.rows) for name in names}
    wanted = [
        (each.function, [table.get(name) for name in each.columns]) for each in _wanted(names)
    ]
    for rows, history in panel.histories():
        for function, columns in wanted:
            for column, values in zip(columns, function(history), strict=True):
                if column is not None:
                    column[rows] = values
    return table


def _wanted(names: Sequence[str]) -> list[Technical]:
    unknown = [name for name in names if name not in INDICATORS]
    if unknown:
        raise InvalidValue(
            f"There is no indicator named {unknown[0]}.",
            next_step=f"Ask for some of: {', '.join(INDICATORS)}.",
        )
    return [each for each in _INDICATORS if any(name in each.columns for name in names)]
