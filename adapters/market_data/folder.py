"""Bars from a folder of Parquet and CSV files, read as they are and never mended in silence.

A file holds ``date`` (exchange-local trading date) or ``timestamp`` (aware; the bar's close),
``open``, ``high``, ``low``, ``close``, and, where the source has them, ``symbol`` (else the file's
name is the symbol), ``adj_close`` (else the close) and ``volume`` (else 0).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from domain.errors import ConfigurationError, DataQualityError

SUFFIXES = (".parquet", ".csv")
PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "adj_close", "volume")
RAW_SCHEMA = pl.Schema(
    {
        "symbol": pl.String,
        "date": pl.Date,
        "timestamp": pl.Datetime("us", "UTC"),
        **dict.fromkeys(NUMBERS, pl.Float64),
        "source": pl.String,
        "defect": pl.String,
        "record": pl.String,
    }
)


class _Unusable(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class FolderMarketData:
    """Reads every Parquet and CSV file of `folder`, in the order of their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> pl.DataFrame:
        """Return one row per row of the files, in their order (`RAW_SCHEMA`).

        ``source`` is ``file:row``. ``defect`` says why a row could not be parsed, and ``record``
        what stood there. A file that can't be used at all is one row without symbol and time.

        Raises
        ------
        ConfigurationError
            If the folder does not exist or holds no such file.
        DataQualityError
            If no file of the folder can be used.
        """
        frames: list[pl.DataFrame] = []
        problems: list[str] = []
        for path in self._files():
            try:
                frames.append(_parsed(path))
            except _Unusable as problem:
                problems.append(f"{path.name} ({problem.reason}): {problem.detail}")
                frames.append(_unusable(path, problem))
        if len(problems) == len(frames):
            raise DataQualityError(
                f"No file of bars can be used: {'; '.join(problems)}.",
                kept="Bars that were stored before are as they were.",
                next_step=f"Mend the files in {self._folder}, or unset QUORUM_DATA_FOLDER.",
            )
        return pl.concat(frames)

    def _files(self) -> Iterator[Path]:
        if not self._folder.is_dir():
            raise ConfigurationError(
                f"The data folder {self._folder} does not exist.",
                next_step="Set QUORUM_DATA_FOLDER to a folder of Parquet or CSV files.",
            )
        files = sorted(p for p in self._folder.iterdir() if p.suffix.lower() in SUFFIXES)
        if not files:
            raise ConfigurationError(
                f"The data folder {self._folder} holds no Parquet or CSV file.",
                next_step="Put files of bars there; docs/tutorial.md shows their columns.",
            )
        yield from files


def _parsed(path: Path) -> pl.DataFrame:
    raw = _read(path)
    raw = raw.rename({name: name.strip().lower() for name in raw.columns})
    missing = [name for name in PRICES if name not in raw.columns]
    if not {"date", "timestamp"} & set(raw.columns):
        missing.append("date")
    if missing:
        raise _Unusable("missing_column", f"no column {', '.join(missing)}")
    if raw.is_empty():
        raise _Unusable("empty_file", "it has no rows")
    columns = {name: raw[name] for name in raw.columns}
    numbers = {name: _number(columns.get(name), raw.height) for name in NUMBERS}
    if "adj_close" not in columns:
        numbers["adj_close"] = numbers["close"]
    if "volume" not in columns:
        numbers["volume"] = pl.repeat(0.0, raw.height, dtype=pl.Float64, eager=True)
    symbol = columns.get("symbol", pl.repeat(path.stem.upper(), raw.height, eager=True))
    texts = [_is_text(columns[n], numbers[n]) for n in NUMBERS if n in columns]
    date, timestamp = _moments(columns, raw.height)
    return (
        pl.DataFrame(
            {
                "symbol": symbol.cast(pl.String),
                "date": date,
                "timestamp": timestamp,
                **numbers,
                "source": pl.Series([f"{path.name}:{i}" for i in range(1, raw.height + 1)]),
                "_text": pl.DataFrame(texts).max_horizontal() if len(texts) > 1 else texts[0],
                "record": _records(raw),
            }
        )
        .with_columns(
            defect=pl.when(pl.coalesce("symbol", pl.lit("")) == "")
            .then(pl.lit("missing_symbol"))
            .when(pl.col("date").is_null() & pl.col("timestamp").is_null())
            .then(pl.lit("unreadable_date"))
            .when(pl.col("_text"))
            .then(pl.lit("text_in_number"))
        )
        .select(RAW_SCHEMA.names())
        .cast(RAW_SCHEMA)  # type: ignore[arg-type]
    )


def _unusable(path: Path, problem: _Unusable) -> pl.DataFrame:
    row = {"source": path.name, "defect": problem.reason, "record": problem.detail}
    return pl.DataFrame([dict.fromkeys(RAW_SCHEMA) | row], schema=RAW_SCHEMA)


def _read(path: Path) -> pl.DataFrame:
    if path.stat().st_size == 0:
        raise _Unusable("empty_file", "it has no bytes")
    try:
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as problem:
        raise _Unusable("unreadable_file", str(problem).splitlines()[0]) from None


def _number(column: pl.Series | None, height: int) -> pl.Series:
    if column is None:
        return pl.repeat(None, height, dtype=pl.Float64, eager=True)
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    return column.cast(pl.Float64, strict=False)


def _is_text(column: pl.Series, number: pl.Series) -> pl.Series:
    """Say where something stood that is not a number; an empty cell is missing, not text."""
    if column.dtype != pl.String:
        return pl.repeat(value=False, n=len(column), eager=True).alias(column.name)
    return (column.is_not_null() & (column.str.strip_chars() != "") & number.is_null()).rename(
        column.name
    )


def _moments(columns: dict[str, pl.Series], height: int) -> tuple[pl.Series, pl.Series]:
    """Return the trading dates and the instants of a file; one of the two is null."""
    no_date = pl.repeat(None, height, dtype=pl.Date, eager=True)
    no_instant = pl.repeat(None, height, dtype=pl.Datetime("us", "UTC"), eager=True)
    if "timestamp" not in columns:
        date = columns["date"]
        if date.dtype == pl.String:
            return date.str.strip_chars().str.to_date("%Y-%m-%d", strict=False), no_instant
        if date.dtype != pl.Date:
            raise _Unusable("wrong_type", f"date is {date.dtype}, not a calendar date")
        return date, no_instant
    instant = columns["timestamp"]
    if instant.dtype == pl.String:
        return no_date, _instants(instant)
    if not isinstance(instant.dtype, pl.Datetime):
        raise _Unusable("wrong_type", f"timestamp is {instant.dtype}, not an instant")
    if instant.dtype.time_zone is None:
        raise _Unusable("naive_timestamp", "timestamp has no time zone")
    return no_date, instant.dt.convert_time_zone("UTC").dt.cast_time_unit("us")


def _instants(texts: pl.Series) -> pl.Series:
    found: list[datetime | None] = []
    for text in texts:
        try:
            moment = datetime.fromisoformat((text or "").strip())
        except ValueError:
            found.append(None)
            continue
        if moment.tzinfo is None:
            raise _Unusable("naive_timestamp", f"timestamp {text!r} has no time zone")
        found.append(moment.astimezone(UTC))
    return pl.Series("timestamp", found, dtype=pl.Datetime("us", "UTC"))


def _records(raw: pl.DataFrame) -> pl.Series:
    return raw.select(pl.struct(pl.all().cast(pl.String)).struct.json_encode()).to_series()
