"""Since when each row is known: revisions of a table's content, as pure functions on frames."""

from datetime import datetime

import polars as pl

from adapters.time_series.rows import TIMESTAMP, refuse
from domain.errors import InvalidValue
from domain.ports.time_series import KNOWN_FROM, KNOWN_UNTIL, Table

_THERE = "_there"
_OLD = "old:"


def revise(
    table: Table, old: pl.DataFrame, content: pl.DataFrame, known_at: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `content` with `KNOWN_FROM`, and those rows of `old` that end, with `KNOWN_UNTIL`.

    A row whose values did not change keeps the instant from which it was known.

    Parameters
    ----------
    old
        The rows until now, with `KNOWN_FROM`.
    content
        All the rows from now on.

    Raises
    ------
    DataQualityError
        If a row that ends is known only since after `known_at`.
    """
    now = pl.lit(known_at, dtype=TIMESTAMP)
    if old.is_empty():
        return content.with_columns(now.alias(KNOWN_FROM)), old
    key = list(table.key)
    if content.is_empty():
        present, ended = content.with_columns(now.alias(KNOWN_FROM)), old
    else:
        before = old.select(
            *key, pl.exclude(key).name.prefix(_OLD), pl.lit(value=True).alias(_THERE)
        )
        values = {*content.columns, *old.columns} - {*key, KNOWN_FROM}
        missing = pl.lit(None)
        unchanged = pl.col(_THERE).is_not_null() & pl.all_horizontal(
            pl.lit(value=True),
            *(
                (pl.col(name) if name in content.columns else missing).eq_missing(
                    pl.col(_OLD + name) if name in old.columns else missing
                )
                for name in sorted(values)
            ),
        )
        joined = content.join(before, on=key, how="left", maintain_order="left").with_columns(
            unchanged.alias(_THERE)
        )
        since = pl.when(_THERE).then(_OLD + KNOWN_FROM).otherwise(now).alias(KNOWN_FROM)
        present = joined.select(*content.columns, since)
        ended = old.join(joined.filter(_THERE), on=key, how="anti", maintain_order="left")
    if ended.filter(pl.col(KNOWN_FROM) > now).height:
        refuse(table, f"rows are known since after {known_at.isoformat()} that these replace")
    return present, ended.with_columns(now.alias(KNOWN_UNTIL))


def all_revisions(table: Table, present: pl.DataFrame, ended: pl.DataFrame) -> pl.DataFrame:
    """Return present and ended rows as one table.

    What was noted as ended and stands nevertheless did not end: a writer was cut off between its
    two steps, and when it ended at last was noted later.
    """
    holding = present.with_columns(pl.lit(None, dtype=TIMESTAMP).alias(KNOWN_UNTIL))
    if ended.is_empty():
        return holding
    row = [*table.key, KNOWN_FROM]
    past = ended.sort(KNOWN_UNTIL).unique(row, keep="last", maintain_order=True)
    if present.height:
        past = past.join(present, on=row, how="anti", nulls_equal=True)
    return pl.concat([holding, past], how="diagonal").sort(*table.key, KNOWN_FROM, nulls_last=False)


def known(revisions: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    """Return the rows that were known at `moment`, without the times of knowledge."""
    if revisions.is_empty():
        return revisions.drop(KNOWN_FROM, KNOWN_UNTIL, strict=False)
    since, until = pl.col(KNOWN_FROM), pl.col(KNOWN_UNTIL)
    holds = (since.is_null() | (since <= moment)) & (until.is_null() | (until > moment))
    return revisions.filter(holds).drop(KNOWN_FROM, KNOWN_UNTIL)


def demand_one(version: str | None, known_at: datetime | None) -> None:
    """Refuse to read by version and by knowledge at once."""
    if version is not None and known_at is not None:
        raise InvalidValue(
            "A version and an instant of knowledge were both asked for.",
            next_step="Give one of the two.",
        )
