"""Whether a feed is alive, whole and on time: freshness, volume, stale prices, hours, clocks."""

from datetime import datetime

import polars as pl

#: Sessions that say how many rows are usual.
_USUAL = 63
#: Symbols, and sessions, from which on it is odd that none ever left.
_MANY_SYMBOLS, _MANY_SESSIONS = 20, 1260


def sessions_behind(bars: pl.DataFrame, sessions: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Return per symbol its `last` bar and how many sessions closed since: `behind`.

    Parameters
    ----------
    sessions
        Instants of `close`.
    """
    closed = sessions.filter(pl.col("close") <= now)["close"].sort()
    last = bars.group_by("symbol").agg(last=pl.col("timestamp").max()).sort("symbol")
    place = closed.search_sorted(last["last"], side="right")
    return last.with_columns(behind=(len(closed) - place).cast(pl.Int64))


def rows_of_last_session(bars: pl.DataFrame) -> tuple[int, float]:
    """Return the rows of the newest instant, and the usual number: the median of those before."""
    counted = bars.group_by("timestamp").len().sort("timestamp")["len"]
    if len(counted) < 2:
        return (int(counted[0]), float(counted[0])) if len(counted) else (0, 0.0)
    usual = counted[-_USUAL - 1 : -1].median()
    return int(counted[-1]), float(usual or 0.0)  # type: ignore[arg-type]


def standing_still(bars: pl.DataFrame, *, longest: int) -> pl.DataFrame:
    """Return runs of bars that repeat the one before in all prices and the volume.

    Returns
    -------
    DataFrame
        `symbol`, `first`, `last`, `bars` of runs of more than `longest` equal bars.
    """
    values = ("open", "high", "low", "close", "volume")
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in values)
    run = (~same.fill_null(value=False)).cum_sum()
    return (
        bars.sort("symbol", "timestamp")
        .with_columns(_run=run.over("symbol"))
        .group_by("symbol", "_run")
        .agg(first=pl.col("timestamp").min(), last=pl.col("timestamp").max(), bars=pl.len())
        .filter(pl.col("bars") > longest)
        .drop("_run")
        .sort("symbol", "first")
    )


def without_trade(bars: pl.DataFrame) -> pl.DataFrame:
    """Return per symbol the bars without volume, and those whose four prices are one."""
    flat = (pl.col("high") == pl.col("low")) & (pl.col("open") == pl.col("close"))
    return (
        bars.group_by("symbol")
        .agg(no_volume=(pl.col("volume") == 0).sum(), flat=flat.sum(), bars=pl.len())
        .filter((pl.col("no_volume") > 0) | (pl.col("flat") > 0))
        .sort("symbol")
    )


def only_survivors(bars: pl.DataFrame) -> bool:
    """Whether, of many symbols over many sessions, none ever ended: the dead were left out."""
    instants = bars["timestamp"].unique().sort()
    if bars["symbol"].n_unique() < _MANY_SYMBOLS or len(instants) < _MANY_SESSIONS:
        return False
    ends = bars.group_by("symbol").agg(pl.col("timestamp").max())["timestamp"]
    return bool((ends >= instants[-_USUAL]).all())


def outside_session(moment: pl.Expr, hours: pl.DataFrame, *, includes_close: bool) -> pl.Expr:
    """Return where an instant lies in no session: before the open, after the close, on a holiday.

    Parameters
    ----------
    hours
        `open` and `close` of sessions, in order.
    includes_close
        Whether the closing instant belongs to the session: for trades and for bars named by
        their end, not for bars named by their start.
    """
    opens, closes = hours["open"].sort(), hours["close"].sort()

    def outside(moments: pl.Series) -> pl.Series:
        place = opens.search_sorted(moments, side="right")
        before = closes.search_sorted(moments, side="left" if includes_close else "right")
        return place <= before

    return moment.map_batches(outside, return_dtype=pl.Boolean)


def clock_offset(local: pl.Series, exchange: pl.Series) -> float | None:
    """Return the median of a recorder's time less the exchange's, in seconds; None without any.

    A recorder can't be early: below zero is its clock's fault; far above, delay or clock.
    """
    known = pl.DataFrame({"local": local, "exchange": exchange}).drop_nulls()
    offset = known.select((pl.col("local") - pl.col("exchange")).dt.total_microseconds().median())
    value = offset.item()
    return None if value is None else value / 1e6


def sequence_gaps(first: pl.Series, last: pl.Series) -> int:
    """Return how often an update's first number does not follow the last one of the one before."""
    updates = pl.DataFrame({"first": first, "last": last}).drop_nulls().unique(maintain_order=True)
    follows = updates["first"] <= updates["last"].shift(1) + 1
    return int((~follows.fill_null(value=True)).sum())
