"""Candlesticks: all that TA-Lib knows, by the names of the textbooks."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import talib

from agents.market_analyst.patterns.geometry import Pattern
from agents.market_analyst.patterns.swings import Chart


def _name(function: Callable[..., Any]) -> str:
    """Return TA-Lib's own words for a pattern, from the heading of its documentation."""
    heading = str(function.__doc__).partition("(Pattern Recognition)")[0].splitlines()[-1]
    return " ".join(heading.lower().split())


#: Name → TA-Lib's function.
CANDLESTICKS: Mapping[str, Callable[..., Any]] = {
    _name(function): function
    for function in (
        getattr(talib, name) for name in talib.get_function_groups()["Pattern Recognition"]
    )
}


def find_candlesticks(chart: Chart) -> list[Pattern]:
    """Return every candlestick pattern, at its last bar; the sign is TA-Lib's.

    A bar without range completes none.
    """
    bars = chart.bars
    if not bars.length:
        return []
    prices = (bars.open, bars.high, bars.low, bars.close)
    ranged = (bars.high > bars.low) & (bars.times >= chart.since)
    found: list[Pattern] = []
    for name, function in CANDLESTICKS.items():
        signs = function(*prices)
        for bar in np.flatnonzero(ranged & (signs != 0)).tolist():
            place = chart.point(bar, bars.close[bar])
            found.append(Pattern(name, 1 if signs[bar] > 0 else -1, place.time, (place,)))
    return sorted(found, key=lambda pattern: pattern.confirmed)
