"""Features: the indicators that the live agents compute, for every stored bar."""

import dagster as dg
import polars as pl

from adapters.time_series.rows import content_hash
from assets.code_version import code_version
from assets.ingestion import bars, news
from assets.metadata import schema_of
from assets.partitions import MONTHS, ONE_RUN, say_of_each_month
from domain.ports.time_series import Table, TimeSeriesStore

#: The longest memory of an indicator is 640 bars (`agents.indicators.WINDOW`): 31 months.
LOOK_BACK_MONTHS = 31
_LOOK_BACK = dg.TimeWindowPartitionMapping(
    start_offset=-LOOK_BACK_MONTHS, allow_nonexistent_upstream_partitions=True
)


@dg.asset(
    group_name="features",
    owners=["team:research"],
    kinds={"deltalake", "talib", "polars"},
    tags={"stage": "features"},
    io_manager_key="tables",
    partitions_def=MONTHS,
    backfill_policy=ONE_RUN,
    deps=[dg.AssetDep(bars, partition_mapping=_LOOK_BACK), news],
    code_version=code_version(
        "agents.indicators",
        "agents.price_history",
        "agents.sentiment.lexicon",
        "agents.sentiment.news",
    ),
    metadata={"table": Table.FEATURES.value},
)
def features(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[TimeSeriesStore]
) -> dg.MaterializeResult:
    """Causal, scale-free indicators per bar.

    They are computed on all bars up to the end of the month, so that a month made alone is the
    same, bit for bit, as within a range.
    """
    from agents.indicators import FEATURES, compute_frame  # noqa: PLC0415 - pandas by TA-Lib

    window = context.partition_time_window
    known = store.read(Table.BARS, end=window.end)
    frame = _no_rows()
    if known.height:
        inside = pl.col("timestamp").is_between(window.start, window.end, closed="left")
        frame = compute_frame(known, store.read(Table.NEWS, end=window.end)).filter(inside)
    say_of_each_month(context, frame)
    meaning = {name: indicator.description for name, indicator in FEATURES.items()}
    return dg.MaterializeResult(
        value=frame,
        data_version=dg.DataVersion(content_hash(frame)),
        metadata={"dagster/column_schema": schema_of(frame.schema, meaning)},
    )


def _no_rows() -> pl.DataFrame:
    return pl.DataFrame(schema={"symbol": pl.String, "timestamp": pl.Datetime("us", "UTC")})
