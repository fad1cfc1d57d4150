"""Invented headlines: the same again from the same seed, a month alone or within a range."""

from datetime import UTC, datetime

import polars as pl

from assets.sample_news import HEADLINES_PER_MONTH, SOURCE, sample_news

START, END = datetime(2010, 1, 1, tzinfo=UTC), datetime(2012, 12, 31, 23, 59, tzinfo=UTC)
ALL = sample_news(["MSFT", "AAPL"], START, END, seed=7)


def test_the_same_seed_gives_the_same_headlines():
    assert sample_news(["AAPL", "MSFT"], START, END, seed=7).equals(ALL)
    assert not sample_news(["AAPL", "MSFT"], START, END, seed=8).equals(ALL)


def test_a_month_alone_is_the_month_within_the_range():
    first, last = datetime(2011, 5, 1, tzinfo=UTC), datetime(2011, 5, 31, tzinfo=UTC)
    inside = pl.col("timestamp").is_between(first, last)
    assert sample_news(["AAPL", "MSFT"], first, last, seed=7).equals(ALL.filter(inside))


def test_they_are_marked_as_invented_unique_and_about_as_many_as_said():
    assert set(ALL["source"]) == {SOURCE}
    assert "invented" in SOURCE
    assert not ALL.select("symbol", "timestamp", "headline").is_duplicated().any()
    assert abs(ALL.height / (2 * 36) - HEADLINES_PER_MONTH) < 0.8


def test_no_symbols_no_headlines():
    assert sample_news([], START, END, seed=7).is_empty()
