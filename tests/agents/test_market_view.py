import asyncio
from datetime import timedelta

import msgspec
import numpy as np
import polars as pl
import pytest

from agents.indicators import FEATURE_NAMES
from agents.indicators.technical import analyse
from agents.market_view import MarketView
from domain.errors import InvalidValue
from domain.identity import derive_id
from domain.market import NewsItem


def headline(at, text="Shares surge"):
    return NewsItem(
        message_id=derive_id("news", text),
        correlation_id="",
        occurred_at=at,
        symbol="AAA",
        published_at=at,
        headline=text,
        source="test",
    )


async def test_messages_and_history_give_the_same_view(bars, bar_of, until):
    whole, grown = MarketView(), MarketView()
    whole.warm_up(bars)
    grown.warm_up(bars.filter(pl.col("timestamp") < until - timedelta(days=5)))
    for day in range(-5, 1):
        for symbol in ("AAA", "BBB", "CCC"):
            await grown.update(bar_of(symbol, until + timedelta(days=day)))
    for symbol in whole.symbols:
        assert grown.features(symbol, until) == pytest.approx(
            whole.features(symbol, until), abs=1e-12
        )
        for ours, theirs in zip(
            grown.history(symbol, until), whole.history(symbol, until), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


async def test_a_known_or_older_bar_changes_nothing(bars, bar_of, until, view):
    before = view.history("AAA", until).length
    await view.update(bar_of("AAA", until))
    await view.update(bar_of("AAA", until - timedelta(days=9)))
    assert view.history("AAA", until).length == before


async def test_a_quote_is_no_bar(bar_of, until):
    view = MarketView()
    quote = msgspec.structs.replace(bar_of("AAA", until), open=None, high=None, low=None)
    await view.update(quote)
    assert view.symbols == []


def test_reading_is_as_of_an_instant(view, bars, until):
    assert view.history("AAA", until).times[-1] == view.history("BBB", until).times[-1]
    strictly = view.history("BBB", until, inclusive=False)
    assert strictly.length == view.history("BBB", until).length - 1
    assert len(view.returns(["AAA", "BBB"], until, 50)) == 50
    closes = bars.filter((pl.col("symbol") == "AAA") & (pl.col("timestamp") < until))["close"]
    assert view.returns(["AAA"], until, 50)[-1, 0] == pytest.approx(
        closes[-1] / closes[-2] - 1, abs=1e-9
    )


def test_returns_are_of_common_days_only(bars, until):
    gappy = MarketView()
    gone = until - timedelta(days=3)
    gappy.warm_up(bars.filter(~((pl.col("symbol") == "BBB") & (pl.col("timestamp") == gone))))
    returns = gappy.returns(["AAA", "BBB"], until, 10)
    assert len(returns) == 9


def test_an_unknown_symbol_is_a_typed_error(view, until):
    with pytest.raises(InvalidValue, match="No bars of ZZZ"):
        view.history("ZZZ", until)


async def test_waiting_ends_when_the_bar_comes_or_time_is_up(bars, bar_of, until):
    view = MarketView()
    view.warm_up(bars.filter(pl.col("timestamp") < until))
    assert not await view.wait_for("AAA", until, 0.001)
    waiting = asyncio.create_task(view.wait_for("AAA", until, 30))
    by_id = asyncio.create_task(view.wait_for_bar("AAA", bar_of("AAA", until).message_id, 30))
    await view.update(bar_of("AAA", until))
    assert await waiting
    assert await by_id == until


def test_bars_of_history_are_found_by_their_message_id(view, until):
    assert view.bar_time("AAA", derive_id("bar", "AAA", until.isoformat())) == until
    assert view.bar_time("AAA", "another") is None
    assert view.bar_time("ZZZ", "another") is None


async def test_headlines_count_once_and_only_from_when_they_were_published(view, until):
    await view.update(headline(until - timedelta(hours=1)))
    await view.update(headline(until - timedelta(minutes=1)))
    await view.update(headline(until + timedelta(hours=1), "Shares plunge"))
    assert view.features("AAA", until)["sentiment"] == pytest.approx(0.25, abs=0.01)
    assert view.features("AAA", until - timedelta(days=1))["sentiment"] == 0.0


def test_prepared_features_are_taken_as_they_are(bars, features, until):
    view = MarketView()
    view.warm_up(bars, features=features.with_columns(pl.lit(7.0).alias("rsi_14")))
    assert view.features("AAA", until)["rsi_14"] == 7.0
    assert list(view.features("AAA", until)) == list(FEATURE_NAMES)


async def test_indicators_are_the_batchs_whatever_was_asked_before(bars, bar_of, until):
    view = MarketView()
    view.warm_up(bars.filter(pl.col("timestamp") < until))
    for day in (-40, -2, -9, -1):
        at = until + timedelta(days=day)
        assert_indicators(view, at)
    await view.update(bar_of("AAA", until))
    assert_indicators(view, until)
    view.warm_up(bars.filter(pl.col("timestamp") >= until - timedelta(days=90)))
    assert_indicators(view, until)


def assert_indicators(view, at):
    batch = analyse(view.history("AAA", at))
    found = view.indicators("AAA", at)
    assert list(found) == list(batch)
    for name, values in batch.items():
        assert found[name] == pytest.approx(values[-1], rel=1e-9, abs=1e-9, nan_ok=True), name


def test_before_the_first_bar_there_are_no_indicators(view, until):
    with pytest.raises(InvalidValue, match="No bar of AAA is known by"):
        view.indicators("AAA", until - timedelta(days=9000))


def test_an_empty_history_is_an_empty_view():
    view = MarketView()
    view.warm_up(pl.DataFrame(), pl.DataFrame())
    assert view.symbols == []
