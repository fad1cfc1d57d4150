"""Each row becomes a bar or is quarantined with one reason; nothing is lost or mended."""

import os
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.market_data.folder import RAW_SCHEMA, FolderMarketData
from adapters.market_data.sessions import session_closes
from assets.quality.bars import assess, good_bars, holes, quarantined
from assets.sample import sample_folder
from domain.settings import QualitySettings

LIMITS = QualitySettings()
SESSIONS = session_closes("XNYS", date(2012, 1, 3), date(2012, 3, 30))
DAYS = SESSIONS["date"].to_list()


def row(day: date | None = DAYS[0], number: int = 1, **changes) -> dict:
    known = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0}
    more = {"adj_close": 5.5, "volume": 100.0, "symbol": "A", "record": "{}"}
    source = f"a.csv:{number}"
    return {**dict.fromkeys(RAW_SCHEMA), **known, **more, "date": day, "source": source, **changes}


def assessed(*rows: dict, limits: QualitySettings = LIMITS) -> pl.DataFrame:
    return assess(pl.DataFrame(list(rows), schema=RAW_SCHEMA), SESSIONS, limits)


def reasons(*rows: dict) -> list[str | None]:
    return assessed(*rows)["reason"].to_list()


def test_a_good_row_closes_with_its_session_and_is_adjusted():
    (bar,) = good_bars(assessed(row())).to_dicts()
    assert bar["timestamp"] == datetime(2012, 1, 3, 21, tzinfo=UTC)
    assert [bar[n] for n in ("open", "high", "low", "close")] == [5.0, 6.0, 4.5, 5.5]
    assert (bar["volume"], bar["raw_close"], bar["source"]) == (200.0, 11.0, "a.csv")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"close": None}, "missing_value"),
        ({"open": float("nan")}, "missing_value"),
        ({"high": float("inf")}, "missing_value"),
        ({"volume": None}, "missing_value"),
        ({"low": -1.0}, "price_not_positive"),
        ({"adj_close": 0.0}, "price_not_positive"),
        ({"volume": -1.0}, "negative_volume"),
        ({"high": 8.0}, "high_below_low"),
        ({"high": 10.5}, "high_below_open_or_close"),
        ({"low": 10.5}, "low_above_open_or_close"),
        ({"day": date(2012, 1, 8)}, "not_a_session"),
        ({"day": date(1912, 1, 8)}, "outside_calendar"),
        ({"day": None, "timestamp": datetime(2012, 1, 3, 16, tzinfo=UTC)}, "not_at_session_close"),
        ({"defect": "text_in_number", "close": None}, "text_in_number"),
    ],
)
def test_an_impossible_row_has_its_reason(changes, reason):
    assert reasons(row(DAYS[1], 1, **changes) if "day" not in changes else row(**changes)) == [
        reason
    ]


def test_an_instant_at_the_close_is_good():
    assert reasons(row(None, timestamp=datetime(2012, 1, 3, 21, tzinfo=UTC))) == [None]


def test_the_same_row_twice_is_kept_once():
    assert reasons(row(number=1), row(number=2)) == [None, "repeated_row"]


def test_rows_that_contradict_each_other_are_all_refused():
    assert reasons(row(number=1), row(number=2, close=10.0)) == ["conflicting_rows"] * 2


def test_a_bad_row_does_not_spoil_its_good_twin():
    assert reasons(row(number=1), row(number=2, close=-1.0)) == [None, "price_not_positive"]


def test_a_row_that_steps_back_in_its_file_is_refused():
    swapped = [*DAYS[:20], DAYS[21], DAYS[20], *DAYS[22:]]
    found = reasons(*(row(day, number) for number, day in enumerate(swapped)))
    assert {i: reason for i, reason in enumerate(found) if reason} == {21: "out_of_order"}


def test_order_is_per_symbol_and_file():
    other_file = row(DAYS[0], 1, source="b.csv:1", symbol="A")
    assert reasons(row(DAYS[1], 1), row(DAYS[0], 2, symbol="B"), other_file) == [None] * 3


def test_a_symbol_with_a_long_gap_is_withheld_and_the_others_go_on():
    holey = [row(day, i) for i, day in enumerate(DAYS) if not 10 <= i < 25]
    whole = [row(day, i, symbol="B") for i, day in enumerate(DAYS)]
    frame = assessed(*holey, *whole)
    assert set(frame.filter(symbol="A")["reason"]) == {"symbol_withheld"}
    assert set(frame.filter(symbol="B")["reason"]) == {None}
    assert holes(frame, SESSIONS).to_dicts() == [
        {"symbol": "A", "sessions": len(DAYS), "missing": 15, "longest_gap": 15},
        {"symbol": "B", "sessions": len(DAYS), "missing": 0, "longest_gap": 0},
    ]


def test_few_missing_sessions_are_tolerated():
    rows = [row(day, i) for i, day in enumerate(DAYS) if i != 30]
    assert reasons(*rows) == [None] * len(rows)


def test_an_unusable_file_is_quarantined_with_its_name():
    lost = {**dict.fromkeys(RAW_SCHEMA), "source": "b.csv", "defect": "empty_file", "record": "no"}
    (found,) = quarantined(assessed(row(), lost)).to_dicts()
    assert (found["symbol"], found["source"], found["reason"]) == ("?", "b.csv", "empty_file")


values = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.just(10.0))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "day": st.sampled_from([*DAYS[:4], date(2012, 1, 7), None]),
                "symbol": st.sampled_from(["A", "B", None]),
                "open": values,
                "close": values,
                "volume": values,
            }
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_row_is_a_bar_or_in_quarantine_and_bars_are_sound(drawn):
    rows = []
    for number, changes in enumerate(drawn, start=1):
        no_day, no_symbol = changes["day"] is None, changes["symbol"] is None
        defect = "unreadable_date" if no_day else "missing_symbol" if no_symbol else None
        rows.append(row(number=number, defect=defect, **changes))
    frame = assessed(*rows)
    bars, refused = good_bars(frame), quarantined(frame)
    assert bars.height + refused.height == len(rows)
    assert not bars.select("symbol", "timestamp").is_duplicated().any()
    assert (bars["high"] >= bars["low"]).all()
    assert not bars.select(pl.col(pl.Float64).is_nan().any()).to_series().any()
    assert refused["reason"].null_count() == 0


def test_the_packaged_sample_is_clean():
    sessions = session_closes("XNYS", date(2000, 3, 1), date(2013, 3, 1))
    frame = assess(FolderMarketData(sample_folder()).read(), sessions, LIMITS)
    assert frame.height == 12_154
    assert frame["reason"].null_count() == frame.height
    assert holes(frame, sessions)["missing"].sum() == 0


def _data(name: str) -> Path:
    path = Path(os.environ.get("QUORUM_TEST_DATA", "../shared/data")) / name
    if not path.is_file():
        pytest.skip(f"{path} is not here; set QUORUM_TEST_DATA")
    return path


def test_real_defects_are_found_in_a_real_file(tmp_path):
    shutil.copy(_data("vix_daily.parquet"), tmp_path / "VIX.parquet")
    sessions = session_closes("XNYS", date(1990, 1, 1), date(2024, 12, 31))
    frame = assess(FolderMarketData(tmp_path).read(), sessions, LIMITS)
    counts = dict(frame["reason"].drop_nulls().value_counts().iter_rows())
    assert counts == {
        "high_below_open_or_close": 20,
        "low_above_open_or_close": 27,
        "not_a_session": 20,  # Cboe printed on days on which New York was closed
    }


def test_a_clean_real_file_stays_clean(tmp_path):
    stocks = pl.read_parquet(_data("equities_daily.parquet"))
    stocks.filter(~pl.col("symbol").is_in(["SPY", "QQQ", "IWM", "EEM"])).write_parquet(
        tmp_path / "stocks.parquet"
    )
    sessions = session_closes("XNYS", date(2005, 1, 3), date(2021, 4, 21))
    frame = assess(FolderMarketData(tmp_path).read(), sessions, LIMITS)
    assert frame["reason"].null_count() == frame.height
