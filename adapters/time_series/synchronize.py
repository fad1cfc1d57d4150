"""Filling one store from another: what was known when is lived through again, in order."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl

from domain.ports.time_series import KNOWN_FROM, KNOWN_UNTIL, Table, TimeSeriesStore

#: When rows became known whose time of knowledge wasn't kept.
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class Synchronized(NamedTuple):
    """What became of one table.

    Parameters
    ----------
    written
        Rows that the target was given.
    replayed
        Instants of knowledge that it lived through.
    diverged
        Whether it held something else than the source's past, and was made equal in one step.
    same
        Whether both now have the same version.
    """

    table: Table
    written: int
    replayed: int
    diverged: bool
    same: bool


def synchronize(
    source: TimeSeriesStore, target: TimeSeriesStore, tables: Iterable[Table] = Table
) -> list[Synchronized]:
    """Make the tables of `target` what those of `source` are, and what they were.

    Every instant that the source learned something is repeated, unless the target has lived it
    already; so a backfill and the daily step are the same call, and one that was cut off goes on.
    """
    return [_table(source, target, table) for table in tables]


def _table(source: TimeSeriesStore, target: TimeSeriesStore, table: Table) -> Synchronized:
    wanted = source.version(table)
    if not wanted or wanted == target.version(table):
        return Synchronized(table, 0, 0, diverged=False, same=wanted == target.version(table))
    revisions = source.revisions(table).with_columns(pl.col(KNOWN_FROM).fill_null(_EVER))
    lived = _latest(target.revisions(table))
    instants = [each for each in _instants(revisions) if lived is None or each >= lived]
    written = 0
    for moment in instants:
        written += _live_through(target, table, revisions, moment)
    diverged = target.version(table) != wanted
    if diverged:
        written += _make_equal(source, target, table)
    return Synchronized(
        table, written, len(instants), diverged, same=target.version(table) == wanted
    )


def _live_through(
    target: TimeSeriesStore, table: Table, revisions: pl.DataFrame, moment: datetime
) -> int:
    """Write what became known at an instant, and take away what ended without a successor."""
    new = revisions.filter(pl.col(KNOWN_FROM) == moment).drop(KNOWN_FROM, KNOWN_UNTIL)
    if new.height:
        target.write(table, new, known_at=moment)
    ended = revisions.filter(pl.col(KNOWN_UNTIL) == moment)
    gone = ended.join(new, on=list(table.key), how="anti")
    for (instant,), rows in gone.group_by("timestamp", maintain_order=True):
        if not isinstance(instant, datetime):  # a group's key has no narrower type
            continue
        after = instant + timedelta(microseconds=1)
        there = target.read(table, start=instant, end=after)
        left = there.join(rows, on=list(table.key), how="anti") if there.height else there
        target.replace(table, left, start=instant, end=after, known_at=moment)
    return new.height


def _make_equal(source: TimeSeriesStore, target: TimeSeriesStore, table: Table) -> int:
    content = source.read(table)
    begin, end = _years(content, target.read(table))
    target.replace(table, content, start=begin, end=end)
    return content.height


def _years(*frames: pl.DataFrame) -> tuple[datetime, datetime]:
    years = [year for frame in frames if frame.height for year in frame["timestamp"].dt.year()]
    first, last = min(years), max(years)
    zone = next(frame for frame in frames if frame.height)["timestamp"][0].tzinfo
    return datetime(first, 1, 1, tzinfo=zone), datetime(last + 1, 1, 1, tzinfo=zone)


def _instants(revisions: pl.DataFrame) -> Sequence[datetime]:
    both = pl.concat([revisions[KNOWN_FROM], revisions[KNOWN_UNTIL]])
    return both.drop_nulls().unique().sort().to_list()


def _latest(revisions: pl.DataFrame) -> datetime | None:
    if revisions.is_empty():
        return None
    both = pl.concat([revisions[KNOWN_FROM], revisions[KNOWN_UNTIL]]).drop_nulls()
    return both.max() if len(both) else None  # type: ignore[return-value]
