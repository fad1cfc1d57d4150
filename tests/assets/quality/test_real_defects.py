"""The defects that are known of real files are found in them, and clean files stay clean."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from adapters.market_data.sessions import session_hours
from assets.quality.agreement import compare
from assets.quality.corporate_actions import actions, unadjusted_splits
from assets.quality.feeds import (
    clock_offset,
    only_survivors,
    outside_session,
    standing_still,
    without_trade,
)
from assets.quality.news import assess_news, crowding
from assets.quality.order_books import assess_books
from tests.assets.quality.real_data import real


@pytest.fixture(scope="module")
def daily():
    return real("equities_daily").rename({"date": "timestamp"})


def adjusted(raw: pl.DataFrame) -> pl.DataFrame:
    factor = pl.col("adj_close") / pl.col("close")
    prices = (pl.col(name) * factor for name in ("open", "high", "low", "close"))
    return raw.with_columns(*prices, raw_close="close")


def test_spin_offs_written_as_dividends(daily):
    found = actions(adjusted(daily), largest_dividend=0.1)
    large = found.filter(pl.col("kind") == "extraordinary").select("symbol", "timestamp")
    assert set(large.rows()) == {
        ("AXP", date(2005, 10, 3)), ("DUK", date(2007, 1, 3)), ("MO", date(2007, 4, 2)),
        ("MO", date(2008, 3, 31)), ("MS", date(2007, 7, 2)), ("COP", date(2012, 5, 1)),
        ("ABT", date(2013, 1, 2)), ("A", date(2014, 11, 3)),
    }  # fmt: skip


def test_every_split_is_found_in_raw_prices_and_none_in_adjusted_ones(daily):
    real_ones = daily.filter((pl.col("split_ratio") >= 1.4) | (pl.col("split_ratio") < 0.9))
    found = unadjusted_splits(daily)
    assert real_ones.join(found, on=["symbol", "timestamp"], how="anti").is_empty()
    others = found.join(real_ones, on=["symbol", "timestamp"], how="anti")
    assert others.select("symbol", "timestamp").rows() == [("ABT", date(2013, 1, 2))]  # a spin-off
    assert unadjusted_splits(adjusted(daily)).is_empty()  # 41 moves above a quarter among them


def test_days_without_trade_and_a_source_of_survivors(daily):
    idle = without_trade(daily).filter(pl.col("no_volume") > 0)
    assert idle.select("symbol", "no_volume").rows() == [("ABMD", 2)]
    assert standing_still(daily, longest=3).is_empty()
    assert only_survivors(daily)


def test_splits_in_hourly_bars_that_nobody_adjusted():
    found = unadjusted_splits(real("equities_1h").rename({"ts": "timestamp"}))
    assert found.select("symbol", pl.col("timestamp").dt.date(), "ratio").rows() == [
        ("AAPL", date(2000, 6, 21), 2.0), ("AAPL", date(2005, 2, 28), 2.0),
        ("AAPL", date(2014, 6, 9), 7.0), ("AAPL", date(2020, 8, 31), 4.0),
        ("BAC", date(2004, 8, 30), 2.0), ("IBM", date(1999, 5, 27), 2.0),
    ]  # fmt: skip


def test_two_sources_agree_but_where_one_is_adjusted_for_later_splits():
    theirs = real("bench_stocknet_prices")
    found = compare(real("equities_daily"), theirs, on=("symbol", "date"), tolerance=0.001)
    assert found["common"].sum() == 51_497
    assert found["agreeing"].sum() / 51_497 == pytest.approx(0.95, abs=0.002)
    whole = found.filter(pl.col("ratio").round(2).is_in([7.0, 2.0]))
    assert whole["symbol"].to_list() == ["AAPL", "CMCSA"]


def test_the_other_source_has_rows_without_volume_and_without_values():
    prices = real("bench_stocknet_prices").rename({"date": "timestamp"})
    empty = prices.filter(pl.all_horizontal(pl.col("open", "high", "low", "close").is_null()))
    assert empty.height == 3
    assert without_trade(prices.drop_nulls())["no_volume"].sum() == 111


def test_an_index_has_no_volume_and_old_days_of_one_price():
    vix = real("vix_daily").rename({"date": "timestamp"})
    found = without_trade(vix.with_columns(symbol=pl.lit("VIX"), volume=pl.lit(0.0)))
    (row,) = found.to_dicts()
    assert row["no_volume"] == 8_833
    assert row["flat"] >= 500  # all of 1990 and 1991


def test_a_recorders_clock_is_early():
    events = real("lob_events")
    offset = clock_offset(events["ts_local"].dt.cast_time_unit("us"), events["ts_exch"])
    assert offset == pytest.approx(-1.27, abs=0.01)


def test_replayed_books_are_clean():
    books = real("lob_snapshots_100ms").with_columns(
        symbol=pl.col("venue") + ":" + pl.col("symbol"),
        timestamp=pl.col("ts").dt.cast_time_unit("us"),
    )
    assert assess_books(books)["reason"].null_count() == 9_948


def test_trades_of_extended_hours_are_told_from_the_session():
    trades = real("us_equity_trades_201310")
    hours = session_hours("XNYS", date(2013, 10, 7), date(2013, 10, 11))
    outside = trades.filter(outside_session(pl.col("ts"), hours, includes_close=True))
    clock = outside["ts"].dt.convert_time_zone("America/New_York").dt.time()
    minutes = clock.dt.hour().cast(pl.Int32) * 60 + clock.dt.minute()
    assert outside.height > 20_000
    assert ((minutes < 570) | (minutes >= 960)).all()


def test_minute_bars_are_all_of_the_session_and_clean():
    bars = real("equities_1m_201902").rename({"ts": "timestamp"})
    hours = session_hours("XNYS", date(2019, 2, 11), date(2019, 2, 15))
    outside = outside_session(pl.col("timestamp"), hours, includes_close=False)
    assert bars.filter(outside).is_empty()
    assert unadjusted_splits(bars).is_empty()
    index_only = without_trade(bars).filter(pl.col("no_volume") == pl.col("bars"))
    assert index_only.height == 1  # VIX


@pytest.mark.parametrize("name", ["crypto_1m", "bundle_candidate/wiki_ohlcv_2000_2013"])
def test_clean_files_stay_clean(name):
    bars = real(name).rename({"ts": "timestamp", "date": "timestamp"}, strict=False)
    if "adj_close" in bars.columns:
        bars = adjusted(bars)
    assert unadjusted_splits(bars).is_empty()
    assert standing_still(bars, longest=3).is_empty()


def test_tweets_repeat_each_other_and_one_symbol_is_loudest():
    tweets = real("news_stocknet_tweets").rename({"ts": "timestamp", "text": "headline"})
    found = crowding(tweets)
    assert (found.repeated, found.largest_symbol) == (17_425, "AAPL")
    assert found.largest_share == pytest.approx(0.26, abs=0.005)
    reasons = assess_news(tweets, datetime(2016, 1, 1, tzinfo=UTC))["reason"]
    assert reasons.null_count() == tweets.height
