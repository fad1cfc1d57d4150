"""Whether two sources tell the same prices, and if not, where and how."""

import polars as pl

#: From how many common bars on a steady ratio is taken for another adjustment, and how steady.
_BARS, _STEADY = 20, 0.002


def compare(
    ours: pl.DataFrame, theirs: pl.DataFrame, *, on: tuple[str, str], tolerance: float
) -> pl.DataFrame:
    """Return per symbol how far two sources of closes agree.

    Parameters
    ----------
    on
        Columns that name a bar in both: symbol and its date or instant.
    tolerance
        Largest relative difference of two closes that agree.

    Returns
    -------
    DataFrame
        `symbol`, `common` bars, `agreeing`, `ratio`: the median ratio of the others, where it
        is steady (they are adjusted differently), else null; `first` and `last` of the others.
    """
    symbol, time = on
    both = ours.select(*on, "close").join(
        theirs.select(*on, other="close").drop_nulls(), on=list(on), how="inner"
    )
    ratio = pl.col("close") / pl.col("other")
    agrees = (ratio - 1).abs() <= tolerance
    off = ratio.filter(~agrees)
    spread = (off / off.median() - 1).abs().median()
    steady = ((~agrees).sum() >= _BARS) & (spread <= _STEADY)
    return (
        both.group_by(symbol)
        .agg(
            common=pl.len(),
            agreeing=agrees.sum(),
            ratio=pl.when(steady).then(off.median()),
            first=pl.col(time).filter(~agrees).min(),
            last=pl.col(time).filter(~agrees).max(),
        )
        .sort(symbol)
    )
