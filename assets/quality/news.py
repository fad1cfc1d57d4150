"""Which headlines can be read, and how many of them say the same."""

from datetime import datetime
from typing import NamedTuple

import polars as pl

from assets.quality.reasons import with_reasons

SHORTEST, LONGEST = 3, 1000
KEY = ("symbol", "timestamp", "headline")


class Crowding(NamedTuple):
    """How one-sided a stream of headlines is: shares of all of them."""

    repeated: int
    largest_symbol: str
    largest_share: float


def assess_news(news: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Return headlines (symbol, timestamp, headline, source) with their `reason`, null if good."""
    length = pl.col("headline").str.strip_chars().str.len_chars()
    assessed = with_reasons(
        news,
        {
            "missing_value": pl.any_horizontal(pl.col(name).is_null() for name in KEY)
            | (pl.col("symbol") == ""),
            "too_short": length < SHORTEST,
            "too_long": length > LONGEST,
            "from_the_future": pl.col("timestamp") > now,
        },
    )
    good = pl.col("reason").is_null()
    again = ~pl.int_range(pl.len()).over(*KEY, good).eq(0)
    return with_reasons(assessed, {"repeated_row": good & again})


def crowding(news: pl.DataFrame) -> Crowding:
    """Return how many headlines repeat an earlier text, and which symbol has the most."""
    if news.is_empty():
        return Crowding(0, "", 0.0)
    symbol, count = news["symbol"].value_counts(sort=True).row(0)
    return Crowding(news.height - news["headline"].n_unique(), symbol, count / news.height)
