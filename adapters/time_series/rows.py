"""What every time-series store does alike: check rows, merge them, and name content by its hash.

Content is hashed a calendar year at a time, so that a write re-reads only the years it touches.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import NoReturn

import numpy as np
import polars as pl

from domain.errors import DataQualityError
from domain.ports.time_series import KNOWN_FROM, KNOWN_UNTIL, Table

TIMESTAMP = pl.Datetime("us", "UTC")


def checked(table: Table, frame: pl.DataFrame, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Return `frame` as the table keeps it; `types` are those of the columns it has already.

    Raises
    ------
    DataQualityError
        If a key column is missing, null, of a wrong type or not unique, or a column's type
        differs from the table's.
    """
    frame = frame.select(column for column in frame if column.dtype != pl.Null)
    if reserved := {KNOWN_FROM, KNOWN_UNTIL}.intersection(frame.columns):
        refuse(table, f"the store itself keeps {', '.join(sorted(reserved))}")
    for name in table.key:
        wanted = TIMESTAMP if name == "timestamp" else pl.String
        if name not in frame.columns:
            refuse(table, f"column {name!r} is missing or empty")
        if frame.schema[name] != wanted:
            refuse(table, f"column {name!r} is {frame.schema[name]}, not {wanted}")
        if frame[name].null_count():
            refuse(table, f"{frame[name].null_count()} rows have no {name}")
    for name, dtype in frame.schema.items():
        if name in types and types[name] != dtype:
            refuse(table, f"column {name!r} is {dtype}, not {types[name]}")
    if frame.select(pl.struct(table.key).is_duplicated().any()).item():
        refuse(table, f"rows repeat the same {', '.join(table.key)}")
    return frame


def within(table: Table, frame: pl.DataFrame, start: datetime, end: datetime) -> None:
    """Refuse `frame` with a `DataQualityError` if a row is outside start ≤ timestamp < end."""
    outside = frame.filter((pl.col("timestamp") < start) | (pl.col("timestamp") >= end)).height
    if outside:
        refuse(table, f"{outside} rows lie outside {start.isoformat()} … {end.isoformat()}")


def merged(table: Table, old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Return `old` with `new`'s rows inserted or replaced by key."""
    if old.is_empty():
        return new.sort(table.key)
    kept = old.join(new, on=list(table.key), how="anti")
    return pl.concat([kept, new], how="diagonal").sort(table.key)


def select(
    table: Table,
    frame: pl.DataFrame,
    symbols: Sequence[str] | None,
    start: datetime | None,
    end: datetime | None,
) -> pl.DataFrame:
    """Return the rows asked for, sorted by key."""
    if frame.is_empty():
        return frame
    if symbols is not None:
        frame = frame.filter(pl.col("symbol").is_in(list(symbols)))
    return between(frame, start, end).sort(table.key)


def between(frame: pl.DataFrame, start: datetime | None, end: datetime | None) -> pl.DataFrame:
    """Return the rows with start ≤ timestamp < end."""
    if frame.is_empty():
        return frame
    if start is not None:
        frame = frame.filter(pl.col("timestamp") >= start)
    if end is not None:
        frame = frame.filter(pl.col("timestamp") < end)
    return frame


def content_hash(frame: pl.DataFrame) -> str:
    """Return the SHA-256 of a frame's rows in their order; columns in the order of their names.

    Columns without a value don't count, -0.0 is 0.0, and NaN is one value.
    """
    digest = sha256(str(frame.height).encode())
    for name in sorted(frame.columns):
        column = frame[name]
        missing = column.is_null()
        if missing.all():
            continue
        digest.update(f"\x1f{name}:{column.dtype}\x1f".encode())
        digest.update(np.packbits(missing.to_numpy()).tobytes())
        digest.update(_bytes(column))
    return digest.hexdigest()


def _bytes(column: pl.Series) -> bytes:
    if column.dtype.is_float():
        values = column.fill_null(0.0).fill_nan(float("nan")).to_numpy()
        return (values + 0.0).tobytes()
    if column.dtype.is_numeric() or column.dtype.is_temporal() or column.dtype == pl.Boolean:
        return column.cast(pl.Int64).fill_null(0).to_numpy().tobytes()
    texts = [text.encode() for text in column.cast(pl.String).fill_null("").to_list()]
    return b"".join(len(text).to_bytes(8, "little") + text for text in texts)


def year_hashes(table: Table, frame: pl.DataFrame) -> dict[str, str]:
    """Return calendar year → content hash of its rows."""
    years = frame["timestamp"].dt.year()
    return {
        str(year): content_hash(frame.filter(years == year).sort(table.key))
        for year in years.unique().sort()
    }


def version_of(hashes: Mapping[str, str]) -> str:
    """Return the version of a table whose years hash to `hashes`."""
    return sha256("".join(f"{y}:{hashes[y]};" for y in sorted(hashes)).encode()).hexdigest()


def unknown_version(table: Table, version: str) -> DataQualityError:
    """Return the error for a version that was never written here."""
    return DataQualityError(
        f"Table {table} has no version {version}.",
        next_step="Read the present version, or materialize the one that is wanted again.",
    )


def refuse(table: Table, what: str) -> NoReturn:
    """Raise the error that says why rows can't enter a table."""
    raise DataQualityError(
        f"Rows for table {table} are refused: {what}.",
        kept="The table is as it was.",
        next_step="Mend the rows at their source and write them again.",
    )
