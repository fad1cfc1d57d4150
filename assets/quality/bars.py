"""Which rows of a source are bars and which are not, and why.

Every row ends up either among the bars or in quarantine with one reason, the first that applies
in the order of the checks below. Nothing is repaired. Prices before a split that they are not
adjusted for are on another scale than those after, so they are refused, and only they.
"""

from datetime import UTC, datetime

import polars as pl

from adapters.market_data.folder import PRICES
from assets.quality.corporate_actions import unadjusted_splits
from assets.quality.reasons import with_reasons
from domain.settings import QualitySettings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEY = ["symbol", "timestamp"]
_VALUES = [*PRICES, "adj_close", "volume"]
_POSITIVE = [*PRICES, "adj_close"]

#: Reason → rows it applies to, on values alone.
_IMPOSSIBLE = {
    "missing_value": pl.any_horizontal(
        pl.col(n).is_null() | ~pl.col(n).is_finite() for n in _VALUES
    ),
    "price_not_positive": pl.any_horizontal(pl.col(n) <= 0 for n in _POSITIVE),
    "negative_volume": pl.col("volume") < 0,
    "high_below_low": pl.col("high") < pl.col("low"),
    "high_below_open_or_close": pl.col("high") < pl.max_horizontal("open", "close"),
    "low_above_open_or_close": pl.col("low") > pl.min_horizontal("open", "close"),
}


def assess(raw: pl.DataFrame, sessions: pl.DataFrame, limits: QualitySettings) -> pl.DataFrame:
    """Return `raw` (`RAW_SCHEMA`) with each row's closing instant and its `reason`, null if good.

    Parameters
    ----------
    raw
        Rows as read from the source, in the source's order.
    sessions
        The exchange's sessions: `date` and `close`.
    limits
        From how many missing sessions on a whole symbol is withheld.
    """
    rows = _at_close(raw, sessions)
    rows = with_reasons(rows, {"": pl.col("defect").is_not_null()}, pl.col("defect"))
    rows = with_reasons(rows, _IMPOSSIBLE)
    day = pl.coalesce("date", pl.col("timestamp").dt.date())
    rows = with_reasons(
        rows,
        {
            "outside_calendar": ~day.is_between(sessions["date"].min(), sessions["date"].max()),
            "not_a_session": pl.col("timestamp").is_null(),
            "not_at_session_close": pl.col("_off_close"),
        },
    )
    rows = with_reasons(rows, {"out_of_order": _steps_back()})
    rows = with_reasons(rows, _duplicates())
    rows = with_reasons(rows, {"before_unadjusted_split": _on_an_older_scale(rows)})
    withheld = holes(rows.filter(pl.col("reason").is_null()), sessions).filter(
        (pl.col("missing") > limits.maximum_missing_fraction * pl.col("sessions"))
        | (pl.col("longest_gap") > limits.maximum_gap_sessions)
    )
    rows = with_reasons(
        rows, {"symbol_withheld": pl.col("symbol").is_in(withheld["symbol"].to_list())}
    )
    return rows.drop("_off_close", "defect")


def holes(bars: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Return per symbol its `sessions` from first to last bar, those `missing`, `longest_gap`."""
    numbered = sessions.select(timestamp="close").with_row_index("_session")
    return (
        bars.select(_KEY)
        .join(numbered, on="timestamp")
        .sort("symbol", "_session")
        .with_columns(_gap=pl.col("_session").cast(pl.Int64).diff().over("symbol") - 1)
        .group_by("symbol")
        .agg(
            sessions=(pl.col("_session").max() - pl.col("_session").min() + 1).cast(pl.Int64),
            missing=pl.col("_gap").sum(),
            longest_gap=pl.col("_gap").max().fill_null(0),
        )
        .sort("symbol")
    )


def good_bars(assessed: pl.DataFrame) -> pl.DataFrame:
    """Return the good rows as bars, adjusted for splits and dividends, sorted by key."""
    factor = pl.col("adj_close") / pl.col("close")
    return (
        assessed.filter(pl.col("reason").is_null())
        .select(
            "symbol",
            "timestamp",
            *((pl.col(name) * factor).alias(name) for name in PRICES),
            volume=pl.col("volume") / factor,
            raw_close=pl.col("close"),
            source=pl.col("source").str.replace(r":\d+$", ""),
        )
        .sort(_KEY)
    )


def quarantined(assessed: pl.DataFrame) -> pl.DataFrame:
    """Return the refused rows and files as the quarantine table keeps them."""
    midnight = pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return (
        assessed.filter(pl.col("reason").is_not_null())
        .select(
            pl.col("symbol").fill_null("?"),
            pl.coalesce("timestamp", midnight, _EPOCH).alias("timestamp"),
            "source",
            "reason",
            "record",
            dataset=pl.lit("bars"),
        )
        .sort(*_KEY, "source")
    )


def _at_close(raw: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Put every row at its session's close; a row that gives an instant must be there already."""
    closes = set(sessions["close"])
    return (
        raw.join(sessions, on="date", how="left", maintain_order="left")
        .with_columns(
            timestamp=pl.coalesce("timestamp", "close_right"),
            _off_close=pl.col("timestamp").is_not_null()
            & ~pl.col("timestamp").is_in(sorted(closes)),
            reason=pl.lit(None, dtype=pl.String),
        )
        .drop("close_right")
    )


def _steps_back() -> pl.Expr:
    """Among rows good so far: stands after a later bar of the same symbol in the same file."""
    moment = pl.when(pl.col("reason").is_null()).then(pl.col("timestamp"))
    latest_before = moment.cum_max().forward_fill().shift(1)
    file = pl.col("source").str.replace(r":\d+$", "")
    return (moment < latest_before.over("symbol", file)).fill_null(value=False)


def _on_an_older_scale(rows: pl.DataFrame) -> pl.Expr:
    """Good so far, but before a split that the prices are not adjusted for."""
    factor = pl.col("adj_close") / pl.col("close")
    good = rows.filter(pl.col("reason").is_null())
    splits = unadjusted_splits(good.with_columns(pl.col(name) * factor for name in PRICES))
    last = splits.group_by("symbol").agg(pl.col("timestamp").max())
    since = dict(last.iter_rows())
    scale = pl.col("symbol").replace_strict(
        since, default=None, return_dtype=pl.Datetime("us", "UTC")
    )
    return pl.col("reason").is_null() & (pl.col("timestamp") < scale).fill_null(value=False)


def _duplicates() -> dict[str, pl.Expr]:
    good = pl.col("reason").is_null()
    differ = pl.any_horizontal(pl.col(name).n_unique().over(*_KEY, good) > 1 for name in _VALUES)
    return {
        "conflicting_rows": good & differ,
        "repeated_row": good & ~pl.int_range(pl.len()).over(*_KEY, good).eq(0),
    }
