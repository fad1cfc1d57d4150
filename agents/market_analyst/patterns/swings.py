"""Swings: highs and lows that price has turned away from, each with the bar that showed it."""

from typing import NamedTuple

import numpy as np
import talib

from agents.market_analyst.patterns.geometry import Line, Point
from agents.price_history import Floats, PriceHistory

#: Average true ranges that the close must turn by before an extreme is a swing.
REVERSAL = 3.0


class Swing(NamedTuple):
    """A high or low: its bar, its price, and the first bar at whose close it was known."""

    bar: int
    price: float
    high: bool
    known: int


class Chart(NamedTuple):
    """One symbol's bars with what the search for patterns reads of them.

    Parameters
    ----------
    extent
        Average true range of 14 bars: the unit of every tolerance.
    since
        Instant from which patterns are asked for.
    """

    bars: PriceHistory
    extent: Floats
    swings: list[Swing]
    since: int = 0

    def point(self, bar: int, price: float) -> Point:
        """Return the place at a bar and a price."""
        return Point(int(self.bars.times[bar]), float(price))

    def points(self, swings: list[Swing]) -> tuple[Point, ...]:
        """Return the places of swings."""
        return tuple(self.point(swing.bar, swing.price) for swing in swings)

    def line(self, through: "Ray", first: int, last: int) -> Line:
        """Return the part of a ray between two bars."""
        return Line(self.point(first, through.at(first)), self.point(last, through.at(last)))


class Ray(NamedTuple):
    """A straight line over bars: its price at bar `origin`, and its slope per bar."""

    origin: int
    price: float
    slope: float

    def at(self, bar: int) -> float:
        """Return its price at a bar."""
        return self.price + self.slope * (bar - self.origin)

    def over(self, first: int, last: int) -> Floats:
        """Return its prices at the bars from `first` to `last`."""
        bars: Floats = np.arange(first, last + 1, dtype=np.float64)
        return self.price + self.slope * (bars - self.origin)


def through(one: Swing, other: Swing) -> Ray:
    """Return the ray through two swings."""
    return Ray(one.bar, one.price, (other.price - one.price) / (other.bar - one.bar))


def chart_of(bars: PriceHistory, since: int = 0) -> Chart:
    """Return the chart of a history."""
    extent = talib.ATR(bars.high, bars.low, bars.close, 14) if bars.length else np.zeros(0)
    return Chart(bars, extent, find_swings(bars, extent), since)


def find_swings(bars: PriceHistory, extent: Floats) -> list[Swing]:
    """Return the swings, highs and lows in turn.

    A high is known once a close lies `REVERSAL` average true ranges below it, a low likewise. Where
    the history begins is no turn: a line has none, nor has what doesn't move.
    """
    high, low, close = bars.high.tolist(), bars.low.tolist(), bars.close.tolist()
    reaches = (REVERSAL * extent).tolist()
    first = int(np.argmax(np.isfinite(extent))) if np.isfinite(extent).any() else bars.length
    found: list[Swing] = []
    leg, top, bottom = 0, first, first
    for bar in range(first, bars.length):
        if leg >= 0 and high[bar] > high[top]:
            top = bar
        if leg <= 0 and low[bar] < low[bottom]:
            bottom = bar
        if leg >= 0 and top < bar and high[top] - close[bar] > reaches[bar] > 0.0:
            if leg:
                found.append(Swing(top, high[top], high=True, known=bar))
            leg, bottom = -1, min(range(top + 1, bar + 1), key=low.__getitem__)
        elif leg <= 0 and bottom < bar and close[bar] - low[bottom] > reaches[bar] > 0.0:
            if leg:
                found.append(Swing(bottom, low[bottom], high=False, known=bar))
            leg, top = 1, max(range(bottom + 1, bar + 1), key=high.__getitem__)
    return found
