"""A time-series store in memory, for tests and simulations."""

from collections.abc import Sequence
from datetime import datetime
from threading import Lock

import polars as pl

from adapters.clock import SystemClock
from adapters.time_series import knowledge, rows
from domain.ports.clock import Clock
from domain.ports.time_series import KNOWN_FROM, Table


class MemoryTimeSeries:
    """Keeps every version of every table for the life of the object."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._frames: dict[Table, dict[str, pl.DataFrame]] = {}
        self._present: dict[Table, pl.DataFrame] = {}
        self._ended: dict[Table, pl.DataFrame] = {}
        self._versions: dict[Table, str] = {}
        self._lock = Lock()

    def write(self, table: Table, frame: pl.DataFrame, *, known_at: datetime | None = None) -> str:
        """Insert or replace rows by key; see `domain.ports.time_series`."""
        with self._lock:
            old = self.read(table)
            new = rows.checked(table, frame, old.schema)
            return self._keep(table, rows.merged(table, old, new), known_at)

    def replace(
        self,
        table: Table,
        frame: pl.DataFrame,
        *,
        start: datetime,
        end: datetime,
        known_at: datetime | None = None,
    ) -> str:
        """Make `frame` the whole content of an interval; see `domain.ports.time_series`."""
        with self._lock:
            old = self.read(table)
            new = rows.checked(table, frame, old.schema) if frame.height else frame.clear()
            rows.within(table, new, start, end)
            before = rows.select(table, old, None, None, start)
            outside = pl.concat([before, rows.select(table, old, None, end, None)])
            content = rows.merged(table, outside, new) if new.height else outside
            return self._keep(table, content, known_at)

    def read(
        self,
        table: Table,
        *,
        symbols: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        version: str | None = None,
        known_at: datetime | None = None,
    ) -> pl.DataFrame:
        """Return rows of an interval; see `domain.ports.time_series`."""
        knowledge.demand_one(version, known_at)
        if known_at is not None:
            frame = knowledge.known(self.revisions(table), known_at)
            return rows.select(table, frame, symbols, start, end)
        wanted = self.version(table) if version is None else version
        if not wanted:
            return pl.DataFrame()
        try:
            frame = self._frames[table][wanted]
        except KeyError:
            raise rows.unknown_version(table, wanted) from None
        return rows.select(table, frame, symbols, start, end)

    def revisions(
        self, table: Table, *, start: datetime | None = None, end: datetime | None = None
    ) -> pl.DataFrame:
        """Return every row that was ever known; see `domain.ports.time_series`."""
        if table not in self._present:
            return pl.DataFrame()
        found = knowledge.all_revisions(table, self._present[table], self._ended[table])
        return rows.between(found, start, end)

    def version(self, table: Table) -> str:
        """Return the present version."""
        return self._versions.get(table, "")

    def _keep(self, table: Table, content: pl.DataFrame, known_at: datetime | None) -> str:
        if content.is_empty() and table not in self._versions:
            return ""
        content = content.sort(table.key)
        version = rows.version_of(rows.year_hashes(table, content))
        if version == self.version(table):
            return version
        old = self._present.get(table, pl.DataFrame())
        moment = known_at or self._clock.now()
        present, ended = knowledge.revise(table, old, content, moment)
        past = [each for each in (self._ended.get(table), ended) if each is not None]
        self._present[table] = present
        self._ended[table] = pl.concat(
            [each for each in past if each.height] or [ended.clear()], how="diagonal"
        )
        self._frames.setdefault(table, {})[version] = present.drop(KNOWN_FROM)
        self._versions[table] = version
        return version
