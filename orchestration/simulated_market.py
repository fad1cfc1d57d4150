"""The market of a simulated life: what is planted, until when, and where the simulation begins."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import polars as pl

from domain.worlds import SimulatedWorld
from evaluation.worlds import SYMBOLS, break_world, edge_world, no_edge_world

#: Days of history before the first simulated one, and days in a month of trading.
HISTORY_DAYS, MONTH_DAYS = 1_200, 21
#: What the edge earns for who follows it (Sharpe ratio a day), and how far the trend looks back.
_SHARPE, _LOOKBACK = 0.6, 5
#: Share of the simulated days after which an edge turns into its opposite.
_BREAK_AT = 0.75


class SimulatedMarket(NamedTuple):
    """Bars with what is true of them.

    Parameters
    ----------
    days
        Every bar's instant, oldest first.
    first
        Index of the first simulated day; what is before is history.
    breaks
        Index of the first day on which the edge is the opposite; None if it never is.
    """

    world: SimulatedWorld
    bars: pl.DataFrame
    days: Sequence[datetime]
    first: int
    breaks: int | None


def simulated_market(world: SimulatedWorld, *, months: int, seed: int) -> SimulatedMarket:
    """Return `months` of 21 trading days after a history of `HISTORY_DAYS`."""
    live = months * MONTH_DAYS
    count = HISTORY_DAYS + live
    breaks = HISTORY_DAYS + round(_BREAK_AT * live) if world is SimulatedWorld.BREAK else None
    shared = {"seed": seed, "days": count, "symbols": SYMBOLS}
    if world is SimulatedWorld.NONE:
        bars = no_edge_world(**shared).bars
    elif breaks is None:
        bars = edge_world(**shared, sharpe=_SHARPE, lookback=_LOOKBACK).bars
    else:
        bars = break_world(
            **shared, sharpe=_SHARPE, lookback=_LOOKBACK, break_day=breaks, reverses=True
        ).bars
    days = bars["timestamp"].unique().sort().to_list()
    return SimulatedMarket(world, bars, days, HISTORY_DAYS, breaks)
