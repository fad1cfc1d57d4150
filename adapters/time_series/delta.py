"""Time series as Delta tables, one folder per table and calendar year, on disk or object storage.

A commit carries the table's version and the content hash of each year, so that the version is
known without reading the table, and Delta's time travel finds it again. What rows end is
appended to a second table before; a writer that is cut off between the two changed nothing.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl
import structlog
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from adapters.clock import SystemClock
from adapters.time_series import knowledge, rows
from adapters.time_series.delta_location import YEAR, DeltaLocation
from domain.ports.clock import Clock
from domain.ports.time_series import KNOWN_FROM, Table

_VERSION = "quorum.version"
_HASHES = "quorum.years"
_ATTEMPTS = 20
#: Delta forgets old versions after 30 days unless told otherwise; lineage needs them for longer.
_KEEP = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
}
_log = structlog.get_logger(__name__)


class DeltaTimeSeries:
    """Tables below `location`; one writer at a time, on object storage the first to commit."""

    def __init__(self, location: DeltaLocation | Path, clock: Clock | None = None) -> None:
        self._at = location if isinstance(location, DeltaLocation) else DeltaLocation(location)
        self._clock = clock or SystemClock()

    def write(self, table: Table, frame: pl.DataFrame, *, known_at: datetime | None = None) -> str:
        """Insert or replace rows by key; see `domain.ports.time_series`."""

        def change() -> str:
            delta = self._at.open(table)
            new = rows.checked(table, frame, self._types(delta))
            if new.is_empty():
                return _version(delta)
            years = _years_of(new)
            old = self._at.scan(delta, years)
            content = rows.merged(table, old.drop(KNOWN_FROM, strict=False), new)
            return self._commit(table, delta, years, old=old, content=content, known_at=known_at)

        return self._first_to_commit(table, change)

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

        def change() -> str:
            delta = self._at.open(table)
            new = frame.clear()
            if frame.height:
                new = rows.checked(table, frame, self._types(delta))
                rows.within(table, new, start, end)
            years = sorted({*_years_of(new), *_years_between(delta, start, end)})
            if not years:
                return _version(delta)
            old = self._at.scan(delta, years)
            outside = old.drop(KNOWN_FROM, strict=False)
            if old.height:
                inside = (pl.col("timestamp") >= start) & (pl.col("timestamp") < end)
                outside = outside.filter(~inside)
            content = rows.merged(table, outside, new) if new.height else outside
            return self._commit(table, delta, years, old=old, content=content, known_at=known_at)

        return self._first_to_commit(table, change)

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
            frame = knowledge.known(self.revisions(table, start=start, end=end), known_at)
            return rows.select(table, frame, symbols, None, None)
        delta = self._at.open(table)
        if version is not None and version != _version(delta):
            delta = self._travel(table, delta, version)
        if delta is None:
            return pl.DataFrame()
        frame = self._at.scan(delta, _years_between(delta, start, end), symbols)
        return rows.select(table, frame.drop(KNOWN_FROM, strict=False), None, start, end)

    def revisions(
        self, table: Table, *, start: datetime | None = None, end: datetime | None = None
    ) -> pl.DataFrame:
        """Return every row that was ever known; see `domain.ports.time_series`."""
        delta, past = self._at.open(table), self._at.open(_ended(table))
        if delta is None:
            return pl.DataFrame()
        unknown = pl.lit(None, dtype=rows.TIMESTAMP).alias(KNOWN_FROM)
        present = self._at.scan(delta, _years_between(delta, start, end))
        if KNOWN_FROM not in present.columns:  # of a release that kept no such time
            present = present.with_columns(unknown)
        ended = pl.DataFrame()
        if past is not None:
            years = sorted(int(each[YEAR]) for each in past.partitions())
            ended = self._at.scan(past, [y for y in years if _overlaps(y, start, end)])
        return rows.between(knowledge.all_revisions(table, present, ended), start, end)

    def version(self, table: Table) -> str:
        """Return the present version."""
        return _version(self._at.open(table))

    def _first_to_commit(self, table: Table, change: Callable[[], str]) -> str:
        """Make a change alone; where another writer's commit came first, make it on top of that."""

        def told(state: RetryCallState) -> None:
            _log.warning("commit_again", table=table.value, attempt=state.attempt_number)

        retrying = Retrying(
            retry=retry_if_exception(_another_was_first),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.05, max=2),
            before_sleep=told,
            reraise=True,
        )
        with self._at.lock(table):
            return retrying(change)

    def _types(self, delta: DeltaTable | None) -> dict[str, pl.DataType]:
        found = self._at.types(delta)
        found.pop(KNOWN_FROM, None)
        return found

    def _commit(
        self,
        table: Table,
        delta: DeltaTable | None,
        years: Sequence[int],
        *,
        old: pl.DataFrame,
        content: pl.DataFrame,
        known_at: datetime | None,
    ) -> str:
        """Write `content` as all there is of `years`, unless it is there already."""
        before = {} if delta is None else json.loads(_commit_note(delta)[_HASHES])
        hashes = {year: known for year, known in before.items() if int(year) not in years}
        hashes |= rows.year_hashes(table, content) if content.height else {}
        version = rows.version_of(hashes)
        if hashes == before:
            return _version(delta)
        if old.height and KNOWN_FROM not in old.columns:
            old = old.with_columns(pl.lit(None, dtype=rows.TIMESTAMP).alias(KNOWN_FROM))
        moment = known_at or self._clock.now()
        present, ended = knowledge.revise(table, old, content, moment)
        if ended.height:
            self._append(_ended(table), ended)
        write_deltalake(
            # On top of what was read: by its address it would be on top of what there is by now.
            delta or self._at.address(table),
            _with_year(present),
            # Where there is no table yet, another writer's first commit must not be replaced.
            mode="overwrite" if delta else "error",  # pyright: ignore[reportArgumentType]
            predicate=f"{YEAR} in ({', '.join(map(str, years))})" if delta else None,
            partition_by=[YEAR],
            schema_mode="merge" if delta else None,
            configuration=None if delta else _KEEP,
            storage_options=self._at.options,
            commit_properties=CommitProperties(
                custom_metadata={_VERSION: version, _HASHES: json.dumps(hashes, sort_keys=True)},
                # The version is that of all years: it holds only on top of what was read.
                max_commit_retries=0,
            ),
        )
        return version

    def _append(self, name: str, frame: pl.DataFrame) -> None:
        write_deltalake(
            self._at.address(name),
            _with_year(frame),
            mode="append",
            partition_by=[YEAR],
            schema_mode="merge",
            configuration=_KEEP,
            storage_options=self._at.options,
        )

    def _travel(self, table: Table, delta: DeltaTable | None, version: str) -> DeltaTable | None:
        for commit in delta.history() if delta else ():
            if commit.get(_VERSION) == version:
                return self._at.open(table, commit["version"])
        raise rows.unknown_version(table, version)


def _another_was_first(problem: BaseException) -> bool:
    exists = isinstance(problem, DeltaError) and "already exists" in str(problem)
    return exists or isinstance(problem, CommitFailedError)


def _ended(table: Table) -> str:
    return f"{table}.ended"


def _with_year(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("timestamp").dt.year().alias(YEAR))


def _version(delta: DeltaTable | None) -> str:
    return "" if delta is None else _commit_note(delta)[_VERSION]


def _years_between(
    delta: DeltaTable | None, start: datetime | None, end: datetime | None
) -> list[int]:
    if delta is None:
        return []
    known = map(int, json.loads(_commit_note(delta)[_HASHES]))
    return sorted(year for year in known if _overlaps(year, start, end))


def _overlaps(year: int, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or year >= start.year) and (end is None or year <= end.year)


def _years_of(frame: pl.DataFrame) -> list[int]:
    return frame["timestamp"].dt.year().unique().sort().to_list() if frame.height else []


def _commit_note(delta: DeltaTable) -> dict[str, str]:
    return delta.history(1)[0]
