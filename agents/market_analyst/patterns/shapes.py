"""Chart patterns of swings: double tops and bottoms, head and shoulders, triangles, channels.

Each is looked for among the newest swings whenever one becomes known, and is confirmed by the
first close beyond its boundary; it lapses after as many bars as it is wide. Tolerances are in
average true ranges at that moment, or shares of the pattern's height.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from agents.market_analyst.patterns.geometry import Pattern
from agents.market_analyst.patterns.swings import Chart, Ray, Swing, through

#: Swings on one level may differ by this share of a pattern's height.
_LEVEL = 0.25
#: Swings on one line may lie this many average true ranges beside it.
_BESIDE = 0.75
#: A boundary that moves by less, in average true ranges over the pattern's width, is flat.
_FLAT = 1.0


class _Shape(NamedTuple):
    """A pattern that waits for a close beyond a boundary: an upper or a lower one, or either."""

    name: str
    swings: list[Swing]
    upper: Ray
    lower: Ray
    completes: tuple[int, ...]


def find_shapes(chart: Chart) -> list[Pattern]:
    """Return every confirmed shape, by confirmation."""
    found: dict[tuple[str, int, int], Pattern] = {}
    for count in range(1, len(chart.swings) + 1):
        for find in _FINDERS:
            shape = find(chart, chart.swings[:count][-6:])
            pattern = None if shape is None else _confirmed(chart, shape)
            if pattern is not None:
                found.setdefault((pattern.name, pattern.direction, pattern.confirmed), pattern)
    return sorted(found.values(), key=lambda pattern: pattern.confirmed)


def _confirmed(chart: Chart, shape: _Shape) -> Pattern | None:
    """Return the pattern at the first close beyond a boundary, if that completes the shape."""
    start, known = shape.swings[0].bar, shape.swings[-1].known
    last = min(known + (shape.swings[-1].bar - start), chart.bars.length - 1)
    closes = chart.bars.close[known : last + 1]
    above, below = closes > shape.upper.over(known, last), closes < shape.lower.over(known, last)
    beyond = np.flatnonzero(above | below)
    if not len(beyond):
        return None
    direction = 1 if above[beyond[0]] else -1
    if direction not in shape.completes:
        return None
    bar = known + int(beyond[0])
    crossed = (shape.upper,) if direction > 0 else (shape.lower,)
    boundaries = crossed if len(shape.completes) == 1 else (shape.upper, shape.lower)
    return Pattern(
        shape.name,
        direction,
        int(chart.bars.times[bar]),
        chart.points(shape.swings),
        tuple(chart.line(boundary, start, bar) for boundary in boundaries),
    )


def _level(price: float) -> Ray:
    return Ray(0, price, 0.0)


def _double(_: Chart, swings: list[Swing]) -> _Shape | None:
    """Two extremes on one level after a move towards them, broken at the turn between them."""
    if len(swings) < 4:
        return None
    start, first, turn, second = swings[-4:]
    sign = 1.0 if first.high else -1.0
    height = sign * (min(first.price, second.price, key=lambda p: sign * p) - turn.price)
    if abs(first.price - second.price) > _LEVEL * height or sign * (turn.price - start.price) < 0.0:
        return None
    farther = max(first.price, second.price, key=lambda p: sign * p)
    points, end, boundary = [first, turn, second], _level(farther), _level(turn.price)
    if first.high:
        return _Shape("double top", points, end, boundary, (-1,))
    return _Shape("double bottom", points, boundary, end, (1,))


def _head_and_shoulders(_: Chart, swings: list[Swing]) -> _Shape | None:
    """Three extremes, the middle one farthest, broken at the line through the turns between."""
    if len(swings) < 6:
        return None
    start, left, turn, head, other, right = swings[-6:]
    sign = 1.0 if head.high else -1.0
    neckline = through(turn, other)
    height = sign * (head.price - neckline.at(head.bar))
    shoulders = [sign * (swing.price - neckline.at(swing.bar)) for swing in (left, right)]
    fits = (
        max(shoulders) <= (1.0 - _LEVEL) * height
        and min(shoulders) >= _LEVEL * height
        and abs(shoulders[0] - shoulders[1]) <= _LEVEL * height
        and abs(turn.price - other.price) <= _LEVEL * height
        and sign * (min(turn.price, other.price, key=lambda p: sign * p) - start.price) >= 0.0
    )
    if not fits:
        return None
    points = [left, turn, head, other, right]
    if head.high:
        return _Shape("head and shoulders", points, _level(head.price), neckline, (-1,))
    return _Shape("inverse head and shoulders", points, neckline, _level(head.price), (1,))


def _boundaries(chart: Chart, swings: list[Swing]) -> tuple[Ray, Ray, float] | None:
    """Return upper and lower boundary of swings that all lie on them, and the unit of tolerance."""
    highs, lows = [s for s in swings if s.high], [s for s in swings if not s.high]
    upper, lower = through(highs[0], highs[-1]), through(lows[0], lows[-1])
    extent = float(chart.extent[swings[-1].known])
    lines = [(upper, swing) for swing in highs] + [(lower, swing) for swing in lows]
    beside = max(abs(line.at(swing.bar) - swing.price) for line, swing in lines)
    return (upper, lower, extent) if beside <= _BESIDE * extent else None


def _triangle(chart: Chart, swings: list[Swing]) -> _Shape | None:
    """Five swings between boundaries that approach each other."""
    points = swings[-5:]
    drawn = _boundaries(chart, points) if len(points) == 5 else None
    if drawn is None:
        return None
    upper, lower, extent = drawn
    first, last = points[0].bar, points[-1].bar
    before, after = (upper.at(bar) - lower.at(bar) for bar in (first, last))
    rise, fall = lower.slope * (last - first), -upper.slope * (last - first)
    if not 0.0 < after <= 0.75 * before:
        return None
    flat = _FLAT * extent
    if abs(fall) <= flat < rise:
        name = "ascending triangle"
    elif abs(rise) <= flat < fall:
        name = "descending triangle"
    elif min(rise, fall) > flat:
        name = "symmetrical triangle"
    else:
        return None
    return _Shape(name, points, upper, lower, (1, -1))


def _channel(chart: Chart, swings: list[Swing]) -> _Shape | None:
    """Six swings between boundaries that keep their distance."""
    drawn = _boundaries(chart, swings) if len(swings) == 6 else None
    if drawn is None:
        return None
    upper, lower, extent = drawn
    width = swings[-1].bar - swings[0].bar
    if abs(upper.slope - lower.slope) * width > 2.0 * _FLAT * extent:
        return None
    slope = (upper.slope + lower.slope) / 2.0 * width
    flat = abs(slope) <= 2.0 * _FLAT * extent
    name = "rectangle" if flat else "rising channel" if slope > 0.0 else "falling channel"
    return _Shape(name, swings, upper, lower, (1, -1))


_FINDERS: tuple[Callable[[Chart, list[Swing]], _Shape | None], ...] = (
    _double,
    _head_and_shoulders,
    _triangle,
    _channel,
)
