"""From the source's files to bars that can be trusted, and headlines."""

from datetime import UTC, date, datetime

import dagster as dg
import polars as pl

from adapters.market_data.folder import RAW_SCHEMA, FolderMarketData
from adapters.market_data.sessions import session_closes
from adapters.time_series.rows import content_hash
from assets.bar_quality import assess, good_bars, quarantined
from assets.code_version import code_version
from assets.metadata import frame_metadata, line_plot, schema_of, table
from assets.partitions import FIRST_MONTH, MONTHS, ONE_RUN, say_of_each_month
from assets.sample_news import sample_news
from domain.ports.time_series import Table
from domain.settings import Settings

_GROUP = "ingestion"
_OWNERS = ["team:market-data"]
_BARS = {
    "symbol": "String",
    "timestamp": "Datetime(us, UTC)",
    **dict.fromkeys(("open", "high", "low", "close", "volume", "raw_close"), "Float64"),
    "source": "String",
}
_MEANING = {
    "symbol": "the exchange's ticker",
    "timestamp": "the bar's close: the end of the exchange's session",
    **dict.fromkeys(("open", "high", "low", "close"), "adjusted for splits and dividends"),
    "volume": "adjusted inversely to the prices",
    "raw_close": "as printed that day",
    "source": "file it came from",
}


@dg.asset(
    group_name=_GROUP,
    owners=_OWNERS,
    kinds={"parquet", "polars"},
    tags={"stage": "ingestion"},
    io_manager_key="files",
    code_version=code_version("adapters.market_data.folder"),
    metadata={"dagster/column_schema": schema_of(RAW_SCHEMA)},
)
def raw_bars(market_data: dg.ResourceParam[FolderMarketData]) -> dg.MaterializeResult:
    """Rows as they stand in the source's files, defects and all; the packaged sample by default."""
    frame = market_data.read()
    return _result(frame, {"rows by file": _counts(frame["source"].str.replace(r":\d+$", ""))})


@dg.asset(
    group_name=_GROUP,
    owners=_OWNERS,
    kinds={"parquet", "polars"},
    tags={"stage": "ingestion"},
    io_manager_key="files",
    code_version=code_version("assets.bar_quality", "adapters.market_data.sessions"),
)
def assessed_bars(
    raw_bars: pl.DataFrame, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """Every row with its closing instant and, if it is no good bar, the reason."""
    frame = assess(raw_bars, _sessions(raw_bars, settings.quality.exchange), settings.quality)
    closes = {
        str(key[0]): (rows["close"] / rows["close"][0]).to_list()
        for key, rows in good_bars(frame).partition_by("symbol", as_dict=True).items()
    }
    return _result(
        frame,
        {
            "reasons": _counts(frame["reason"].drop_nulls()),
            "closes": line_plot("adjusted close, first = 1", closes),
        },
    )


@dg.asset(
    group_name=_GROUP,
    owners=_OWNERS,
    kinds={"deltalake", "polars"},
    tags={"stage": "ingestion"},
    io_manager_key="tables",
    code_version=code_version("assets.bar_quality"),
    metadata={"table": Table.QUARANTINE.value},
)
def quarantine(assessed_bars: pl.DataFrame) -> dg.MaterializeResult:
    """Rows and files that are no good bars, each with the reason and what stood there."""
    frame = quarantined(assessed_bars)
    return _result(frame, {"reasons": _counts(frame["reason"])})


@dg.asset(
    group_name=_GROUP,
    owners=_OWNERS,
    kinds={"deltalake", "polars"},
    tags={"stage": "ingestion"},
    io_manager_key="tables",
    deps=[quarantine],  # what is refused is on record before anything is built on the rest
    partitions_def=MONTHS,
    backfill_policy=ONE_RUN,
    code_version=code_version("assets.bar_quality"),
    metadata={
        "table": Table.BARS.value,
        "dagster/column_schema": schema_of(_BARS, _MEANING),
    },
)
def bars(context: dg.AssetExecutionContext, assessed_bars: pl.DataFrame) -> dg.MaterializeResult:
    """Good bars, adjusted for splits and dividends; a month can be made again alone."""
    window = context.partition_time_window
    inside = pl.col("timestamp").is_between(window.start, window.end, closed="left")
    frame = good_bars(assessed_bars).filter(inside)
    say_of_each_month(context, frame)
    return dg.MaterializeResult(value=frame, data_version=dg.DataVersion(content_hash(frame)))


@dg.asset(
    group_name=_GROUP,
    owners=_OWNERS,
    kinds={"deltalake", "polars"},
    tags={"stage": "ingestion"},
    io_manager_key="tables",
    code_version=code_version("assets.sample_news"),
    metadata={"table": Table.NEWS.value},
)
def news(assessed_bars: pl.DataFrame, settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult:
    """Headlines; those of the packaged sample are invented, and your own data has none yet."""
    good = assessed_bars.filter(pl.col("reason").is_null())
    symbols = [] if settings.data_folder else good["symbol"].unique().to_list()
    first, last = good["timestamp"].min(), good["timestamp"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        first = last = datetime.fromisoformat(FIRST_MONTH).replace(tzinfo=UTC)
    return _result(sample_news(symbols, first, last, seed=settings.seed), {})


def _sessions(raw: pl.DataFrame, exchange: str) -> pl.DataFrame:
    """Return the sessions that the rows span, within the months that can be stored."""
    days = raw.select(pl.coalesce("date", pl.col("timestamp").dt.date())).to_series()
    first, last = date.fromisoformat(FIRST_MONTH), MONTHS.get_last_partition_window()
    known = days.filter(days.is_between(first, last.end.date() if last else first))
    return session_closes(exchange, known.min() or first, known.max() or first)  # type: ignore[arg-type]


def _counts(values: pl.Series) -> dg.MetadataValue:
    counted = values.value_counts(sort=True)
    return table([{values.name: value, "rows": rows} for value, rows in counted.iter_rows()])


def _result(frame: pl.DataFrame, metadata: dict[str, dg.MetadataValue]) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        value=frame,
        data_version=dg.DataVersion(content_hash(frame)),
        metadata={**frame_metadata(frame), **metadata},
    )
