"""Recorded order books: the table they are read from, and what taking shares from them costs.

The table has a row per snapshot, oldest first, equally spaced: ``ts``, and for each level i from 0
(the best) on ``bid_px_i``, ``bid_sz_i``, ``ask_px_i`` and ``ask_sz_i``, prices and sizes.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from agents.network import tensor_of
from domain.errors import DataQualityError
from domain.orders import Side


@dataclass(frozen=True)
class Levels:
    """One side of a book, per row: distance of each level from the mid-price, and its size."""

    distance: Tensor
    size: Tensor

    def at(self, rows: Tensor) -> "Levels":
        """Return the rows of an index."""
        return Levels(self.distance[rows], self.size[rows])

    def take(self, quantity: Tensor) -> Tensor:
        """Return what taking `quantity` (rows) costs beyond the mid-price, in price · quantity.

        Exact along the levels. Past the last one the book is taken to go on as densely as it was
        between the best and the last; a book of one level, as between the mid-price and that.
        """
        reached = self.size.cumsum(-1)
        total, last = reached[:, -1], self.distance[:, -1]
        taken = (quantity.unsqueeze(-1) - (reached - self.size)).clamp(min=0.0)
        taken = torch.minimum(taken, self.size)
        excess = (quantity - total).clamp(min=0.0)
        if self.size.shape[-1] > 1:
            density = (total - self.size[:, 0]) / (last - self.distance[:, 0])
        else:
            density = total / last
        return (taken * self.distance).sum(-1) + excess * (last + 0.5 * excess / density)


@dataclass(frozen=True)
class OrderBooks:
    """Snapshots of one symbol's book.

    Parameters
    ----------
    seconds
        Time between two snapshots.
    middle
        Mid-prices.
    bids, asks
        Both sides, rows × levels.
    """

    seconds: float
    middle: Tensor
    bids: Levels
    asks: Levels

    def __len__(self) -> int:
        """Return the number of snapshots."""
        return len(self.middle)

    def against(self, side: Side) -> Levels:
        """Return the side of the book that an order trades against."""
        return self.asks if side is Side.BUY else self.bids

    def imbalance(self) -> Tensor:
        """Return (bid size - ask size) / (bid size + ask size), all levels, per snapshot."""
        bid, ask = self.bids.size.sum(-1), self.asks.size.sum(-1)
        return (bid - ask) / (bid + ask)

    def rows(self, first: int, after: int) -> "OrderBooks":
        """Return the snapshots from `first` to before `after`."""
        taken = torch.arange(first, after)
        return OrderBooks(
            self.seconds, self.middle[taken], self.bids.at(taken), self.asks.at(taken)
        )


def read_order_books(table: pl.DataFrame) -> OrderBooks:
    """Return the books of a table in the module's format.

    Raises
    ------
    DataQualityError
        If columns are missing, fewer than two rows are there, times are not equally spaced, a
        price or size is missing, not finite or not positive, levels are out of order, or a book
        is crossed.
    """
    depth = sum(name.startswith("bid_px_") for name in table.columns)
    wanted = [f"{side}_{what}_{level}" for side in ("bid", "ask") for what in ("px", "sz")
              for level in range(depth)]  # fmt: skip
    missing = sorted({"ts", *wanted} - set(table.columns))
    if not depth or missing or len(table) < 2:
        raise _bad(f"{len(table)} rows of {depth} levels, without {missing[:5]}")
    steps = np.diff(table["ts"].dt.epoch("ns").to_numpy())
    if (steps != steps[0]).any() or steps[0] <= 0:
        raise _bad("the times are not equally spaced")
    values = table.select(pl.col(wanted).cast(pl.Float64)).to_numpy()
    if not np.isfinite(values).all() or (values <= 0).any():
        raise _bad("a price or size is missing or not positive")
    bid, bid_size, ask, ask_size = (
        np.ascontiguousarray(part) for part in np.split(values, 4, axis=1)
    )
    if (np.diff(bid) >= 0).any() or (np.diff(ask) <= 0).any() or (bid[:, 0] >= ask[:, 0]).any():
        raise _bad("levels are out of order or crossed")
    middle = 0.5 * (bid[:, 0] + ask[:, 0])
    return OrderBooks(
        float(steps[0]) / 1e9,
        tensor_of(middle),
        Levels(tensor_of(middle[:, None] - bid), tensor_of(bid_size)),
        Levels(tensor_of(ask - middle[:, None]), tensor_of(ask_size)),
    )


def _bad(why: str) -> DataQualityError:
    return DataQualityError(
        f"The order books can't be replayed: {why}.",
        next_step="Mend the table at its source; its format is in agents/execution/order_book.py.",
    )
