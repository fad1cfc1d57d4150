"""Flags: a steep move (the pole), a short rest against it, and a close beyond the rest."""

import numpy as np
import talib

from agents.market_analyst.patterns.geometry import Line, Pattern
from agents.market_analyst.patterns.swings import Chart, Ray

_POLE = 8  # bars
_REST = 10  # bars
#: Least height of the pole in average true ranges, and most of it that the rest takes back.
_HEIGHT, _RETRACED = 5.0, 0.5


def find_flags(chart: Chart) -> list[Pattern]:
    """Return bull and bear flags, each confirmed by the close that leaves the rest."""
    if chart.bars.length <= 14 + _POLE + _REST:
        return []
    return sorted([*_flags(chart, 1), *_flags(chart, -1)], key=lambda pattern: pattern.confirmed)


def _flags(chart: Chart, direction: int) -> list[Pattern]:
    """Return the flags of one direction; a bear flag is a bull flag upside down."""
    bars = chart.bars
    far, near = (bars.high, bars.low) if direction > 0 else (-bars.low, -bars.high)
    close = direction * bars.close
    boundary = talib.LINEARREG(far, _REST)[:-1]
    slopes = talib.LINEARREG_SLOPE(far, _REST)[:-1]
    # Row i of these tells of a rest that ended at bar i, left at bar i + 1.
    ends = np.arange(bars.length - 1)
    tops, starts = ends - _REST, ends - _REST - _POLE
    possible = starts >= 14
    ends, tops, starts = ends[possible], tops[possible], starts[possible]
    pole = close[tops] - close[starts]
    lowest = talib.MIN(near, _REST)[ends]
    level = boundary[ends] + slopes[ends]
    found = (
        (pole > _HEIGHT * chart.extent[tops])
        & (far[tops] >= talib.MAX(far, _REST)[ends])
        & (lowest >= close[tops] - _RETRACED * pole)
        & (slopes[ends] <= 0.0)
        & (close[ends] <= boundary[ends])
        & (close[ends + 1] > level)
    )
    return [
        _flag(chart, direction, end, Ray(end, direction * price, direction * slope))
        for end, price, slope in zip(
            ends[found].tolist(), boundary[ends][found].tolist(), slopes[ends][found].tolist(),
            strict=True,
        )
    ]  # fmt: skip


def _flag(chart: Chart, direction: int, end: int, boundary: Ray) -> Pattern:
    top, start, close = end - _REST, end - _REST - _POLE, chart.bars.close
    pole = Line(chart.point(start, close[start]), chart.point(top, close[top]))
    return Pattern(
        "bull flag" if direction > 0 else "bear flag",
        direction,
        int(chart.bars.times[end + 1]),
        (pole.start, pole.end, chart.point(end + 1, close[end + 1])),
        (pole, chart.line(boundary, top + 1, end + 1)),
    )
