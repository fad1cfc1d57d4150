from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from agents.sentiment.headlines import Headlines
from agents.sentiment.reading import LEXICON
from agents.sentiment.repeats import first_like, signatures
from agents.sentiment.subjects import USUAL_HORIZON_DAYS, horizon_days, symbols_named
from domain.errors import InvalidValue
from domain.market import NewsItem

NOON = datetime(2021, 3, 1, 12, tzinfo=UTC)


def item(text, hours=0.0, symbol="AAA", source="wire"):
    at = NOON + timedelta(hours=hours)
    return NewsItem(
        message_id=f"{symbol}{hours}{source}{text}"[:60], correlation_id="c", occurred_at=at,
        symbol=symbol, published_at=at, headline=text, source=source,
    )  # fmt: skip


def told(*items):
    headlines = Headlines(LEXICON)
    for each in items:
        headlines.add(each)
    return headlines


def test_no_news_is_said_and_not_scored():
    nothing = told().sentiment("AAA", NOON)
    assert (nothing.score, nothing.confidence, nothing.headlines) == (0.0, 0.0, 0)
    assert nothing.in_words() == "no news (lexicon)"


def test_scores_are_decayed_and_shrunk():
    # One word of good tone scores 0.5; its weight is 1 at once and 1/2 after a half-life.
    headlines = told(item("Shares surge"))
    assert headlines.sentiment("AAA", NOON).score == 0.25
    later = headlines.sentiment("AAA", NOON + timedelta(days=2))
    assert later.score == pytest.approx(0.5 * 0.5 / 1.5, abs=1e-6)
    assert later.confidence == pytest.approx(0.5 * 0.5 / 1.5, abs=1e-6)
    assert headlines.sentiment("AAA", NOON - timedelta(seconds=1)).headlines == 0
    assert headlines.sentiment("AAA", NOON + timedelta(days=11)).headlines == 0
    assert headlines.sentiment("BBB", NOON).headlines == 0


def test_retweets_count_once_and_are_told():
    once = told(item("Shares of ACME surge after strong profit"))
    many = told(
        item("Shares of ACME surge after strong profit"),
        item(
            "RT @desk: Shares of ACME surge after strong profit https://t.co/1", 1, source="posts"
        ),
        item("Shares of ACME surge after a strong profit!", 2, source="posts"),
    )
    at = NOON + timedelta(hours=3)
    assert many.sentiment("AAA", at).score == once.sentiment("AAA", at).score
    assert many.sentiment("AAA", at).repeats == 2
    assert many.sentiment("AAA", at).sources == ("posts", "wire")
    assert many.sentiment("AAA", at).in_words().endswith("(1 headline, 2 repeats, lexicon)")


def test_the_order_of_arrival_and_a_second_arrival_leave_no_trace():
    items = [item("Shares surge"), item("Probe into fraud", 1), item("Outlook raised", 2)]
    at = NOON + timedelta(hours=5)
    expected = told(*items).sentiment("AAA", at)
    assert told(*items[::-1], *items).sentiment("AAA", at) == expected
    frame = pl.DataFrame(
        [(i.symbol, i.published_at, i.headline, i.source) for i in items],
        schema={
            "symbol": pl.String,
            "timestamp": pl.Datetime("us", "UTC"),
            "headline": pl.String,
            "source": pl.String,
        },
        orient="row",
    )
    warm = Headlines(LEXICON)
    warm.warm_up(frame)
    warm.warm_up(None)
    assert warm.sentiment("AAA", at) == expected


def test_a_text_on_several_symbols_says_less_of_each():
    alone = told(item("$AAA shares surge")).sentiment("AAA", NOON)
    shared = told(item("$AAA $BBB $CCC shares surge")).sentiment("AAA", NOON)
    assert 0 < shared.score < alone.score


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(InvalidValue, match="no time zone"):
        told().sentiment("AAA", datetime(2021, 3, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Shares fall in premarket trade", 1),
        ("Fed meets next week", 5),
        ("Raises guidance for the fourth quarter", 63),
        ("A plan for the decade", 252),
        ("Wins a contract", USUAL_HORIZON_DAYS),
        ("Knows nothing", USUAL_HORIZON_DAYS),
    ],
)
def test_horizon_is_read_from_words(text, days):
    assert horizon_days(text) == days


def test_symbols_are_cashtags_and_listings():
    assert symbols_named("$aapl and $BRK.B, IBM (NYSE: IBM), $5 a share") == {
        "AAPL",
        "BRK.B",
        "IBM",
    }


def test_signatures_tell_repeats_from_other_news_in_the_same_words():
    texts = [
        "ACME raises its full-year profit outlook on strong demand",
        "ACME raises full-year profit outlook on strong demand",
        "ACME cuts dividend after weak third quarter in Europe",
    ]
    marks = signatures(texts)
    assert first_like(marks[1], marks[:1]) == 0
    assert first_like(marks[2], marks[:2]) is None
    assert signatures(["", "x"]).shape == (2, 64)
