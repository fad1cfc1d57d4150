"""The time-series store on InfluxDB 2: one measurement a table, read back by Flux.

InfluxDB replaces points and keeps no versions: what rows end goes to a second measurement, so
what was known at an instant can be read, but of versions only the present one. What a table holds
(types, hash of each year, version) is a point of its own, written last. InfluxDB has no
transactions: a write that was cut off is made whole by making it again.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl

from adapters.clock import SystemClock
from adapters.locks import owned_lock
from adapters.time_series import influx_points as points
from adapters.time_series import knowledge, rows
from adapters.time_series.influx_access import InfluxAccess
from domain.errors import DataQualityError
from domain.ports.clock import Clock
from domain.ports.time_series import KNOWN_FROM, Table

STATE = "quorum_table"
_PATIENCE_SECONDS = 300.0
#: What nanoseconds in 64 bits can hold.
_FIRST, _LAST = datetime(1678, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _State(NamedTuple):
    """What a table holds: the names of its types by column, the hash of each year."""

    types: dict[str, str]
    hashes: dict[str, str]

    @property
    def version(self) -> str:
        return rows.version_of(self.hashes) if self.types else ""


class InfluxTimeSeries:
    """Tables in one bucket.

    Parameters
    ----------
    lock_folder
        Where this machine's writers hold each other off.
    retention_days
        How long the bucket keeps a point; 0 is for ever.
    """

    def __init__(
        self,
        access: InfluxAccess,
        lock_folder: Path,
        *,
        retention_days: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self._access = access
        self._locks = lock_folder
        self._retention_days = retention_days
        self._clock = clock or SystemClock()

    def write(self, table: Table, frame: pl.DataFrame, *, known_at: datetime | None = None) -> str:
        """Insert or replace rows by key; see `domain.ports.time_series`."""
        with self._lock(table):
            state = self._state(table)
            new = rows.checked(table, frame, points.types_of(state.types))
            if new.is_empty():
                return state.version
            start, end = _years(new)
            old = self._scan(table, state, start, end)
            content = rows.merged(table, old.drop(KNOWN_FROM, strict=False), new)
            return self._change(table, state, old, content, known_at)

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
        with self._lock(table):
            state = self._state(table)
            new = frame.clear()
            if frame.height:
                new = rows.checked(table, frame, points.types_of(state.types))
                rows.within(table, new, start, end)
            years = [int(year) for year in state.hashes if start.year <= int(year) <= end.year]
            years += new["timestamp"].dt.year().unique().to_list() if new.height else []
            if not years:
                return state.version
            first, after = _begin(min(years)), _begin(max(years) + 1)
            old = self._scan(table, state, first, after)
            outside = old.drop(KNOWN_FROM, strict=False)
            if outside.height:
                inside = (pl.col("timestamp") >= start) & (pl.col("timestamp") < end)
                outside = outside.filter(~inside)
            content = rows.merged(table, outside, new) if new.height else outside
            return self._change(table, state, old, content, known_at)

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
        state = self._state(table)
        if version is not None and version != state.version:
            raise DataQualityError(
                f"InfluxDB keeps only the present version of {table}, not {version}.",
                next_step="Read it from the Delta tables.",
            )
        if not state.types:
            return pl.DataFrame()
        frame = self._scan(table, state, start, end, symbols)
        return rows.select(table, frame.drop(KNOWN_FROM, strict=False), None, start, end)

    def revisions(
        self, table: Table, *, start: datetime | None = None, end: datetime | None = None
    ) -> pl.DataFrame:
        """Return every row that was ever known; see `domain.ports.time_series`."""
        state = self._state(table)
        if not state.types:
            return pl.DataFrame()
        present = self._scan(table, state, start, end)
        ended = self._scan(table, state, start, end, measurement=_ended(table))
        return rows.between(knowledge.all_revisions(table, present, ended), start, end)

    def version(self, table: Table) -> str:
        """Return the present version."""
        return self._state(table).version

    def _lock(self, table: Table):  # noqa: ANN202 - contextlib's own type is private
        return owned_lock(
            self._locks / f"influxdb.{table}.lock",
            patience_seconds=_PATIENCE_SECONDS,
            purpose=f"writing the table {table}",
        )

    def _change(
        self,
        table: Table,
        state: _State,
        old: pl.DataFrame,
        content: pl.DataFrame,
        known_at: datetime | None,
    ) -> str:
        """Make `content` what stands where `old` stood: whole years."""
        types = state.types | points.type_names(table, content.schema)
        years = {*_year_names(old), *_year_names(content)}
        hashes = {year: known for year, known in state.hashes.items() if year not in years}
        hashes |= rows.year_hashes(table, content) if content.height else {}
        after = _State(types, hashes)
        if after.version == state.version:
            return state.version
        moment = known_at or self._clock.now()
        present, ended = knowledge.revise(table, old, content, moment)
        changed = present
        if old.height:
            row = [*table.key, KNOWN_FROM]
            changed = present.join(old, on=row, how="anti", nulls_equal=True)
        self._demand_kept(table, changed)
        self._access.write(points.lines(table, _ended(table), ended) if ended.height else [])
        self._access.write(points.lines(table, table.value, changed) if changed.height else [])
        gone = ended
        if ended.height and content.height:
            gone = ended.join(content, on=list(table.key), how="anti")
        for row in gone.iter_rows(named=True):
            self._delete(table, row, row["timestamp"])
        self._access.write([_state_line(table, after, self._clock.now())])
        return after.version

    def _demand_kept(self, table: Table, frame: pl.DataFrame) -> None:
        """Refuse what the bucket would drop in silence."""
        if not self._retention_days or frame.is_empty():
            return
        oldest = self._clock.now() - timedelta(days=self._retention_days)
        if lost := frame.filter(pl.col("timestamp") < oldest).height:
            rows.refuse(table, f"{lost} are older than the {self._retention_days} days kept")

    def _delete(self, table: Table, row: Mapping[str, object], moment: datetime) -> None:
        predicate = f'_measurement="{table}" AND symbol={_quoted(str(row["symbol"]))}'
        if tag := points.row_hash(table, row):
            predicate += f' AND row="{tag}"'
        microsecond = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        self._access.delete(f"{microsecond}000Z", f"{microsecond}001Z", predicate)

    def _scan(
        self,
        table: Table,
        state: _State,
        start: datetime | None,
        end: datetime | None,
        symbols: Sequence[str] | None = None,
        *,
        measurement: str | None = None,
    ) -> pl.DataFrame:
        """Return rows with `KNOWN_FROM` (and, of ended ones, `KNOWN_UNTIL`)."""
        if not state.types:
            return pl.DataFrame()
        first, after = max(start or _FIRST, _FIRST), min(end or _LAST, _LAST)
        types = points.types_of(state.types)
        if first >= after:
            return points.frame_of("", types)
        flux = [_from(self._access.bucket, first, after, measurement or table.value)]
        if symbols is not None:
            wanted = " or ".join(f"r.symbol == {_quoted(each)}" for each in symbols)
            flux.append(f"filter(fn: (r) => {wanted or 'false'})")
        flux.append(_ROWS)
        return points.frame_of(self._access.query("\n  |> ".join(flux)), types)

    def _state(self, table: Table) -> _State:
        begin = datetime(1970, 1, 1, tzinfo=UTC)
        flux = [
            _from(self._access.bucket, begin, _LAST, STATE),
            f"filter(fn: (r) => r.symbol == {_quoted(table.value)})",
            "last()",
            _ROWS,
        ]
        for header, _, found in points.blocks(self._access.query("\n  |> ".join(flux))):
            row = dict(zip(header, found[-1], strict=True))
            return _State(json.loads(row["types"]), json.loads(row["years"]))
        return _State({}, {})


#: One row per point, its fields as columns, all series in one table.
_ROWS = (
    'drop(columns: ["_start", "_stop", "_measurement"])\n'
    '  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")\n'
    "  |> group()"
)


def _from(bucket: str, start: datetime, stop: datetime, measurement: str) -> str:
    return (
        f"from(bucket: {_quoted(bucket)})\n"
        f"  |> range(start: {_instant(start)}, stop: {_instant(stop)})\n"
        f"  |> filter(fn: (r) => r._measurement == {_quoted(measurement)})"
    )


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'"{escaped}"'


def _state_line(table: Table, state: _State, moment: datetime) -> str:
    def field(value: Mapping[str, str]) -> str:
        text = json.dumps(value).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'

    nanoseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND * 1000
    fields = f"types={field(state.types)},years={field(state.hashes)}"
    return f"{STATE},symbol={table} {fields} {nanoseconds}"


def _ended(table: Table) -> str:
    return f"{table}_ended"


def _begin(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def _years(frame: pl.DataFrame) -> tuple[datetime, datetime]:
    years = frame["timestamp"].dt.year()
    return _begin(years.min()), _begin(years.max() + 1)  # type: ignore[arg-type, operator]


def _year_names(frame: pl.DataFrame) -> set[str]:
    return set(frame["timestamp"].dt.year().cast(pl.String)) if frame.height else set()
