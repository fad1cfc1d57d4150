"""Indicators that read highs and lows, bar by bar: frozen values with `update(bar)`."""

from math import isnan, log, nan, sqrt

import msgspec

from agents.indicators.running import (
    NOTHING,
    Deviation,
    ExponentialMean,
    SimpleMean,
    Window,
    is_nothing,
)
from agents.indicators.technical import BAND_WIDTH
from agents.indicators.volatility import yang_zhang_weight


class Bar(msgspec.Struct, frozen=True):
    """One bar; `time` is its close instant in microseconds."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def typical(self) -> float:
        """Mean of high, low and close."""
        return (self.high + self.low + self.close) / 3.0


class AverageTrueRange(msgspec.Struct, frozen=True):
    """Wilder's average true range."""

    period: int
    count: int = -1
    previous: float = nan
    total: float = 0.0
    value: float = nan

    def update(self, bar: Bar) -> "AverageTrueRange":
        """Take one bar in."""
        if self.count < 0:
            return AverageTrueRange(self.period, 0, bar.close)
        n, count, extent = self.period, self.count + 1, _true_range(bar, self.previous)
        if count > n:
            mean = (self.value * (n - 1) + extent) / n
            return AverageTrueRange(n, n, bar.close, 0.0, mean)
        total = self.total + extent
        return AverageTrueRange(n, count, bar.close, total, total / n if count == n else nan)


def _true_range(bar: Bar, previous: float) -> float:
    return max(bar.high - bar.low, abs(bar.high - previous), abs(bar.low - previous))


class DirectionalMovement(msgspec.Struct, frozen=True):
    """Wilder's directional indicators and their average index."""

    period: int
    previous: Bar | None = None
    count: int = 0
    up: float = 0.0
    down: float = 0.0
    extent: float = 0.0
    total: float = 0.0
    average: float = nan

    def update(self, bar: Bar) -> "DirectionalMovement":
        """Take one bar in."""
        n, before = self.period, self.previous
        if before is None:
            return DirectionalMovement(n, bar)
        count, up, down, extent = self.count + 1, self.up, self.down, self.extent
        rise, fall = bar.high - before.high, before.low - bar.low
        if count >= n:
            up, down, extent = up - up / n, down - down / n, extent - extent / n
        if fall > 0.0 and rise < fall:
            down += fall
        elif rise > 0.0 and rise > fall:
            up += rise
        extent += _true_range(bar, before.close)
        total, average = self.total, self.average
        if count >= n:
            index = _directional_index(up, down, extent)
            if count < 2 * n:
                total += 0.0 if index is None else index
                average = total / n if count == 2 * n - 1 else nan
            elif index is not None:
                average = (average * (n - 1) + index) / n
        return DirectionalMovement(n, bar, min(count, 2 * n), up, down, extent, total, average)

    @property
    def directions(self) -> tuple[float, float]:
        """Indicator of up, and of down."""
        if self.count < self.period:
            return nan, nan
        if is_nothing(self.extent):
            return 0.0, 0.0
        return 100.0 * (self.up / self.extent), 100.0 * (self.down / self.extent)


def _directional_index(up: float, down: float, extent: float) -> float | None:
    if is_nothing(extent):
        return None
    plus, minus = 100.0 * (up / extent), 100.0 * (down / extent)
    both = plus + minus
    return None if is_nothing(both) else 100.0 * (abs(minus - plus) / both)


class Extremes(msgspec.Struct, frozen=True):
    """Highest high and lowest low of `period` bars."""

    highs: Window
    lows: Window

    def update(self, bar: Bar) -> "Extremes":
        """Take one bar in."""
        return Extremes(self.highs.update(bar.high), self.lows.update(bar.low))

    @property
    def values(self) -> tuple[float, float, float]:
        """Highest, half-way, lowest; NaN until full."""
        if not self.highs.full:
            return nan, nan, nan
        highest, lowest = max(self.highs.values), min(self.lows.values)
        return highest, (highest + lowest) / 2.0, lowest


class Stochastic(msgspec.Struct, frozen=True):
    """Stochastic oscillator: slow %K and %D, both from %D's first bar on."""

    extremes: Extremes
    slow: SimpleMean = SimpleMean(3)
    signal: SimpleMean = SimpleMean(3)

    def update(self, bar: Bar) -> "Stochastic":
        """Take one bar in."""
        extremes = self.extremes.update(bar)
        highest, _, lowest = extremes.values
        if isnan(highest):
            return Stochastic(extremes)
        unit = (highest - lowest) / 100.0
        slow = self.slow.update((bar.close - lowest) / unit if unit else 0.0)
        signal = self.signal if isnan(slow.value) else self.signal.update(slow.value)
        return Stochastic(extremes, slow, signal)

    @property
    def values(self) -> tuple[float, float]:
        """%K and %D."""
        return (nan if isnan(self.signal.value) else self.slow.value), self.signal.value


class Keltner(msgspec.Struct, frozen=True):
    """Keltner channel: exponential mean and average true range."""

    mean: ExponentialMean
    extent: AverageTrueRange

    def update(self, bar: Bar) -> "Keltner":
        """Take one bar in."""
        return Keltner(self.mean.update(bar.close), self.extent.update(bar))

    @property
    def values(self) -> tuple[float, float, float]:
        """Upper band, middle, lower band."""
        middle, width = self.mean.value, BAND_WIDTH * self.extent.value
        return middle + width, middle, middle - width


class CommodityChannel(msgspec.Struct, frozen=True):
    """Lambert's commodity channel index; a ring of typical prices, summed in TA-Lib's order."""

    period: int
    ring: tuple[float, ...] = ()
    place: int = 0
    value: float = nan

    def update(self, bar: Bar) -> "CommodityChannel":
        """Take one bar in."""
        n, last, place = self.period, bar.typical, self.place
        ring = (*self.ring[:place], last, *self.ring[place + 1 :])
        following = (place + 1) % n
        if len(ring) < n:
            return CommodityChannel(n, ring, following)
        mean = sum(ring) / n
        deviation = sum([abs(value - mean) for value in ring])
        above, least = last - mean, NOTHING * mean
        still = abs(above) < least or deviation / n < least
        value = 0.0 if still else above / (0.015 * (deviation / n))
        return CommodityChannel(n, ring, following, value)


class RealisedVolatility(msgspec.Struct, frozen=True):
    """The four estimators of `volatility`."""

    closes: Deviation
    overnight: Deviation
    moves: Deviation
    parkinson: SimpleMean
    garman_klass: SimpleMean
    rogers_satchell: SimpleMean
    previous: float = nan

    def update(self, bar: Bar) -> "RealisedVolatility":
        """Take one bar in."""
        opened, before = bar.open, self.previous
        move, up, down = log(bar.close / opened), log(bar.high / opened), log(bar.low / opened)
        extent = log(bar.high / bar.low) ** 2
        first = isnan(before)
        return RealisedVolatility(
            self.closes if first else self.closes.update(log(bar.close / before)),
            self.overnight if first else self.overnight.update(log(opened / before)),
            self.moves.update(move),
            self.parkinson.update(extent),
            self.garman_klass.update(0.5 * extent - (2.0 * log(2.0) - 1.0) * move * move),
            self.rogers_satchell.update(up * (up - move) + down * (down - move)),
            bar.close,
        )

    @property
    def values(self) -> tuple[float, float, float, float]:
        """Of closes, Parkinson, Garman and Klass, Yang and Zhang."""
        weight = yang_zhang_weight(self.moves.mean.period)
        return (
            _root(self.closes.sample_variance),
            _root(self.parkinson.value / (4.0 * log(2.0))),
            _root(self.garman_klass.value),
            _root(
                self.overnight.sample_variance
                + weight * self.moves.sample_variance
                + (1.0 - weight) * self.rogers_satchell.value
            ),
        )


def _root(variance: float) -> float:
    return nan if isnan(variance) else sqrt(max(variance, 0.0))
