"""One symbol's bars as arrays: what every formula here reads."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.splits import split_steps

Floats = NDArray[np.float64]
Microseconds = NDArray[np.int64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGE = 1e6


def to_microseconds(moment: datetime) -> int:
    """Return the microseconds from the epoch to an aware instant, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_instant(microseconds: int) -> datetime:
    """Return the instant (UTC) at `microseconds` after the epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)


class PriceHistory(NamedTuple):
    """Bars of one symbol, oldest first; `times` are the bars' close instants in microseconds."""

    times: Microseconds
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    @property
    def length(self) -> int:
        """Number of bars."""
        return len(self.times)

    def last(self, bars: int) -> "PriceHistory":
        """Return the newest `bars` bars."""
        start = max(0, self.length - bars)
        return PriceHistory(self.times[start:], *(column[start:] for column in self.prices()))

    def prices(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Return open, high, low, close and volume."""
        return self.open, self.high, self.low, self.close, self.volume

    @property
    def can_be(self) -> bool:
        """Whether every price is a positive number and no volume is negative."""
        if not self.length:
            return True
        # A comparison with NaN, which the least of a column with one is, fails.
        return all(column.min() > 0.0 for column in self[1:5]) and not self.volume.min() < 0.0

    def impossible(self) -> NDArray[np.bool_]:
        """Return which bars can't be: a price that is no positive number, a negative volume."""
        prices = np.stack(self[1:5])
        return ~(np.isfinite(prices) & (prices > 0.0)).all(axis=0) | (self.volume < 0.0)

    def split_steps(self) -> NDArray[np.bool_]:
        """Return which bars open a split's ratio away from the last close (`agents.splits`)."""
        return split_steps(self.open, self.high, self.low, self.close)

    def since_split(self) -> "PriceHistory":
        """Return the bars since the last split that the prices are not adjusted for."""
        steps = np.flatnonzero(self.split_steps())
        return self.last(self.length - int(steps[-1])) if len(steps) else self

    def usual_log_volume(self, days: int = 20) -> float:
        """Return the mean log volume of the newest `days` bars."""
        return float(np.log(np.maximum(self.last(days).volume, 1.0)).mean())

    def log_returns(self) -> Floats:
        """Return close-to-close log returns, one fewer than bars."""
        return np.diff(np.log(self.close))


def price_histories(bars: pl.DataFrame) -> dict[str, PriceHistory]:
    """Return symbol → history from a bars frame, symbols in order, bars oldest first.

    Prices and volumes become numbers that a message holds exactly, so that a bar from a table
    and the same bar from the bus are one number.
    """
    ordered = bars.sort("symbol", "timestamp")
    return {
        str(key[0]): PriceHistory(
            rows["timestamp"].dt.epoch("us").to_numpy(),
            *(
                _recordable(rows[name].cast(pl.Float64).to_numpy())
                for name in ("open", "high", "low", "close", "volume")
            ),
        )
        for key, rows in ordered.partition_by("symbol", as_dict=True, maintain_order=True).items()
    }


def _recordable(values: Floats) -> Floats:
    """Round to whole billionths; to thousandths from a million on, where a float has no more."""
    return np.where(np.abs(values) < _LARGE, values.round(9), values.round(3))
