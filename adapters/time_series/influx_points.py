"""Rows of a frame as InfluxDB points and back, nothing lost and nothing coerced.

A point is one row: the symbol is its tag, what else is in the key is hashed into the tag ``row``,
every column is a field. InfluxDB has no null, NaN, infinity or empty text, and a point that is
written again keeps fields that the new one lacks; so every point names such values in the field
`MARKS`, which wins over the fields.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from io import StringIO
from typing import Any

import polars as pl

from adapters.time_series.rows import TIMESTAMP, refuse
from domain.ports.time_series import KNOWN_FROM, KNOWN_UNTIL, Table

MARKS = "quorum_marks"
_TIMES = (KNOWN_FROM, KNOWN_UNTIL)
_MARKED: dict[str, Any] = {
    "null": None,
    "nan": float("nan"),
    "inf": float("inf"),
    "-inf": float("-inf"),
    "empty": "",
}
_SIMPLE = (
    pl.Float64, pl.Float32, pl.Int64, pl.Int32, pl.Int16, pl.Int8, pl.UInt32, pl.UInt16, pl.UInt8,
    pl.Boolean, pl.String, pl.Date,
)  # fmt: skip
_BY_NAME = {str(dtype): dtype() for dtype in _SIMPLE}
#: Nanoseconds in 64 bits reach from 1677 to 2262.
_FIRST, _LAST = pl.datetime(1678, 1, 1, time_zone="UTC"), pl.datetime(2262, 1, 1, time_zone="UTC")


def type_names(table: Table, types: Mapping[str, pl.DataType]) -> dict[str, str]:
    """Return the columns' types as text.

    Raises
    ------
    DataQualityError
        If InfluxDB can't hold a column of that type exactly.
    """
    return {name: _type_name(table, name, dtype) for name, dtype in types.items()}


def types_of(names: Mapping[str, str]) -> dict[str, pl.DataType]:
    """Return the types that `type_names` has written."""
    return {column: _type(name) for column, name in names.items()}


def lines(table: Table, measurement: str, frame: pl.DataFrame) -> list[str]:
    """Return `frame` in line protocol, a line a row, at nanosecond precision.

    Raises
    ------
    DataQualityError
        If a symbol or an instant can't be written.
    """
    type_names(table, {n: t for n, t in frame.schema.items() if n not in _TIMES})
    _demand_writable(table, frame)
    keys = list(table.key[2:])
    tags = [pl.lit(f"{_escaped(measurement)},symbol="), _tag(pl.col("symbol"))]
    if keys:
        tags += [pl.lit(",row="), pl.col("_row")]
        frame = frame.with_columns(_row=pl.struct(keys).map_elements(_row_hash, pl.String))
    if KNOWN_UNTIL in frame.columns:  # ended rows: several of one key, told apart by their start
        since = pl.col(KNOWN_FROM).dt.timestamp("us").cast(pl.String).fill_null("ever")
        tags += [pl.lit(",since="), since]
    columns = [n for n in frame.columns if n not in ("symbol", "timestamp", "_row")]
    values = [_field(name, frame.schema[name]) for name in columns]
    marks = pl.concat_str(
        *(_mark(name, frame.schema[name]) for name in columns if name not in _TIMES),
        separator=",",
        ignore_nulls=True,
    )
    marked = pl.lit(f'{MARKS}="{{') + marks.str.replace_all('"', '\\"', literal=True) + pl.lit('}"')
    line = pl.concat_str(
        *tags,
        pl.lit(" "),
        pl.concat_str(*values, marked, separator=",", ignore_nulls=True),
        pl.lit(" "),
        (pl.col("timestamp").dt.timestamp("us")).cast(pl.String) + "000",
    )
    return frame.select(line.alias("line"))["line"].to_list()


def row_hash(table: Table, row: Mapping[str, Any]) -> str:
    """Return the tag ``row`` of a row; empty for tables keyed by symbol and timestamp alone."""
    keys = table.key[2:]
    return _row_hash({name: row[name] for name in keys}) if keys else ""


def frame_of(text: str, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Return the frame that an answer to a Flux query (annotated CSV, pivoted) stands for.

    Parameters
    ----------
    types
        The columns' types, key columns included.
    """
    wanted = {**types, KNOWN_FROM: TIMESTAMP, KNOWN_UNTIL: TIMESTAMP}
    frames = [_block(header, kinds, rows) for header, kinds, rows in blocks(text)]
    if not frames:
        return pl.DataFrame(schema={n: t for n, t in wanted.items() if n != KNOWN_UNTIL})
    raw = pl.concat(frames, how="diagonal").rename({"_time": "timestamp"})
    there = [name for name in wanted if name in raw.columns]
    typed = raw.select(
        *(_decoded(name, raw.schema[name], wanted[name]) for name in there),
        pl.col(MARKS).fill_null("{}"),
    ).with_columns(
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in types.items() if name not in there
    )
    for marks in typed[MARKS].unique().to_list():
        marked = {name: _MARKED[mark] for name, mark in json.loads(marks).items()}
        typed = typed.with_columns(
            pl.when(pl.col(MARKS) == marks)
            .then(pl.lit(value, dtype=typed.schema[name]))
            .otherwise(pl.col(name))
            .alias(name)
            for name, value in marked.items()
            if name in typed.columns
        )
    extra = [name for name in _TIMES if name in typed.columns]
    return typed.select(*types, *extra)


def blocks(text: str) -> Iterator[tuple[list[str], list[str], list[list[str]]]]:
    """Return header, data types and rows of each table of an answer in annotated CSV."""
    kinds: list[str] = []
    header: list[str] = []
    rows: list[list[str]] = []
    for row in csv.reader(StringIO(text, newline="")):
        annotation = row[0] if row else ""
        if annotation.startswith("#") or not row:
            if rows:
                yield header, kinds, rows
            header, rows = [], []
            if annotation == "#datatype":
                kinds = row
        elif not header:
            header = row
        else:
            rows.append(row)
    if rows:
        yield header, kinds, rows


def _block(header: Sequence[str], kinds: Sequence[str], rows: list[list[str]]) -> pl.DataFrame:
    columns: dict[str, pl.Series] = {}
    for place, (name, kind) in enumerate(zip(header, kinds, strict=True)):
        if name in ("", "result", "table"):
            continue
        texts = pl.Series(name, [row[place] or None for row in rows], dtype=pl.String)
        columns[name] = _parsed(texts, kind)
    return pl.DataFrame(columns)


def _parsed(texts: pl.Series, kind: str) -> pl.Series:
    match kind.partition(":")[0]:
        case "double":
            return texts.cast(pl.Float64)
        case "long":
            return texts.cast(pl.Int64)
        case "boolean":
            return texts == "true"
        case "dateTime":
            whole = texts.str.to_datetime(time_unit="us", time_zone="UTC", strict=True)
            return whole.rename(texts.name)
        case _:
            return texts


def _decoded(name: str, found: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    return column if found == wanted else column.cast(wanted)


def _field(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return ``name=value``, null where the value has no form in line protocol."""
    column = pl.col(name)
    if dtype.is_float():
        value = pl.when(column.is_finite()).then(column.cast(pl.Float64).cast(pl.String))
    elif dtype == pl.Boolean:
        value = pl.when(column).then(pl.lit("true")).when(~column).then(pl.lit("false"))
    elif dtype == pl.String:
        escaped = column.str.replace_all("\\", "\\\\", literal=True).str.replace_all(
            '"', '\\"', literal=True
        )
        value = pl.when(column != "").then(pl.lit('"') + escaped + pl.lit('"'))
    else:
        value = column.cast(pl.Int64).cast(pl.String) + pl.lit("i")
    return pl.lit(f"{_escaped(name)}=") + value


def _mark(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    mark = pl.when(column.is_null()).then(pl.lit("null"))
    if dtype.is_float():
        mark = (
            mark.when(column.is_nan())
            .then(pl.lit("nan"))
            .when(column.is_infinite() & (column > 0))
            .then(pl.lit("inf"))
            .when(column.is_infinite())
            .then(pl.lit("-inf"))
        )
    elif dtype == pl.String:
        mark = mark.when(column == "").then(pl.lit("empty"))
    return pl.lit(json.dumps(name, ensure_ascii=False) + ':"') + mark + pl.lit('"')


def _demand_writable(table: Table, frame: pl.DataFrame) -> None:
    texts = frame.filter(pl.col("symbol").str.contains(r"[\\\n\r]") | (pl.col("symbol") == ""))
    if texts.height:
        refuse(table, f"InfluxDB takes no tag such as {texts['symbol'][0]!r}")
    outside = frame.filter(~pl.col("timestamp").is_between(_FIRST, _LAST, closed="left"))
    if outside.height:
        refuse(table, f"InfluxDB holds no instant such as {outside['timestamp'][0]}")
    if MARKS in frame.columns:
        refuse(table, f"the store itself keeps {MARKS}")


def _tag(column: pl.Expr) -> pl.Expr:
    for sign in (",", "=", " "):
        column = column.str.replace_all(sign, f"\\{sign}", literal=True)
    return column


def _escaped(name: str) -> str:
    for sign in (",", "=", " "):
        name = name.replace(sign, f"\\{sign}")
    return name


def _row_hash(values: Mapping[str, Any]) -> str:
    return sha256("\x1f".join(map(str, values.values())).encode()).hexdigest()[:20]


def _type_name(table: Table, name: str, dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        return f"Datetime|{dtype.time_unit}|{dtype.time_zone or ''}"
    if isinstance(dtype, pl.Duration):
        return f"Duration|{dtype.time_unit}"
    if str(dtype) not in _BY_NAME:
        refuse(table, f"InfluxDB can't hold column {name!r} of type {dtype} exactly")
    return str(dtype)


def _type(name: str) -> pl.DataType:
    kind, *rest = name.split("|")
    if kind == "Datetime":
        return pl.Datetime(rest[0], rest[1] or None)  # type: ignore[arg-type]
    if kind == "Duration":
        return pl.Duration(rest[0])  # type: ignore[arg-type]
    return _BY_NAME[kind]
