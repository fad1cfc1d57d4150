"""Months: bars and features are re-made a month at a time, or a range of months in one run."""

import warnings

import dagster as dg
import polars as pl

from adapters.time_series.rows import content_hash

# Backfill policies are marked beta at our version of Dagster; we know.
warnings.filterwarnings("ignore", message=r".*`backfill_policy`")
warnings.filterwarnings("ignore", message=r".*`allow_nonexistent_upstream_partitions`")

#: A source has no rows in months before its own first; rows before this one are quarantined.
FIRST_MONTH = "1990-01-01"
#: The month that is under way is a partition too: live bars go there.
MONTHS = dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, end_offset=1)
ONE_RUN = dg.BackfillPolicy.single_run()


def say_of_each_month(context: dg.AssetExecutionContext, frame: pl.DataFrame) -> None:
    """Record each month's rows and hash; a run over a range has one data version for all of it."""
    months = frame.with_columns(_month=pl.col("timestamp").dt.strftime("%Y-%m-01")).partition_by(
        "_month", as_dict=True, include_key=False
    )
    for key in context.partition_keys:
        rows = months.get((key,), frame.clear())
        context.add_asset_metadata(
            {"dagster/row_count": rows.height, "sha256": content_hash(rows)},
            asset_key=context.asset_key,
            partition_key=key,
        )
