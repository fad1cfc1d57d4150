from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from agents.price_history import to_microseconds
from agents.sentiment.lexicon import score_headline
from agents.sentiment.news import HALF_LIFE_DAYS, news_of_frame, sentiment_at

NOON = datetime(2021, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("Shares surge as profit beats forecast", 1),
        ("Shares plunge after fraud probe", -1),
        ("Sales do not grow", -1),
        ("No fear of a slump", 0),
        ("Company holds annual meeting", 0),
        ("", 0),
    ],
)
def test_a_headline_has_the_tone_of_its_words(text, sign):
    assert np.sign(score_headline(text)) == sign
    assert abs(score_headline(text)) < 1


def frame(*rows):
    return pl.DataFrame(
        [("AAA", at, text, "test") for at, text in rows],
        schema={
            "symbol": pl.String,
            "timestamp": pl.Datetime("us", "UTC"),
            "headline": pl.String,
            "source": pl.String,
        },
        orient="row",
    )


def tone(news, at):
    return float(sentiment_at(news_of_frame(news)["AAA"], np.array([to_microseconds(at)]))[0])


def test_weight_halves_with_each_half_life():
    # One headline of tone s and age a: w s / (w + 1) with w = 2^(-a / half-life).
    news = frame((NOON, "Shares surge"))
    assert tone(news, NOON) == pytest.approx(0.5 * 0.5)
    assert tone(news, NOON + timedelta(days=HALF_LIFE_DAYS)) == pytest.approx(0.5 * 0.5 / 1.5)
    assert tone(news, NOON - timedelta(seconds=1)) == 0.0
    assert tone(news, NOON + timedelta(days=6 * HALF_LIFE_DAYS)) == 0.0


def test_a_repeated_headline_counts_once():
    once = frame((NOON, "Shares surge"))
    thrice = frame(*((NOON + timedelta(hours=h), "Shares surge") for h in range(3)))
    later = NOON + timedelta(hours=5)
    assert tone(thrice, later) == tone(once, later)


def test_no_news_is_no_tone():
    assert news_of_frame(None) == {}
    assert news_of_frame(frame()) == {}
