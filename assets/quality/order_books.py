"""Which snapshots of an order book can be, and which can't."""

import polars as pl

from assets.quality.reasons import with_reasons


def depth(books: pl.DataFrame) -> int:
    """Return how many levels the columns ``bid_px_i`` have."""
    return sum(name.startswith("bid_px_") for name in books.columns)


def assess_books(books: pl.DataFrame) -> pl.DataFrame:
    """Return snapshots (``symbol``, ``timestamp``, levels 0 … of both sides) with their `reason`.

    A book may be shorter than its columns: then both price and size are null from there on.
    """
    levels = range(depth(books))
    sides = [(f"{side}_px_{i}", f"{side}_sz_{i}") for side in ("bid", "ask") for i in levels]
    steps = [
        pl.col(f"{side}_px_{i}") * sign <= pl.col(f"{side}_px_{i + 1}") * sign
        for side, sign in (("bid", 1.0), ("ask", -1.0))
        for i in levels[:-1]
    ]
    earlier = pl.col("timestamp").cum_max().shift(1).over("symbol")
    return with_reasons(
        books,
        {
            "missing_key": pl.col("symbol").is_null() | pl.col("timestamp").is_null(),
            "missing_level": pl.any_horizontal(
                pl.col(px).is_null() != pl.col(sz).is_null() for px, sz in sides
            )
            | pl.col("bid_px_0").is_null()
            | pl.col("ask_px_0").is_null(),
            "not_positive": pl.any_horizontal(
                (pl.col(name) <= 0) | ~pl.col(name).is_finite() for pair in sides for name in pair
            ).fill_null(value=False),
            "crossed_book": pl.col("bid_px_0") >= pl.col("ask_px_0"),
            "levels_out_of_order": pl.any_horizontal(pl.lit(value=False), *steps).fill_null(
                value=False
            ),
            "out_of_order": (pl.col("timestamp") < earlier).fill_null(value=False),
            "repeated_instant": (pl.col("timestamp") == earlier).fill_null(value=False),
        },
    )
