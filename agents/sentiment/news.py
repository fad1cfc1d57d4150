"""News as a feature: each headline's tone once, decayed and averaged per symbol.

The feature's tone is the lexicon's, whatever text model is deployed: stored features stay what
they were when another one is trained, and live and batch agree to the last bit.
"""

from typing import NamedTuple

import numpy as np
import polars as pl

from agents.price_history import Floats, Microseconds
from agents.sentiment.lexicon import score_headline

DAY = 86_400_000_000
#: After this many days half of a headline's weight is gone; after five half-lives all of it.
HALF_LIFE_DAYS = 2.0
MEMORY = int(5 * HALF_LIFE_DAYS * DAY)


class News(NamedTuple):
    """Headlines of one symbol as arrays, oldest first: when, and how good."""

    times: Microseconds
    scores: Floats


NO_NEWS = News(np.zeros(0, np.int64), np.zeros(0))


def news_of_frame(news: pl.DataFrame | None) -> dict[str, News]:
    """Return symbol → scored headlines; a headline that is repeated counts once, when first seen.

    Parameters
    ----------
    news
        Columns symbol, timestamp, headline; None is no news at all.
    """
    if news is None or news.is_empty():
        return {}
    first = news.sort("symbol", "timestamp", "headline").unique(
        ["symbol", "headline"], keep="first", maintain_order=True
    )
    return {
        str(key[0]): News(
            rows["timestamp"].dt.epoch("us").to_numpy(),
            np.array([score_headline(text) for text in rows["headline"].to_list()]),
        )
        for key, rows in first.partition_by("symbol", as_dict=True, maintain_order=True).items()
    }


def sentiment_at(news: News, times: Microseconds) -> Floats:
    """Return the decayed mean tone known at each instant, shrunk to 0 where there is little news.

    Each headline weighs 2^(-age / half-life); the sum is divided by the weights' sum plus one.
    """
    result = np.zeros(len(times))
    if not len(news.times):
        return result
    starts = np.searchsorted(news.times, times - MEMORY, side="right")
    ends = np.searchsorted(news.times, times, side="right")
    for row in np.flatnonzero(ends > starts):
        known = slice(starts[row], ends[row])
        age = (times[row] - news.times[known]) / DAY
        weights = 0.5 ** (age / HALF_LIFE_DAYS)
        result[row] = (weights * news.scores[known]).sum() / (weights.sum() + 1.0)
    return result
