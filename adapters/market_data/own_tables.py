"""Your own headlines and order books: Parquet and CSV files in a folder, read as they are."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from adapters.market_data.folder import SUFFIXES
from domain.errors import DataQualityError

#: Folders below the data folder.
NEWS, ORDER_BOOKS, SECOND_SOURCE = "news", "order_books", "second_source"


def read_own(folder: Path, required: Sequence[str]) -> pl.DataFrame:
    """Return the rows of all files of `folder`, in the order of their names; empty without any.

    ``origin`` is ``file:row``. An instant that can't be read, or has no time zone, is null.

    Parameters
    ----------
    required
        Columns that a file must have beside ``symbol`` and ``timestamp``.

    Raises
    ------
    DataQualityError
        If a file can't be read or lacks a column.
    """
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        return pl.DataFrame()
    return pl.concat([_read(path, required) for path in files], how="diagonal_relaxed")


def _read(path: Path, required: Sequence[str]) -> pl.DataFrame:
    try:
        raw = pl.read_parquet(path) if path.suffix.lower() == ".parquet" else pl.read_csv(path)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise _unusable(path, str(problem).splitlines()[0]) from None
    raw = raw.rename({name: name.strip().lower() for name in raw.columns})
    missing = [name for name in ("symbol", "timestamp", *required) if name not in raw.columns]
    if missing:
        raise _unusable(path, f"it has no column {', '.join(missing)}")
    return raw.with_columns(
        pl.col("symbol").cast(pl.String),
        _instants(raw["timestamp"]),
        origin=pl.lit(f"{path.name}:") + pl.int_range(1, pl.len() + 1).cast(pl.String),
    )


def _instants(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return column.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        return column.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    return pl.repeat(None, len(column), dtype=pl.Datetime("us", "UTC"), eager=True).alias(
        column.name
    )


def _unusable(path: Path, what: str) -> DataQualityError:
    return DataQualityError(
        f"{path} can't be used: {what}.",
        kept="What was stored before is as it was.",
        next_step="Mend the file, or take it away.",
    )
