"""Splits and dividends: steps that no adjustment explains, and payments that are no dividends."""

import polars as pl

from agents.splits import RANGE, RATIOS, STEP

#: How far a change of the adjustment factor may be from a ratio (log).
_FACTOR = 0.005


def unadjusted_splits(bars: pl.DataFrame, *, time: str = "timestamp") -> pl.DataFrame:
    """Return the bars that open a split's ratio away from the last close: `symbol`, `time`, ratio.

    A crash may fall by as much, but not on a calm day; a day of a split is one. A bar whose prices
    are all one tells nothing of that.

    Parameters
    ----------
    bars
        `symbol`, open, high, low, close as they are to be used (adjusted, if they are).
    """
    before = pl.col("close").shift(1).over("symbol", order_by=time)
    step = (before / pl.col("open")).log()
    calm = (pl.col("high") / pl.col("low")).log().is_between(0, RANGE, closed="right")
    ratio = _nearest(step, STEP)
    return (
        bars.with_columns(ratio=pl.when(calm).then(ratio))
        .filter(pl.col("ratio").is_not_null())
        .select("symbol", time, "ratio")
        .sort("symbol", time)
    )


def actions(bars: pl.DataFrame, *, largest_dividend: float) -> pl.DataFrame:
    """Return what the adjustment of prices stands for, bar by bar where it changes.

    Parameters
    ----------
    bars
        `symbol`, `timestamp`, `close` (adjusted) and `raw_close`.
    largest_dividend
        Share of the price from which a payment is no ordinary dividend: a spin-off written as
        one, or paid once. Returns are right with it; a dividend yield is not.

    Returns
    -------
    DataFrame
        `symbol`, `timestamp`, `kind` (split, dividend, extraordinary), `size`: the ratio, or the
        payment over the last price.
    """
    factor = pl.col("close") / pl.col("raw_close")
    change = factor / factor.shift(1)
    ratio = _nearest(pl.col("change").log(), _FACTOR)
    paid = 1 - 1 / pl.col("change")
    return (
        bars.sort("symbol", "timestamp")
        .with_columns(change=change.over("symbol"))
        .filter((pl.col("change") - 1).abs() > 1e-4)
        .with_columns(ratio=ratio, paid=paid)
        .select(
            "symbol",
            "timestamp",
            kind=pl.when(pl.col("ratio").is_not_null())
            .then(pl.lit("split"))
            .when(pl.col("paid") >= largest_dividend)
            .then(pl.lit("extraordinary"))
            .otherwise(pl.lit("dividend")),
            size=pl.coalesce("ratio", "paid"),
        )
    )


def _nearest(log_ratio: pl.Expr, tolerance: float) -> pl.Expr:
    """Return the split's ratio that a log ratio is near to; null where there is none."""
    found = pl.lit(None, dtype=pl.Float64)
    for ratio in (*RATIOS, *(1 / each for each in RATIOS)):
        near = (log_ratio - pl.lit(ratio).log()).abs() <= tolerance
        found = pl.coalesce(found, pl.when(near).then(pl.lit(ratio)))
    return found
