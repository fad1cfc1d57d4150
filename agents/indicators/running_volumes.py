"""Indicators that read volumes, bar by bar: frozen values with `update(bar)`."""

from math import isnan, nan

import msgspec

from agents.indicators.running import SimpleMean
from agents.indicators.running_ranges import Bar

_DAY = 86_400_000_000  # microseconds


class OnBalanceVolume(msgspec.Struct, frozen=True):
    """On-balance volume; it begins with the first bar's volume."""

    previous: float = nan
    value: float = 0.0

    def update(self, bar: Bar) -> "OnBalanceVolume":
        """Take one bar in."""
        falls = bar.close < self.previous
        signed = -bar.volume if falls else bar.volume if bar.close != self.previous else 0.0
        return OnBalanceVolume(bar.close, self.value + signed)


class VolumeWeightedPrice(msgspec.Struct, frozen=True):
    """Volume-weighted typical price of `period` bars, and of the UTC day."""

    traded: SimpleMean
    volume: SimpleMean
    day: int = -1
    traded_today: float = 0.0
    volume_today: float = 0.0

    def update(self, bar: Bar) -> "VolumeWeightedPrice":
        """Take one bar in."""
        money, day = bar.typical * bar.volume, bar.time // _DAY
        same = day == self.day
        return VolumeWeightedPrice(
            self.traded.update(money),
            self.volume.update(bar.volume),
            day,
            (self.traded_today if same else 0.0) + money,
            (self.volume_today if same else 0.0) + bar.volume,
        )

    @property
    def value(self) -> float:
        """Price of the newest bars; NaN where nothing was traded."""
        return self.traded.value / self.volume.value if self.volume.value > 0.0 else nan

    @property
    def today(self) -> float:
        """Price of the day so far; NaN where nothing was traded."""
        return self.traded_today / self.volume_today if self.volume_today > 0.0 else nan


class MoneyFlow(msgspec.Struct, frozen=True):
    """Money flow index of the flows of rising and falling typical prices; 0 where none flows."""

    period: int
    previous: float = nan
    flows: tuple[float, ...] = ()

    def update(self, bar: Bar) -> "MoneyFlow":
        """Take one bar in."""
        typical, before = bar.typical, self.previous
        if isnan(before):
            return MoneyFlow(self.period, typical)
        direction = (typical > before) - (typical < before)
        flows = (*self.flows, direction * typical * bar.volume)
        return MoneyFlow(self.period, typical, flows[-self.period :])

    @property
    def value(self) -> float:
        """The index; NaN until there are enough bars."""
        if len(self.flows) < self.period:
            return nan
        rising = sum([flow for flow in self.flows if flow > 0.0])
        both = sum([abs(flow) for flow in self.flows])
        return 100.0 * (rising / both) if both > 0.0 else 0.0
