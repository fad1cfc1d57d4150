"""The feature set: one function per indicator, one line each in the table `FEATURES`.

Every indicator is causal and scale-free (no prices, no share counts), so that one model serves
all symbols. Batch and live call `compute`; recursive smoothings (RSI, ATR, ADX, MACD) forget
their start geometrically, so the newest row of the trailing `WINDOW` bars equals the row of the
whole history to better than 1e-9.

To add an indicator: write its function from `PriceHistory` to one value per bar, and add a line
to `FEATURES`. NaN means "not enough history yet"; a model that reads a NaN abstains.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl
import talib
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from agents.price_history import Floats, PriceHistory, price_histories
from agents.sentiment.news import NO_NEWS, News, news_of_frame, sentiment_at

#: Bars that the live path computes on; at 640 the slowest smoothing has forgotten its start.
WINDOW = 640
#: Bars after which no indicator is NaN.
WARM_UP = 64
#: Smallest volatility or range, per day, that a logarithm is taken of.
FLOOR = 1e-4

_PARKINSON = 1.0 / (4.0 * np.log(2.0))
_EWMA_DECAY = 0.94


class Indicator(NamedTuple):
    """How an indicator is computed, how many bars it looks back on, and what it says.

    Parameters
    ----------
    recursive
        Whether bars before the look back leave a trace, as they do in a smoothing.
    """

    function: Callable[[PriceHistory], Floats]
    look_back: int
    description: str
    recursive: bool = False


def _padded(values: Floats, length: int) -> Floats:
    """Return `values` with NaN in front, up to `length`."""
    result = np.full(length, np.nan)
    result[length - len(values) :] = values
    return result


def _rolling(values: Floats, window: int, reduce: Callable[[Floats], Floats]) -> Floats:
    """Return `reduce` over each full trailing window; NaN before the first."""
    if len(values) < window:
        return np.full(len(values), np.nan)
    return _padded(reduce(sliding_window_view(values, window)), len(values))


def _mean(values: Floats, window: int) -> Floats:
    return _rolling(values, window, lambda rows: rows.mean(axis=1))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient, NaN where the denominator is zero."""
    safe = np.where(denominator == 0.0, np.nan, denominator)
    return numerator / safe


def _log_return(bars: PriceHistory, days: int) -> Floats:
    log_close = np.log(bars.close)
    return _padded(log_close[days:] - log_close[:-days], bars.length)


def _volatility(bars: PriceHistory, window: int) -> Floats:
    """Return the root mean square of daily log returns (mean taken as zero)."""
    return np.sqrt(_mean(_log_return(bars, 1) ** 2, window))


def _log_volatility(bars: PriceHistory, window: int) -> Floats:
    return _log_floored(_volatility(bars, window))


def _log_range(bars: PriceHistory, window: int) -> Floats:
    """Return the log of Parkinson's volatility from highs and lows."""
    return _log_floored(np.sqrt(_mean(np.log(bars.high / bars.low) ** 2 * _PARKINSON, window)))


def _log_ewma_volatility(bars: PriceHistory) -> Floats:
    weights = _EWMA_DECAY ** np.arange(62, -1, -1.0)
    weights /= weights.sum()
    squares = _log_return(bars, 1) ** 2
    variance = _rolling(squares, len(weights), lambda rows: (rows * weights).sum(axis=1))
    return _log_floored(np.sqrt(variance))


def _log_floored(values: Floats) -> Floats:
    return np.log(np.maximum(values, FLOOR))


def _momentum(bars: PriceHistory, days: int) -> Floats:
    return _ratio(_log_return(bars, days), _volatility(bars, 21) * np.sqrt(days))


def _true_range(bars: PriceHistory) -> Floats:
    return talib.ATR(bars.high, bars.low, bars.close, timeperiod=14)


def _relative_range(bars: PriceHistory) -> Floats:
    return _ratio(_true_range(bars), bars.close)


def _relative_strength(bars: PriceHistory) -> Floats:
    return talib.RSI(bars.close, timeperiod=14) / 100 - 0.5


def _trend_strength(bars: PriceHistory) -> Floats:
    return talib.ADX(bars.high, bars.low, bars.close, timeperiod=14) / 100


def _distance(bars: PriceHistory, window: int) -> Floats:
    return _ratio(bars.close - _mean(bars.close, window), _true_range(bars))


def _macd_histogram(bars: PriceHistory) -> Floats:
    return _ratio(talib.MACD(bars.close)[2], _true_range(bars))


def _directional(bars: PriceHistory) -> Floats:
    prices = (bars.high, bars.low, bars.close)
    return (talib.PLUS_DI(*prices, timeperiod=14) - talib.MINUS_DI(*prices, timeperiod=14)) / 100


def _bollinger(bars: PriceHistory) -> Floats:
    middle = _mean(bars.close, 20)
    deviation = _rolling(bars.close, 20, lambda rows: rows.std(axis=1))
    return _ratio(bars.close - middle, 4.0 * deviation)


def _stochastic(bars: PriceHistory) -> Floats:
    lowest = _rolling(bars.low, 14, lambda rows: rows.min(axis=1))
    highest = _rolling(bars.high, 14, lambda rows: rows.max(axis=1))
    return _ratio(bars.close - lowest, highest - lowest) - 0.5


def _money_flow(bars: PriceHistory) -> Floats:
    index = talib.MFI(bars.high, bars.low, bars.close, bars.volume, timeperiod=14)
    return index / 100 - 0.5


def _volume_slope(bars: PriceHistory) -> Floats:
    signed = np.sign(_log_return(bars, 1)) * bars.volume
    return _ratio(_mean(signed, 21), _mean(bars.volume, 21))


def _volume_score(bars: PriceHistory) -> Floats:
    deviation = _rolling(bars.volume, 21, lambda rows: rows.std(axis=1))
    return _ratio(bars.volume - _mean(bars.volume, 21), deviation)


def _relative_volume(bars: PriceHistory, window: int) -> Floats:
    volume = np.log(np.maximum(bars.volume, 1.0))
    return _mean(volume, window) - _mean(volume, 20)


def _drawdown(bars: PriceHistory) -> Floats:
    return np.log(bars.close / _rolling(bars.close, 63, lambda rows: rows.max(axis=1)))


FEATURES: Mapping[str, Indicator] = {
    "return_1": Indicator(partial(_log_return, days=1), 1, "log return over 1 day"),
    "return_5": Indicator(partial(_log_return, days=5), 5, "log return over 5 days"),
    "return_21": Indicator(partial(_log_return, days=21), 21, "log return over 21 days"),
    "return_63": Indicator(partial(_log_return, days=63), 63, "log return over 63 days"),
    "momentum_21": Indicator(
        partial(_momentum, days=21), 21, "21-day log return in 21-day volatilities"
    ),
    "momentum_63": Indicator(
        partial(_momentum, days=63), 63, "63-day log return in 21-day volatilities"
    ),
    "rsi_14": Indicator(_relative_strength, 14, "Wilder RSI, centred, -½ … ½", recursive=True),
    "macd_histogram": Indicator(
        _macd_histogram, 33, "MACD(12, 26, 9) histogram in ATRs", recursive=True
    ),
    "adx_14": Indicator(
        _trend_strength, 27, "Wilder ADX, 0 … 1: strength of a trend either way", recursive=True
    ),
    "directional_14": Indicator(_directional, 14, "Wilder +DI minus -DI, -1 … 1", recursive=True),
    "bollinger_b": Indicator(_bollinger, 19, "position in the 20-day Bollinger band, -½ … ½"),
    "stochastic_14": Indicator(_stochastic, 13, "close within the 14-day range, -½ … ½"),
    "money_flow_14": Indicator(
        _money_flow, 14, "money flow index, centred, -½ … ½", recursive=True
    ),
    "volume_slope_21": Indicator(
        _volume_slope, 21, "on-balance volume gained over 21 days, as a share of the volume"
    ),
    "volume_score_21": Indicator(_volume_score, 20, "volume against 21 days, in deviations"),
    "distance_10": Indicator(
        partial(_distance, window=10), 14, "close above 10-day mean, in ATRs", recursive=True
    ),
    "distance_50": Indicator(
        partial(_distance, window=50), 49, "close above 50-day mean, in ATRs", recursive=True
    ),
    "drawdown_63": Indicator(_drawdown, 62, "log distance below the 63-day high"),
    "atr_percent": Indicator(
        _relative_range, 14, "Wilder ATR as a fraction of the close", recursive=True
    ),
    "log_volatility_5": Indicator(
        partial(_log_volatility, window=5), 5, "log daily volatility of closes, 5 days"
    ),
    "log_volatility_21": Indicator(
        partial(_log_volatility, window=21), 21, "log daily volatility of closes, 21 days"
    ),
    "log_volatility_ewma": Indicator(
        _log_ewma_volatility,
        63,
        "log daily volatility of closes, exponential weights (0.94) over 63 days",
    ),
    "log_range_1": Indicator(
        partial(_log_range, window=1), 0, "log Parkinson volatility of the day"
    ),
    "log_range_5": Indicator(partial(_log_range, window=5), 4, "log Parkinson volatility, 5 days"),
    "log_range_21": Indicator(
        partial(_log_range, window=21), 20, "log Parkinson volatility, 21 days"
    ),
    "relative_volume_1": Indicator(
        partial(_relative_volume, window=1), 19, "log volume against its 20-day mean"
    ),
    "relative_volume_5": Indicator(
        partial(_relative_volume, window=5), 19, "5-day log volume against its 20-day mean"
    ),
}
SENTIMENT = "sentiment"
#: Columns of the features frame after symbol and timestamp.
FEATURE_NAMES = (*FEATURES, SENTIMENT)


def compute(bars: PriceHistory, news: News = NO_NEWS, *, newest: int | None = None) -> Floats:
    """Return one row of features per bar, columns in the order of `FEATURE_NAMES`.

    Parameters
    ----------
    newest
        How many of the last bars to tell of, at least one; None is all of them.

    Bars within `WINDOW` of one that can't be, or of a split that prices are not adjusted for, have
    no features.
    """
    told = bars.length if newest is None else min(newest, bars.length)
    columns: list[Floats] = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for indicator in FEATURES.values():
            read = bars if indicator.recursive else bars.last(indicator.look_back + told)
            short = bars.length <= indicator.look_back
            column = np.full(read.length, np.nan) if short else indicator.function(read)
            columns.append(column[read.length - told :])
    columns.append(sentiment_at(news, bars.times[bars.length - told :]))
    table = np.column_stack(columns)
    table[~np.isfinite(table)] = np.nan
    table[_near_impossible(bars)[bars.length - told :]] = np.nan
    return table


def _near_impossible(bars: PriceHistory) -> NDArray[np.bool_]:
    """Return whether a bar that can't be, or a split, lies among the `WINDOW` bars up to each.

    Then nothing is known, whichever column is wrong: no agent shall vote on half a bar, or on
    prices of two scales.
    """
    steps = bars.split_steps()
    near = np.zeros(bars.length, np.bool_)
    if steps.any():
        # A step takes two bars: both are among them.
        near |= _lately(steps, WINDOW - 1)
    if not bars.can_be:
        near |= _lately(bars.impossible(), WINDOW)
    return near


def _lately(marks: NDArray[np.bool_], bars: int) -> NDArray[np.bool_]:
    """Return whether one of the newest `bars` bars up to each is marked."""
    counted = np.concatenate([np.zeros(bars, np.int64), np.cumsum(marks)])
    return counted[bars:] > counted[:-bars]


def compute_latest(bars: PriceHistory, news: News = NO_NEWS) -> dict[str, float]:
    """Return the newest bar's features; equal to its row of `compute` to 1e-9."""
    (row,) = compute(bars.last(WINDOW), news, newest=1)
    return dict(zip(FEATURE_NAMES, row.tolist(), strict=True))


def compute_frame(bars: pl.DataFrame, news: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the features frame of a bars frame: symbol, timestamp, then `FEATURE_NAMES`.

    Parameters
    ----------
    bars
        Table BARS, any order.
    news
        Table NEWS (symbol, timestamp, headline); without it sentiment is 0.
    """
    all_news = news_of_frame(news)
    frames = [
        pl.DataFrame(
            {
                "symbol": np.full(history.length, symbol),
                "timestamp": history.times,
                **dict(
                    zip(
                        FEATURE_NAMES,
                        compute(history, all_news.get(symbol, NO_NEWS)).T,
                        strict=True,
                    )
                ),
            }
        )
        for symbol, history in price_histories(bars).items()
    ]
    return pl.concat(frames).with_columns(
        pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    )
