"""Headline sentiment: a small lexicon, negation, and a decayed aggregate per symbol."""

import re
from typing import NamedTuple

import numpy as np
import polars as pl

from agents.price_history import Floats, Microseconds

_DAY = 86_400_000_000
#: After this many days half of a headline's weight is gone; after five half-lives all of it.
HALF_LIFE_DAYS = 2.0
_MEMORY = int(5 * HALF_LIFE_DAYS * _DAY)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_POSITIVE = _words(
    """
    accelerate accelerates achieve approval approved beat beats best boost boosts breakthrough
    buyback climb climbs dividend exceed exceeds expand expands expansion gain gains grow
    growing grows growth high higher improve improved improves jump jumps lead leads
    outperform outperforms partnership profit profitable profits raise raised raises rallies
    rally rebound rebounds record rise rises rising soar soars strong stronger surge surges
    top tops upbeat upgrade upgraded upgrades win wins won
    """
)
_NEGATIVE = _words(
    """
    bankruptcy concern concerns crash cut cuts decline declines default delay delayed delays
    disappoint disappointing disappoints down downgrade downgraded downgrades drop drops fail
    fails fall falling falls fear fears fine fined fraud halt halts investigation lawsuit
    layoff layoffs lose loses loss losses low lower miss misses plunge plunges probe recall
    recalls scandal shrink shrinks sink sinks slow slows slump slumps sue sues tumble tumbles
    warn warning warns weak weaker worst
    """
)
_NEGATIONS = _words(
    """
    can't didn't doesn't hardly isn't never no not without won't
    """
)
_WORD = re.compile(r"[a-z']+")


class News(NamedTuple):
    """Headlines of one symbol as arrays, oldest first: when, and how good."""

    times: Microseconds
    scores: Floats


NO_NEWS = News(np.zeros(0, np.int64), np.zeros(0))


def score_headline(text: str) -> float:
    """Return the tone of a headline, -1 … 1: (good - bad words) / (good + bad words + 1)."""
    good = bad = 0
    negated = False
    for word in _WORD.findall(text.lower()):
        if word in _NEGATIONS:
            negated = True
            continue
        if word in _POSITIVE or word in _NEGATIVE:
            is_good = (word in _POSITIVE) != negated
            good, bad = good + is_good, bad + (not is_good)
            negated = False
    return (good - bad) / (good + bad + 1)


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
    starts = np.searchsorted(news.times, times - _MEMORY, side="right")
    ends = np.searchsorted(news.times, times, side="right")
    for row in np.flatnonzero(ends > starts):
        known = slice(starts[row], ends[row])
        age = (times[row] - news.times[known]) / _DAY
        weights = 0.5 ** (age / HALF_LIFE_DAYS)
        result[row] = (weights * news.scores[known]).sum() / (weights.sum() + 1.0)
    return result
