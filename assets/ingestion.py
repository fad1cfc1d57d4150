"""From the source's files to bars that can be trusted, and headlines."""

from datetime import UTC, date, datetime

import dagster as dg
import polars as pl

from adapters.market_data.folder import RAW_SCHEMA, FolderMarketData
from adapters.market_data.own_tables import NEWS, ORDER_BOOKS, read_own
from adapters.market_data.sessions import session_closes, session_hours
from adapters.time_series.rows import content_hash
from assets.code_version import code_version
from assets.metadata import frame_metadata, line_plot, schema_of, table
from assets.partitions import FIRST_MONTH, MONTHS, ONE_RUN, say_of_each_month
from assets.quality.bars import assess, good_bars, quarantined
from assets.quality.feeds import outside_session
from assets.quality.news import assess_news
from assets.quality.order_books import assess_books
from assets.quality.reasons import refused, with_reasons
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
_QUOTES = {"symbol": pl.String, "timestamp": pl.Datetime("us", "UTC"), "origin": pl.String}
_NEWS = pl.Schema(
    {
        "symbol": pl.String,
        "timestamp": pl.Datetime("us", "UTC"),
        "headline": pl.String,
        "source": pl.String,
    }
)
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
    code_version=code_version(
        "assets.quality.bars",
        "assets.quality.corporate_actions",
        "adapters.market_data.sessions",
    ),
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
    kinds={"parquet", "polars"},
    tags={"stage": "ingestion"},
    io_manager_key="files",
    code_version=code_version("assets.sample_news", "assets.quality.news"),
)
def assessed_news(
    assessed_bars: pl.DataFrame, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """Every headline and, if it can't be read, the reason; those of the sample are invented."""
    if settings.data_folder:
        found = read_own(settings.data_folder / NEWS, ["headline"])
        given = found if found.height else pl.DataFrame(schema={**_NEWS, "origin": pl.String})
        if "source" not in given.columns:
            given = given.with_columns(source=pl.col("origin").str.replace(r":\d+$", ""))
    else:
        good = assessed_bars.filter(pl.col("reason").is_null())
        given = _invented(good, settings.seed).with_columns(origin=pl.lit("sample"))
    frame = assess_news(given, datetime.now(UTC))
    return _result(frame, {"reasons": _counts(frame["reason"].drop_nulls())})


@dg.asset(
    group_name=_GROUP,
    owners=_OWNERS,
    kinds={"parquet", "polars"},
    tags={"stage": "ingestion"},
    io_manager_key="files",
    code_version=code_version("assets.quality.order_books"),
)
def assessed_order_books(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult:
    """Every snapshot of an order book of your own data and, if it can't be, the reason."""
    best = ["bid_px_0", "bid_sz_0", "ask_px_0", "ask_sz_0"]
    folder = settings.data_folder
    books = read_own(folder / ORDER_BOOKS, best) if folder else pl.DataFrame()
    if books.is_empty():
        books = pl.DataFrame(schema=_QUOTES | dict.fromkeys(best, pl.Float64))
    frame = assess_books(books)
    if not settings.quality.regular_hours_only or not frame.height:
        return _result(frame, {})
    days = frame["timestamp"].dt.date().drop_nulls()
    hours = session_hours(settings.quality.exchange, days.min(), days.max())  # type: ignore[arg-type]
    moment = pl.col("timestamp")
    outside = {"outside_regular_hours": outside_session(moment, hours, includes_close=True)}
    return _result(with_reasons(frame, outside), {})


@dg.asset(
    group_name=_GROUP,
    owners=_OWNERS,
    kinds={"deltalake", "polars"},
    tags={"stage": "ingestion"},
    io_manager_key="tables",
    code_version=code_version("assets.quality"),
    metadata={"table": Table.QUARANTINE.value},
)
def quarantine(
    assessed_bars: pl.DataFrame,
    assessed_news: pl.DataFrame,
    assessed_order_books: pl.DataFrame,
) -> dg.MaterializeResult:
    """Rows and files that are refused, each with the reason and what stood there."""
    others = (("news", assessed_news), ("order_books", assessed_order_books))
    frame = pl.concat([quarantined(assessed_bars), *(refused(rows, name) for name, rows in others)])
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
    code_version=code_version("assets.quality.bars"),
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
    deps=[quarantine],
    code_version=code_version("assets.sample_news", "assets.quality.news"),
    metadata={"table": Table.NEWS.value},
)
def news(assessed_news: pl.DataFrame) -> dg.MaterializeResult:
    """Headlines that can be read; those of the packaged sample are invented."""
    good = assessed_news.filter(pl.col("reason").is_null())
    return _result(good.select(_NEWS.names()).sort("symbol", "timestamp", "headline"), {})


@dg.asset(
    group_name=_GROUP,
    owners=_OWNERS,
    kinds={"deltalake", "polars"},
    tags={"stage": "ingestion"},
    io_manager_key="tables",
    deps=[quarantine],
    code_version=code_version("assets.quality.order_books"),
    metadata={"table": Table.QUOTES.value},
)
def order_books(assessed_order_books: pl.DataFrame) -> dg.MaterializeResult:
    """Snapshots of order books that can be; the packaged sample has none."""
    good = assessed_order_books.filter(pl.col("reason").is_null())
    return _result(good.drop("reason", "origin").sort("symbol", "timestamp"), {})


def _invented(good: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the headlines of the packaged sample."""
    first, last = good["timestamp"].min(), good["timestamp"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        first = last = datetime.fromisoformat(FIRST_MONTH).replace(tzinfo=UTC)
    return sample_news(good["symbol"].unique().to_list(), first, last, seed=seed)


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
