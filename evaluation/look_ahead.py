"""Do features know the future? Cut the data off, compute them again, and compare.

A feature that is causal has the same value at an instant whether or not anything came after it.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

import polars as pl

from domain.messages import Value

_KEY = ["symbol", "timestamp"]


class LookAhead(Value, frozen=True, kw_only=True):
    """What the audit found.

    Parameters
    ----------
    rows
        Rows computed again.
    different
        Feature → values that differ, for features with any.
    missing
        Rows that are not there at all without the future.
    """

    rows: int
    different: dict[str, int]
    missing: int

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not self.different and not self.missing


def look_ahead(
    stored: pl.DataFrame,
    compute: Callable[[datetime], pl.DataFrame],
    cuts: Iterable[datetime],
    *,
    tolerance: float = 1e-9,
) -> LookAhead:
    """Compare features with what `compute` makes of the data up to each cut alone.

    Parameters
    ----------
    stored
        Symbol, timestamp and a column per feature, computed on all data.
    compute
        Instant → the same columns from the data that was known at it.
    cuts
        Instants at which the two are compared; rows of other instants are not.
    """
    names = [name for name in stored.columns if name not in _KEY]
    different = dict.fromkeys(names, 0)
    rows, missing = 0, 0
    for cut in cuts:
        known = stored.filter(pl.col("timestamp") == cut)
        again = compute(cut).filter(pl.col("timestamp") == cut).with_columns(there=pl.lit(1))
        pair = known.join(again, on=_KEY, how="left", suffix="_again")
        missing += pair["there"].null_count()
        pair = pair.drop_nulls("there")
        rows += pair.height
        for name in names:
            different[name] += _differing(pair[name], pair[f"{name}_again"], tolerance)
    return LookAhead(
        rows=rows, different={name: n for name, n in different.items() if n}, missing=missing
    )


def _differing(stored: pl.Series, again: pl.Series, tolerance: float) -> int:
    """Count values that differ; a missing value equals only another missing one."""
    a, b = (side.cast(pl.Float64).fill_nan(None) for side in (stored, again))
    alike = (a.is_null() & b.is_null()) | ((a - b).abs() <= tolerance).fill_null(value=False)
    return int((~alike).sum())
