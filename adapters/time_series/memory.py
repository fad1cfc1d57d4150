"""A time-series store in memory, for tests and simulations."""

from collections.abc import Sequence
from datetime import datetime
from threading import Lock

import polars as pl

from adapters.time_series import rows
from domain.ports.time_series import Table


class MemoryTimeSeries:
    """Keeps every version of every table for the life of the object."""

    def __init__(self) -> None:
        self._frames: dict[Table, dict[str, pl.DataFrame]] = {}
        self._present: dict[Table, str] = {}
        self._lock = Lock()

    def write(self, table: Table, frame: pl.DataFrame) -> str:
        """Insert or replace rows by key; see `domain.ports.time_series`."""
        with self._lock:
            old = self.read(table)
            new = rows.checked(table, frame, old.schema)
            return self._keep(table, rows.merged(table, old, new))

    def replace(self, table: Table, frame: pl.DataFrame, *, start: datetime, end: datetime) -> str:
        """Make `frame` the whole content of an interval; see `domain.ports.time_series`."""
        with self._lock:
            old = self.read(table)
            new = rows.checked(table, frame, old.schema) if frame.height else frame.clear()
            rows.within(table, new, start, end)
            before = rows.select(table, old, None, None, start)
            outside = pl.concat([before, rows.select(table, old, None, end, None)])
            return self._keep(table, rows.merged(table, outside, new) if new.height else outside)

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
        wanted = self.version(table) if version is None else version
        if not wanted:
            return pl.DataFrame()
        try:
            frame = self._frames[table][wanted]
        except KeyError:
            raise rows.unknown_version(table, wanted) from None
        return rows.select(table, frame, symbols, start, end)

    def version(self, table: Table) -> str:
        """Return the present version."""
        return self._present.get(table, "")

    def _keep(self, table: Table, frame: pl.DataFrame) -> str:
        if frame.is_empty() and table not in self._present:
            return ""
        frame = frame.sort(table.key)
        version = rows.version_of(rows.year_hashes(table, frame))
        self._frames.setdefault(table, {})[version] = frame
        self._present[table] = version
        return version
