"""Giving rows the reason why they are refused: the first that applies."""

from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def with_reasons(
    rows: pl.DataFrame, checks: Mapping[str, pl.Expr], text: pl.Expr | None = None
) -> pl.DataFrame:
    """Give a reason to rows that have none yet; earlier checks win.

    Parameters
    ----------
    checks
        Reason → where it applies.
    text
        What stands in place of the reason's name.
    """
    found = pl.col("reason") if "reason" in rows.columns else pl.lit(None, dtype=pl.String)
    for name, applies in checks.items():
        found = pl.coalesce(found, pl.when(applies).then(pl.lit(name) if text is None else text))
    return rows.with_columns(reason=found)


def refused(assessed: pl.DataFrame, dataset: str) -> pl.DataFrame:
    """Return the rows that have a reason as the quarantine table keeps them.

    ``record`` is the whole row as JSON, ``source`` where it stood (``origin``: ``file:row``).
    """
    record = pl.struct(pl.all().exclude("reason").cast(pl.String)).struct.json_encode()
    return (
        assessed.filter(pl.col("reason").is_not_null())
        .select(
            pl.col("symbol").fill_null("?"),
            pl.col("timestamp").fill_null(_EPOCH),
            pl.col("origin").alias("source"),
            "reason",
            record.alias("record"),
            dataset=pl.lit(dataset),
        )
        .sort("symbol", "timestamp", "source")
    )
