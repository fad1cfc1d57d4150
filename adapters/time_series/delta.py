"""The time-series store on Delta tables (delta-rs), on disk or object storage.

One Delta table per `Table`, partitioned by calendar year. A commit carries the hash of each
year's rows, so the content version is known without reading the table, and Delta's time travel
finds it again.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import TableNotFoundError

from adapters.locks import owned_lock
from adapters.time_series import rows
from domain.ports.time_series import Table

_PATIENCE_SECONDS = 300.0
_YEAR = "_year"
_VERSION = "quorum.version"
_HASHES = "quorum.years"
#: Delta forgets old versions after 30 days unless told otherwise; lineage needs them for longer.
_KEEP = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
}


class DeltaTimeSeries:
    """Tables below `folder`; one writer at a time, held off by a lock file beside the table."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, table: Table, frame: pl.DataFrame) -> str:
        """Insert or replace rows by key; see `domain.ports.time_series`."""
        with self._lock(table):
            delta = self._open(table)
            new = rows.checked(table, frame, self._types(delta))
            if new.is_empty():
                return self._version(delta)
            years = _years_of(new)
            old = self._scan(delta, years)
            return self._commit(table, delta, rows.merged(table, old, new), years)

    def replace(self, table: Table, frame: pl.DataFrame, *, start: datetime, end: datetime) -> str:
        """Make `frame` the whole content of an interval; see `domain.ports.time_series`."""
        with self._lock(table):
            delta = self._open(table)
            new = frame.clear()
            if frame.height:
                new = rows.checked(table, frame, self._types(delta))
                rows.within(table, new, start, end)
            years = sorted({*_years_of(new), *self._years_between(delta, start, end)})
            if not years:
                return self._version(delta)
            old = self._scan(delta, years)
            outside = old
            if old.height:
                inside = (pl.col("timestamp") >= start) & (pl.col("timestamp") < end)
                outside = old.filter(~inside)
            content = rows.merged(table, outside, new) if new.height else outside
            return self._commit(table, delta, content, years)

    def read(
        self,
        table: Table,
        *,
        symbols: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        version: str | None = None,
    ) -> pl.DataFrame:
        """Return rows of an interval; see `domain.ports.time_series`."""
        delta = self._open(table)
        if version is not None and version != self._version(delta):
            delta = self._travel(table, delta, version)
        if delta is None:
            return pl.DataFrame()
        years = self._years_between(delta, start, end)
        frame = self._scan(delta, years, symbols)
        return rows.select(table, frame, None, start, end)

    def version(self, table: Table) -> str:
        """Return the present version."""
        return self._version(self._open(table))

    def _lock(self, table: Table) -> Any:  # noqa: ANN401 - contextlib's own type is private
        return owned_lock(
            self._folder / f"{table}.lock",
            patience_seconds=_PATIENCE_SECONDS,
            purpose=f"writing the table {table}",
        )

    def _open(self, table: Table) -> DeltaTable | None:
        try:
            return DeltaTable(self._folder / table)
        except TableNotFoundError:
            return None

    def _types(self, delta: DeltaTable | None) -> dict[str, pl.DataType]:
        return {} if delta is None else dict(pl.scan_delta(delta).collect_schema())

    def _version(self, delta: DeltaTable | None) -> str:
        return "" if delta is None else _commit_note(delta)[_VERSION]

    def _years_between(
        self, delta: DeltaTable | None, start: datetime | None, end: datetime | None
    ) -> list[int]:
        if delta is None:
            return []
        known = map(int, json.loads(_commit_note(delta)[_HASHES]))
        return sorted(
            year
            for year in known
            if (start is None or year >= start.year) and (end is None or year <= end.year)
        )

    def _scan(
        self, delta: DeltaTable | None, years: Sequence[int], symbols: Sequence[str] | None = None
    ) -> pl.DataFrame:
        if delta is None:
            return pl.DataFrame()
        types = pl.Schema({k: t for k, t in self._types(delta).items() if k != _YEAR})
        # polars' own Delta reader takes "%20" in a path for three letters of it.
        wanted = {f"{_YEAR}={year}" for year in years}
        paths = map(Path, map(unquote, delta.file_uris()))
        files = sorted(path for path in paths if path.parent.name in wanted)
        if not files:
            return types.to_frame()
        scan = pl.scan_parquet(
            files, schema=types, hive_partitioning=False, glob=False, missing_columns="insert"
        )
        if symbols is not None:
            scan = scan.filter(pl.col("symbol").is_in(list(symbols)))
        return scan.collect()

    def _commit(
        self, table: Table, delta: DeltaTable | None, content: pl.DataFrame, years: Sequence[int]
    ) -> str:
        """Write `content` as all there is of `years`, unless it is there already."""
        before = {} if delta is None else json.loads(_commit_note(delta)[_HASHES])
        hashes = {year: known for year, known in before.items() if int(year) not in years}
        hashes |= rows.year_hashes(table, content) if content.height else {}
        version = rows.version_of(hashes)
        if hashes == before:
            return self._version(delta)
        write_deltalake(
            self._folder / table,
            content.with_columns(pl.col("timestamp").dt.year().alias(_YEAR)),
            mode="overwrite",
            predicate=f"{_YEAR} in ({', '.join(map(str, years))})" if delta else None,
            partition_by=[_YEAR],
            schema_mode="merge" if delta else None,
            configuration=None if delta else _KEEP,
            commit_properties=CommitProperties(
                custom_metadata={_VERSION: version, _HASHES: json.dumps(hashes, sort_keys=True)}
            ),
        )
        return version

    def _travel(self, table: Table, delta: DeltaTable | None, version: str) -> DeltaTable:
        for commit in delta.history() if delta else ():
            if commit.get(_VERSION) == version:
                return DeltaTable(self._folder / table, version=commit["version"])
        raise rows.unknown_version(table, version)


def _years_of(frame: pl.DataFrame) -> list[int]:
    return frame["timestamp"].dt.year().unique().sort().to_list() if frame.height else []


def _commit_note(delta: DeltaTable) -> dict[str, str]:
    return delta.history(1)[0]
