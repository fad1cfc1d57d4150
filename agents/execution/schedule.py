"""How a parent order is cut into slices over the day."""

from typing import NamedTuple

import numpy as np

from domain.errors import InvalidValue

#: Share of a US equity day's volume in each half hour from open to close: high, low, high.
VOLUME_CURVE = (
    0.13, 0.09, 0.075, 0.065, 0.06, 0.055, 0.05, 0.05, 0.055, 0.06, 0.07, 0.09, 0.15,
)  # fmt: skip


class Slice(NamedTuple):
    """A child order: the part of the day it starts at (0–1) and its whole shares."""

    start: float
    quantity: int


def equal_slices(quantity: int, slices: int) -> list[Slice]:
    """Return a time-weighted schedule (TWAP); the slices sum to `quantity`."""
    return _slices(quantity, np.full(slices, 1.0 / max(slices, 1)))


def volume_slices(quantity: int) -> list[Slice]:
    """Return a volume-weighted schedule (VWAP) along the usual day's volume curve."""
    return _slices(quantity, np.array(VOLUME_CURVE))


def _slices(quantity: int, shares: "np.typing.NDArray[np.float64]") -> list[Slice]:
    if quantity < 1 or not len(shares):
        raise InvalidValue(
            f"A schedule needs at least one share and one slice, not {quantity} in {len(shares)}.",
            next_step="Send a positive quantity and number of slices.",
        )
    due = np.rint(quantity * np.cumsum(shares) / shares.sum()).astype(np.int64)
    children = np.diff(due, prepend=0)
    starts = np.arange(len(shares)) / len(shares)
    return [
        Slice(round(float(start), 6), int(child))
        for start, child in zip(starts, children, strict=True)
        if child
    ]
