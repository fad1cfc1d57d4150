"""Candlestick patterns of the newest bar. They are named in rationales and move no number."""

from collections.abc import Callable
from typing import Any, NamedTuple

import talib

from agents.price_history import PriceHistory

_CANDLES: dict[str, Callable[..., Any]] = {
    "engulfing": talib.CDLENGULFING,
    "hammer": talib.CDLHAMMER,
    "shooting star": talib.CDLSHOOTINGSTAR,
    "morning star": talib.CDLMORNINGSTAR,
    "evening star": talib.CDLEVENINGSTAR,
    "three white soldiers": talib.CDL3WHITESOLDIERS,
    "three black crows": talib.CDL3BLACKCROWS,
}
_BARS_READ = 40


class Pattern(NamedTuple):
    """A pattern that ended with the newest bar; `bullish` as textbooks read it."""

    name: str
    bullish: bool


def candlesticks(history: PriceHistory) -> list[Pattern]:
    """Return the candlestick patterns that the newest bar completes."""
    bars = history.last(_BARS_READ)
    if bars.length < _BARS_READ:
        return []
    prices = (bars.open, bars.high, bars.low, bars.close)
    found = {name: int(function(*prices)[-1]) for name, function in _CANDLES.items()}
    return [Pattern(name, value > 0) for name, value in found.items() if value]
