"""Support and resistance: prices where the market has turned before; and breakouts through them."""

import numpy as np

from agents.market_analyst.patterns.geometry import Pattern
from agents.market_analyst.patterns.swings import Chart, Ray, Swing

#: Turns that make a level, how far back they count (bars), and how close they lie (in average
#: true ranges).
_TURNS, _MEMORY, _CLOSE = 3, 250, 0.75
#: A close beyond the level by this many average true ranges breaks it, within so many bars.
_BEYOND, _WATCHED = 0.5, 60


def find_levels(chart: Chart) -> list[Pattern]:
    """Return supports and resistances at the turn that made them, and the breakouts after."""
    found: list[Pattern] = []
    for count, swing in enumerate(chart.swings, start=1):
        touches = _touches(chart, chart.swings[:count])
        if len(touches) < _TURNS:
            continue
        level = Ray(0, float(np.mean([touch.price for touch in touches])), 0.0)
        points = chart.points(touches)
        line = chart.line(level, touches[0].bar, swing.known)
        name, direction = ("resistance", -1) if swing.high else ("support", 1)
        known = int(chart.bars.times[swing.known])
        found.append(Pattern(name, direction, known, points, (line,)))
        broken = _broken(chart, swing, level.price)
        if broken is not None:
            name = "breakout" if swing.high else "breakdown"
            line = chart.line(level, touches[0].bar, broken)
            time = int(chart.bars.times[broken])
            found.append(Pattern(name, -direction, time, points, (line,)))
    return sorted(found, key=lambda pattern: pattern.confirmed)


def _touches(chart: Chart, swings: list[Swing]) -> list[Swing]:
    """Return the swings that turned where the last one did, the last one included."""
    newest = swings[-1]
    reach = _CLOSE * float(chart.extent[newest.known])
    return [
        swing
        for swing in swings
        if newest.bar - swing.bar <= _MEMORY and abs(swing.price - newest.price) <= reach
    ]


def _broken(chart: Chart, swing: Swing, level: float) -> int | None:
    """Return the first bar that closes beyond the level after the turn was known."""
    first = swing.known + 1
    window = slice(first, first + _WATCHED)
    margin = _BEYOND * chart.extent[window]
    sign = 1.0 if swing.high else -1.0
    beyond = np.flatnonzero(sign * (chart.bars.close[window] - level) > margin)
    return first + int(beyond[0]) if len(beyond) else None
