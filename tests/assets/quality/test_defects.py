"""Each known defect is found where it is planted; what only looks like one is left alone."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.market_data.sessions import session_hours
from assets.quality.agreement import compare
from assets.quality.corporate_actions import RATIOS, actions, unadjusted_splits
from assets.quality.feeds import (
    clock_offset,
    only_survivors,
    outside_session,
    rows_of_last_session,
    sequence_gaps,
    sessions_behind,
    standing_still,
    without_trade,
)
from assets.quality.news import assess_news, crowding
from assets.quality.order_books import assess_books
from assets.quality.portfolio import portfolio_frame
from domain.portfolio import Portfolio, PortfolioUpdated, Position

NIGHT = datetime(2012, 1, 2, 21, tzinfo=UTC)


def walk(closes, symbol="A", **changes) -> pl.DataFrame:
    """Bars that open where the last one closed, and range one percent."""
    opens = [closes[0], *closes[:-1]]
    low = [min(o, c) * 0.995 for o, c in zip(opens, closes, strict=True)]
    columns = {
        "open": opens, "high": [max(o, c) * 1.005 for o, c in zip(opens, closes, strict=True)],
        "low": low, "close": closes, "volume": [float(100 + n) for n in range(len(closes))],
    }  # fmt: skip
    moments = [NIGHT + timedelta(days=n) for n in range(len(closes))]
    given_columns = {"symbol": [symbol] * len(closes), "timestamp": moments, **columns, **changes}
    return pl.DataFrame(given_columns).with_columns(pl.col("timestamp").dt.cast_time_unit("us"))


CALM = [100 * 1.001**n for n in range(30)]


@pytest.mark.parametrize("ratio", [*RATIOS, *(1 / r for r in RATIOS)])
def test_an_unadjusted_split_is_found_on_its_day(ratio):
    before, after = walk(CALM[:15]), walk([c / ratio for c in CALM[15:]])
    later = pl.col("timestamp") + timedelta(days=15)
    found = unadjusted_splits(pl.concat([before, after.with_columns(later)]))
    assert found["timestamp"].to_list() == [NIGHT + timedelta(days=15)]
    assert found["ratio"].to_list() == pytest.approx([ratio])


@pytest.mark.parametrize("fall", [0.5, 0.634, 0.72, 1.62])
def test_a_crash_is_no_split(fall):
    """Citigroup opened at .634 of the last close on 2009-02-27, and ranged a third."""
    bars = walk([*CALM[:15], *(c * fall for c in CALM[15:])])
    wild = pl.int_range(pl.len()) == 15
    bars = bars.with_columns(
        open=pl.when(wild).then(pl.col("close")).otherwise("open"),
        high=pl.when(wild).then(pl.col("close") * 1.2).otherwise("high"),
        low=pl.when(wild).then(pl.col("close") * 0.9).otherwise("low"),
    )
    assert unadjusted_splits(bars).is_empty()


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=40))
def test_ordinary_nights_are_never_splits(returns):
    closes = [100.0]
    for change in returns:
        closes.append(closes[-1] * (1 + change))
    assert unadjusted_splits(walk(closes)).is_empty()


def test_splits_dividends_and_spin_offs_are_told_apart():
    factors = [0.2] * 5 + [0.4] * 5 + [0.404] * 5 + [1.0] * 5  # split 2:1, 1 %, 59.6 % paid
    bars = walk(CALM[:20]).with_columns(raw_close=pl.col("close") / pl.Series(factors))
    found = actions(bars, largest_dividend=0.1)
    assert found["kind"].to_list() == ["split", "dividend", "extraordinary"]
    assert found["size"].to_list() == pytest.approx([2.0, 0.004 / 0.404, 0.596], rel=1e-6)


def test_a_feed_that_stands_still_and_one_that_nobody_trades():
    bars = walk(CALM)
    copied = pl.int_range(pl.len()).is_between(11, 15)
    stale = bars.with_columns(
        pl.when(copied).then(pl.col(c).gather(10)).otherwise(c).alias(c)
        for c in ("open", "high", "low", "close", "volume")
    )
    (run,) = standing_still(stale, longest=3).to_dicts()
    assert (run["bars"], run["first"]) == (6, NIGHT + timedelta(days=10))
    assert standing_still(bars, longest=3).is_empty()
    idle = bars.with_columns(volume=pl.when(pl.int_range(pl.len()) < 2).then(0.0).otherwise(1.0))
    assert without_trade(idle)["no_volume"].to_list() == [2]
    assert without_trade(bars).is_empty()


def test_freshness_counts_sessions_not_days():
    sessions = session_hours("XNYS", date(2012, 1, 3), date(2012, 1, 31))
    bars = pl.DataFrame({"symbol": ["A", "B"], "timestamp": sessions["close"][[8, 5]]})
    monday_evening = datetime(2012, 1, 16, 22, tzinfo=UTC)  # a holiday: 13 January was the last
    assert sessions_behind(bars, sessions, monday_evening)["behind"].to_list() == [0, 3]


def test_the_last_session_is_held_against_the_usual():
    bars = pl.concat([walk(CALM, symbol) for symbol in "ABCD"])
    assert rows_of_last_session(bars) == (4, 4.0)
    thin = bars.filter((pl.col("symbol") == "A") | (pl.col("timestamp") < bars["timestamp"].max()))
    assert rows_of_last_session(thin) == (1, 4.0)


def test_a_source_of_survivors_is_noticed_and_one_with_the_dead_is_not():
    days = pl.datetime_range(NIGHT, NIGHT + timedelta(days=1400), "1d", eager=True)
    bars = pl.DataFrame({"timestamp": days}).join(
        pl.DataFrame({"symbol": [f"S{n}" for n in range(25)]}), how="cross"
    )
    assert only_survivors(bars)
    died = (pl.col("symbol") == "S3") & (pl.col("timestamp") > days[700])
    assert not only_survivors(bars.filter(~died))


def test_extended_hours_mixed_in():
    hours = session_hours("XNYS", date(2013, 11, 27), date(2013, 12, 2))
    wall = ["2013-11-27 13:00", "2013-11-27 14:30", "2013-11-27 21:00", "2013-11-27 21:30",
            "2013-11-28 16:00", "2013-11-29 18:00", "2013-11-29 18:30"]  # fmt: skip
    moments = pl.Series(wall).str.to_datetime(time_unit="us", time_zone="UTC")
    frame = pl.DataFrame({"t": moments})
    outside = frame.select(outside_session(pl.col("t"), hours, includes_close=True))["t"]
    assert outside.to_list() == [True, False, False, True, True, False, True]
    by_start = frame.select(outside_session(pl.col("t"), hours, includes_close=False))["t"]
    assert by_start.to_list() == [True, False, True, True, True, True, True]


@given(st.floats(-5, 5), st.lists(st.floats(0, 0.2), min_size=9, max_size=30))
def test_a_clocks_offset_is_its_median(offset, delays):
    exchange = pl.Series([NIGHT + timedelta(seconds=n) for n in range(len(delays))])
    local = pl.Series(
        [m + timedelta(seconds=offset + d) for m, d in zip(exchange, delays, strict=True)]
    )
    found = clock_offset(local, exchange)
    assert found == pytest.approx(offset + pl.Series(delays).median(), abs=2e-6)


def test_gaps_in_a_sequence_of_updates():
    assert sequence_gaps(pl.Series([1, 4, 9]), pl.Series([3, 8, 9])) == 0
    assert sequence_gaps(pl.Series([1, 5, 9]), pl.Series([3, 8, 9])) == 1


def test_two_sources_that_differ_by_an_adjustment_and_by_chance():
    ours = pl.concat([walk(CALM, symbol) for symbol in "ABC"])
    theirs = ours.with_columns(
        close=pl.when(pl.col("symbol") == "A")
        .then(pl.col("close") / 7)
        .when((pl.col("symbol") == "B") & (pl.col("volume") == 105))
        .then(pl.col("close") * 2)
        .otherwise("close")
    )
    found = compare(ours, theirs, on=("symbol", "timestamp"), tolerance=0.01)
    assert found["agreeing"].to_list() == [0, 29, 30]
    assert found["ratio"].to_list() == [pytest.approx(7.0), None, None]


def book(**changes) -> dict:
    level = {"bid_px_0": 10.0, "bid_sz_0": 1.0, "ask_px_0": 10.1, "ask_sz_0": 1.0,
             "bid_px_1": 9.9, "bid_sz_1": 1.0, "ask_px_1": 10.2, "ask_sz_1": 1.0}  # fmt: skip
    return {"symbol": "A", "timestamp": NIGHT, "origin": "f:1", **level, **changes}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"bid_px_1": None, "bid_sz_1": None}, None),
        ({"bid_px_0": 10.1}, "crossed_book"),
        ({"bid_px_0": 10.3}, "crossed_book"),
        ({"bid_px_1": 10.05}, "levels_out_of_order"),
        ({"ask_px_1": 10.1}, "levels_out_of_order"),
        ({"ask_sz_1": 0.0}, "not_positive"),
        ({"bid_px_0": -1.0}, "not_positive"),
        ({"ask_sz_0": float("nan")}, "not_positive"),
        ({"ask_px_1": None}, "missing_level"),
        ({"bid_px_0": None, "bid_sz_0": None}, "missing_level"),
        ({"symbol": None}, "missing_key"),
    ],
)
def test_an_impossible_book_has_its_reason(changes, reason):
    assert assess_books(pl.DataFrame([book(**changes)], infer_schema_length=None))[
        "reason"
    ].to_list() == [reason]


def test_books_out_of_order():
    moments = [NIGHT, NIGHT + timedelta(seconds=2), NIGHT + timedelta(seconds=1), NIGHT]
    books = pl.DataFrame([book(timestamp=m) for m in [*moments[:3], moments[1]]])
    assert assess_books(books)["reason"].to_list() == [
        None, None, "out_of_order", "repeated_instant",
    ]  # fmt: skip


def test_headlines_that_can_not_be_read():
    rows = [("A", NIGHT, "Shares rise"), ("A", NIGHT, "Shares rise"), ("A", NIGHT, "x"),
            ("A", NIGHT + timedelta(days=9), "Tomorrow's news"), (None, NIGHT, "Nobody's news"),
            ("B", NIGHT, "y" * 1001), ("B", NIGHT, None), ("B", NIGHT, "Shares rise")]  # fmt: skip
    schema = {"symbol": pl.String, "timestamp": pl.Datetime("us", "UTC"), "headline": pl.String}
    news = pl.DataFrame(rows, schema=schema, orient="row")
    found = assess_news(news, NIGHT + timedelta(days=1))["reason"].to_list()
    assert found == [
        None, "repeated_row", "too_short", "from_the_future", "missing_value", "too_long",
        "missing_value", None,
    ]  # fmt: skip
    assert crowding(news.drop_nulls())[:2] == (2, "A")


def test_a_portfolio_whose_sums_hold_has_no_difference():
    held = Position(symbol="A", quantity="3", average_price="9", mark_price="10.5")
    update = PortfolioUpdated(
        message_id="m", correlation_id="c", causation_id="", occurred_at=NIGHT,
        portfolio=Portfolio(cash="100", positions=(held,)),
    )  # fmt: skip
    (row,) = portfolio_frame([update]).to_dicts()
    assert (row["equity"], row["gross"], row["difference"]) == (131.5, 31.5, 0.0)
