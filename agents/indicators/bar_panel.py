"""Bars of many symbols as flat columns, and the rules that they must obey."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.price_history import PriceHistory, to_instant
from domain.errors import DataQualityError

_NO_BARS = PriceHistory(np.zeros(0, np.int64), *(np.zeros(0) for _ in range(5)))


class BarPanel(NamedTuple):
    """Symbol after symbol in one table; symbol i owns rows `starts[i]` to `starts[i + 1]`."""

    symbols: tuple[str, ...]
    starts: NDArray[np.int64]
    bars: PriceHistory

    @property
    def rows(self) -> int:
        """Number of bars of all symbols together."""
        return self.bars.length

    def histories(self) -> Iterator[tuple[slice, PriceHistory]]:
        """Yield each symbol's rows, and its bars as views on the columns."""
        bounds = self.starts.tolist()
        for start, end in pairwise(bounds):
            rows = slice(start, end)
            prices = (column[rows] for column in self.bars.prices())
            yield rows, PriceHistory(self.bars.times[rows], *prices)


def panel_of(histories: Mapping[str, PriceHistory]) -> BarPanel:
    """Return the panel of histories, symbols in the mapping's order.

    Raises
    ------
    DataQualityError
        As `checked`.
    """
    lengths = [history.length for history in histories.values()]
    joined = (
        PriceHistory(
            *(np.concatenate(columns) for columns in zip(*histories.values(), strict=True))
        )
        if histories
        else PriceHistory(np.zeros(0, np.int64), *(np.zeros(0) for _ in range(5)))
    )
    return checked(BarPanel(tuple(histories), np.cumsum([0, *lengths]), joined))


def checked(panel: BarPanel) -> BarPanel:
    """Return `panel` if every bar is possible.

    A bar whose prices are all missing may stand only before a symbol's first price (not listed
    yet): its values are NaN, as TA-Lib's. Days without a bar are no bars: windows count bars.

    Raises
    ------
    DataQualityError
        At a price that is missing, not finite or not positive; a high below, or a low above,
        another price; a volume that is missing or negative; bars out of order.
    """
    bars = panel.bars
    unlisted = _unlisted(panel)
    with np.errstate(invalid="ignore"):
        prices_fit = (
            (np.maximum(bars.open, bars.close) <= bars.high)
            & (np.minimum(bars.open, bars.close) >= bars.low)
            & (bars.low > 0.0)
            & (bars.high < np.inf)
        )
        volumes_fit = (bars.volume >= 0.0) & (bars.volume < np.inf)
    in_order = np.ones(panel.rows, np.bool_)
    in_order[1:] = np.diff(bars.times) > 0
    in_order[panel.starts[:-1][panel.starts[:-1] < panel.rows]] = True
    for problem, fits in (
        ("has a price that can't be", prices_fit | unlisted),
        ("has a volume that can't be", volumes_fit | unlisted),
        ("is not later than the one before", in_order),
    ):
        if not fits.all():
            raise _refused(panel, int(np.argmin(fits)), problem)
    return panel


def _unlisted(panel: BarPanel) -> NDArray[np.bool_]:
    """Return which rows stand before their symbol's first price."""
    bars = panel.bars
    missing = np.isnan(bars.close)
    if missing.any():
        for column in (bars.open, bars.high, bars.low):
            missing &= np.isnan(column)
        for rows, _ in panel.histories():
            missing[rows] = np.logical_and.accumulate(missing[rows])
    return missing


def _refused(panel: BarPanel, row: int, problem: str) -> DataQualityError:
    symbol = panel.symbols[int(np.searchsorted(panel.starts, row, side="right")) - 1]
    instant = to_instant(int(panel.bars.times[row])).isoformat()
    return DataQualityError(
        f"The bar of {symbol} at {instant} {problem}.",
        kept="Nothing was computed.",
        next_step="Correct the bar or leave it out, and compute again.",
    )
