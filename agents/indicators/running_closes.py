"""Indicators that read closes alone, bar by bar: frozen values with `update(close)`."""

from math import isnan, nan, sqrt

import msgspec

from agents.indicators.running import Deviation, ExponentialMean, Window, is_nothing
from agents.indicators.technical import BAND_WIDTH


class RelativeStrength(msgspec.Struct, frozen=True):
    """Wilder's RSI."""

    period: int
    count: int = -1
    previous: float = nan
    gain: float = 0.0
    loss: float = 0.0
    value: float = nan

    def update(self, close: float) -> "RelativeStrength":
        """Take one close in."""
        if self.count < 0:
            return RelativeStrength(self.period, 0, close)
        n, count = self.period, self.count + 1
        change = close - self.previous
        gain, loss = max(change, 0.0), max(-change, 0.0)
        if count > n:
            gain = (self.gain * (n - 1) + gain) / n
            loss = (self.loss * (n - 1) + loss) / n
        else:
            gain, loss = self.gain + gain, self.loss + loss
            if count < n:
                return RelativeStrength(n, count, close, gain, loss)
            gain, loss = gain / n, loss / n
        moved = gain + loss
        value = 0.0 if is_nothing(moved) else 100.0 * (gain / moved)
        return RelativeStrength(n, min(count, n), close, gain, loss, value)


class ConvergenceDivergence(msgspec.Struct, frozen=True):
    """MACD(12, 26, 9); all three columns begin with the signal."""

    fast: ExponentialMean = ExponentialMean(12, 14)
    slow: ExponentialMean = ExponentialMean(26)
    signal: ExponentialMean = ExponentialMean(9)

    def update(self, close: float) -> "ConvergenceDivergence":
        """Take one close in."""
        fast, slow = self.fast.update(close), self.slow.update(close)
        if isnan(slow.value):
            return ConvergenceDivergence(fast, slow)
        return ConvergenceDivergence(fast, slow, self.signal.update(fast.value - slow.value))

    @property
    def values(self) -> tuple[float, float, float]:
        """MACD, signal, histogram."""
        signal = self.signal.value
        line = nan if isnan(signal) else self.fast.value - self.slow.value
        return line, signal, line - signal


class Bollinger(msgspec.Struct, frozen=True):
    """Bollinger bands: mean of the closes, and population standard deviations about it."""

    closes: Deviation

    def update(self, close: float) -> "Bollinger":
        """Take one close in."""
        return Bollinger(self.closes.update(close))

    @property
    def values(self) -> tuple[float, float, float]:
        """Upper band, middle, lower band."""
        middle, width = self.closes.mean.value, BAND_WIDTH * sqrt(self.closes.variance)
        return middle + width, middle, middle - width


class RateOfChange(msgspec.Struct, frozen=True):
    """Change over `closes.period - 1` bars, in percent."""

    closes: Window

    def update(self, close: float) -> "RateOfChange":
        """Take one close in."""
        return RateOfChange(self.closes.update(close))

    @property
    def value(self) -> float:
        """The change; NaN until there are enough bars."""
        if not self.closes.full:
            return nan
        return (self.closes.values[-1] / self.closes.values[0] - 1.0) * 100.0
