"""Change points by the cumulative sum of Page (1954), two-sided, on standardised returns.

With drift 0.5 and threshold 5, independent normal returns raise a false alarm every 465 bars on
average, and a shift by one standard deviation is noticed after 10.4 (Montgomery, Introduction to
Statistical Quality Control, table 9.3).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import talib

from agents.market_analyst.patterns.geometry import Line, Pattern, Point
from agents.market_analyst.patterns.swings import Chart
from agents.price_history import Floats

DRIFT, THRESHOLD = 0.5, 5.0
_BASE = 63  # bars that say what is usual
_WILD = 8.0


class Alarm(NamedTuple):
    """A change: where it is estimated to have begun, where it was noticed, and which way."""

    onset: int
    noticed: int
    direction: int


def cusum(
    scores: Sequence[float], drift: float = DRIFT, threshold: float = THRESHOLD
) -> list[Alarm]:
    """Return the alarms of a two-sided cumulative sum, which begins anew after each.

    Parameters
    ----------
    scores
        Standardised observations: mean 0 and deviation 1 as long as nothing has changed.
    """
    alarms: list[Alarm] = []
    up = down = 0.0
    up_onset = down_onset = 0
    for place, score in enumerate(scores):
        up, down = up + score - drift, down - score - drift
        if up <= 0.0:
            up, up_onset = 0.0, place + 1
        if down <= 0.0:
            down, down_onset = 0.0, place + 1
        if max(up, down) > threshold:
            onset, direction = (up_onset, 1) if up > threshold else (down_onset, -1)
            alarms.append(Alarm(onset, place, direction))
            up = down = 0.0
            up_onset = down_onset = place + 1
    return alarms


def find_change_points(chart: Chart) -> list[Pattern]:
    """Return changes of the drift, up and down, and rises of the volatility (no direction).

    A return is held against the deviation of the 63 before it. The volatility's score is the
    squared return's, capped at four deviations: independent normal returns raise a false alarm
    every 640 bars.
    """
    bars = chart.bars
    if bars.length <= _BASE + 1:
        return []
    returns = bars.log_returns()
    usual = np.full(len(returns), np.nan)
    usual[1:] = np.sqrt(talib.SMA(returns**2, _BASE)[:-1])
    first = int(np.argmax(usual > 0.0))
    if not usual[first] > 0.0:
        return []
    scores = _standardised(returns[first:], usual[first:])
    wild = (np.minimum(scores**2, 16.0) - 1.0) / np.sqrt(2.0)
    found = [_pattern(chart, alarm, first + 1, "drift") for alarm in cusum(scores.tolist())]
    found += [
        _pattern(chart, alarm._replace(direction=0), first + 1, "volatility")
        for alarm in cusum(wild.tolist(), threshold=_WILD)
        if alarm.direction > 0
    ]
    return sorted(found, key=lambda pattern: pattern.confirmed)


def _standardised(returns: Floats, usual: Floats) -> Floats:
    """Return the scores; 0 where nothing moved before, so that nothing is usual."""
    return np.divide(returns, usual, out=np.zeros(len(returns)), where=usual > 0.0)


def _pattern(chart: Chart, alarm: Alarm, offset: int, of: str) -> Pattern:
    before, noticed = offset + alarm.onset - 1, offset + alarm.noticed
    ends: tuple[Point, Point] = (
        chart.point(before, chart.bars.close[before]),
        chart.point(noticed, chart.bars.close[noticed]),
    )
    name = f"change of {of}"
    return Pattern(name, alarm.direction, ends[1].time, ends, (Line(*ends),))
