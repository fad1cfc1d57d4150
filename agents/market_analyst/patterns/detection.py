"""All patterns of one symbol's bars."""

from collections.abc import Callable

from agents.market_analyst.patterns.candlesticks import find_candlesticks
from agents.market_analyst.patterns.change_points import find_change_points
from agents.market_analyst.patterns.flags import find_flags
from agents.market_analyst.patterns.geometry import Pattern
from agents.market_analyst.patterns.levels import find_levels
from agents.market_analyst.patterns.shapes import find_shapes
from agents.market_analyst.patterns.swings import Chart, chart_of
from agents.price_history import PriceHistory

#: Bars that patterns are looked for in, live.
WINDOW = 640

_FINDERS: tuple[Callable[[Chart], list[Pattern]], ...] = (
    find_shapes,
    find_flags,
    find_levels,
    find_change_points,
    find_candlesticks,
)


def find_patterns(bars: PriceHistory, since: int = 0) -> list[Pattern]:
    """Return the patterns completed from instant `since` on, by the bar that completed them."""
    chart = chart_of(bars, since)
    found = [pattern for find in _FINDERS for pattern in find(chart) if pattern.confirmed >= since]
    return sorted(found, key=lambda pattern: pattern.confirmed)


def newest_patterns(bars: PriceHistory, within: int = 1) -> list[Pattern]:
    """Return the patterns that the newest `within` bars complete, of the trailing `WINDOW`."""
    shown = bars.last(WINDOW)
    return find_patterns(shown, int(shown.last(within).times[0])) if bars.length else []
