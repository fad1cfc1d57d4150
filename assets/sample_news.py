"""Headlines for the packaged sample, made by a seeded generator.

**They are invented, and correlated with nothing**: neither with prices nor with events. They let
the news path run end to end without a licence; a model that finds value in them has found noise.
The same seed, symbol and month give the same headlines, whatever else is generated.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

import numpy as np
import polars as pl

SOURCE = "sample generator (invented)"
HEADLINES_PER_MONTH = 4.0

_SUBJECTS = ("", "Analysts: ", "Report: ", "In brief: ", "Sector note: ")
_PREDICATES = (
    "{symbol} beats estimates for the quarter",
    "{symbol} misses estimates for the quarter",
    "{symbol} raises its outlook",
    "{symbol} cuts its outlook",
    "{symbol} wins a large contract",
    "{symbol} loses a large contract",
    "{symbol} faces a lawsuit over patents",
    "{symbol} settles a lawsuit over patents",
    "{symbol} announces a buyback",
    "{symbol} delays a product",
    "{symbol} unveils a new product",
    "{symbol} names a new finance chief",
    "{symbol} rated higher on strong demand",
    "{symbol} rated lower on weak demand",
    "{symbol} to present at an industry conference",
)
_SCHEMA = {
    "symbol": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "headline": pl.String,
    "source": pl.String,
}


def sample_news(
    symbols: Sequence[str], first: datetime, last: datetime, *, seed: int
) -> pl.DataFrame:
    """Return headlines with first ≤ timestamp ≤ last, sorted by symbol, timestamp, headline.

    Per symbol and month a Poisson number of headlines (mean `HEADLINES_PER_MONTH`) at uniformly
    drawn minutes, each a template drawn at random.
    """
    months = pl.datetime_range(
        first.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
        last,
        interval="1mo",
        time_zone="UTC",
        eager=True,
    )
    rows = [
        row for symbol in sorted(symbols) for month in months for row in _month(symbol, month, seed)
    ]
    frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    return frame.filter(pl.col("timestamp").is_between(first, last)).sort(
        "symbol", "timestamp", "headline"
    )


def _month(symbol: str, month: datetime, seed: int) -> list[tuple[str, datetime, str, str]]:
    digest = sha256(f"{seed}/{symbol}/{month:%Y-%m}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    minutes = np.sort(random.choice(28 * 24 * 60, size=random.poisson(HEADLINES_PER_MONTH)))
    start = int(month.timestamp())
    return [
        (
            symbol,
            datetime.fromtimestamp(start + int(minute) * 60, UTC),
            _headline(random, symbol, f"{month:%B %Y}, {number}"),
            SOURCE,
        )
        for number, minute in enumerate(minutes, start=1)
    ]


def _headline(random: np.random.Generator, symbol: str, when: str) -> str:
    return (
        f"{_drawn(random, _SUBJECTS)}{_drawn(random, _PREDICATES).format(symbol=symbol)} ({when})"
    )


def _drawn(random: np.random.Generator, texts: Sequence[str]) -> str:
    return texts[int(random.integers(len(texts)))]
