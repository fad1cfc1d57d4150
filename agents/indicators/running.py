"""Running windows, means and variances: frozen values that take in one number at a time.

They add and subtract in TA-Lib's order, so that they don't drift from it.
"""

from math import isnan, nan

import msgspec

#: TA-Lib takes less for zero.
NOTHING = 1e-14


def is_nothing(value: float) -> bool:
    """Whether TA-Lib takes a number for zero."""
    return -NOTHING < value < NOTHING


class Window(msgspec.Struct, frozen=True):
    """The newest `period` numbers."""

    period: int
    values: tuple[float, ...] = ()

    def update(self, value: float) -> "Window":
        """Take one number in, and the oldest out where it is full."""
        kept = self.values if len(self.values) < self.period else self.values[1:]
        return Window(self.period, (*kept, value))

    @property
    def full(self) -> bool:
        """Whether it holds `period` numbers."""
        return len(self.values) == self.period


class SimpleMean(msgspec.Struct, frozen=True):
    """Mean of the newest `period` numbers, by a running sum."""

    period: int
    values: tuple[float, ...] = ()
    total: float = 0.0
    value: float = nan

    def update(self, value: float) -> "SimpleMean":
        """Take one number in."""
        values, total = (*self.values, value), self.total + value
        if len(values) < self.period:
            return SimpleMean(self.period, values, total)
        return SimpleMean(self.period, values[1:], total - values[0], total / self.period)


class ExponentialMean(msgspec.Struct, frozen=True):
    """Exponential mean, begun with the plain mean of `period` numbers after `skip` of them."""

    period: int
    skip: int = 0
    count: int = 0
    total: float = 0.0
    value: float = nan

    def update(self, value: float) -> "ExponentialMean":
        """Take one number in."""
        if self.skip:
            return ExponentialMean(self.period, self.skip - 1)
        count = self.count + 1
        if count > self.period:
            mean = self.value + (value - self.value) * (2.0 / (self.period + 1))
            return ExponentialMean(self.period, 0, self.period, 0.0, mean)
        total = self.total + value
        mean = total / self.period if count == self.period else nan
        return ExponentialMean(self.period, 0, count, total, mean)


class Deviation(msgspec.Struct, frozen=True):
    """Mean of the newest `mean.period` numbers, and their population variance about it."""

    mean: SimpleMean
    variance: float = nan

    def update(self, value: float) -> "Deviation":
        """Take one number in."""
        mean = self.mean.update(value)
        center = mean.value
        if isnan(center):
            return Deviation(mean)
        window = (*self.mean.values, value)
        return Deviation(mean, sum([(each - center) ** 2 for each in window]) / mean.period)

    @property
    def sample_variance(self) -> float:
        """The variance with one degree of freedom lost to the mean."""
        return self.variance * (self.mean.period / (self.mean.period - 1.0))
