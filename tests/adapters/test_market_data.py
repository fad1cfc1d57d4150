"""Every way in which a file of bars can be wrong is said, never passed over."""

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest

from adapters.market_data.folder import RAW_SCHEMA, FolderMarketData
from adapters.market_data.sessions import session_closes
from domain.errors import ConfigurationError, DataQualityError

GOOD = "date,symbol,open,high,low,close,volume\n2012-01-03,A,10,12,9,11,100\n"
ROW = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 100}


def read(folder, **files) -> pl.DataFrame:
    for name, content in files.items():
        path = folder / name.replace("_", ".")
        if isinstance(content, pl.DataFrame):
            content.write_parquet(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return FolderMarketData(folder).read()


def test_a_good_file_is_read_as_it_is(tmp_path):
    (row,) = read(tmp_path, a_csv=GOOD).to_dicts()
    assert row["date"] == date(2012, 1, 3)
    assert (row["symbol"], row["source"], row["defect"]) == ("A", "a.csv:1", None)
    assert [row[n] for n in ("open", "high", "low", "close", "volume")] == [10, 12, 9, 11, 100]
    assert row["adj_close"] == row["close"]
    assert '"open":"10"' in row["record"]


def test_parquet_and_csv_agree(tmp_path):
    frame = pl.DataFrame([{"date": date(2012, 1, 3), "symbol": "A", **ROW}])
    both = read(tmp_path, a_csv=GOOD, b_parquet=frame).drop("source", "record")
    assert both.row(0) == both.row(1)


def test_the_file_name_is_the_symbol_where_no_column_is(tmp_path):
    frame = pl.DataFrame([{"date": date(2012, 1, 3), **ROW}]).drop("volume")
    (row,) = read(tmp_path, vix_parquet=frame).to_dicts()
    assert (row["symbol"], row["volume"]) == ("VIX", 0.0)


def test_instants_of_any_zone_become_utc(tmp_path):
    new_york = timezone(timedelta(hours=-5))
    frame = pl.DataFrame(
        [{"timestamp": datetime(2012, 1, 3, 16, tzinfo=new_york), "symbol": "A", **ROW}]
    )
    text = GOOD.replace("date", "timestamp").replace("2012-01-03", "2012-01-03T16:00:00-05:00")
    found = read(tmp_path, a_csv=text, b_parquet=frame)
    assert found["timestamp"].to_list() == [datetime(2012, 1, 3, 21, tzinfo=UTC)] * 2


@pytest.mark.parametrize(
    ("line", "defect"),
    [
        ("2012-01-03,A,1O,12,9,11,100", "text_in_number"),
        ("2012-01-03,A,10,12,9,11,many", "text_in_number"),
        ("03.01.2012,A,10,12,9,11,100", "unreadable_date"),
        (",A,10,12,9,11,100", "unreadable_date"),
        ("2012-01-03,,10,12,9,11,100", "missing_symbol"),
    ],
)
def test_a_row_that_can_not_be_parsed_says_why_and_what_stood_there(tmp_path, line, defect):
    found = read(tmp_path, a_csv=GOOD + line + "\n")
    assert found["defect"].to_list() == [None, defect]
    for cell in filter(None, line.split(",")):
        assert f'"{cell}"' in found["record"][1]


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_cell_is_missing_not_text(tmp_path, empty):
    found = read(tmp_path, a_csv=GOOD + f"2012-01-04,A,10,12,9,{empty},100\n")
    assert found["defect"].to_list() == [None, None]
    assert found["close"].to_list() == [11.0, None]


NAIVE = pl.DataFrame([{"timestamp": datetime(2012, 1, 3, 16), "symbol": "A", **ROW}])  # noqa: DTZ001


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("b_csv", "", "empty_file"),
        ("b_csv", GOOD.splitlines()[0] + "\n", "empty_file"),
        ("b_csv", "date,symbol,open,high,low\n2012-01-03,A,1,1,1\n", "missing_column"),
        ("b_csv", "symbol,open,high,low,close\nA,1,1,1,1\n", "missing_column"),
        ("b_parquet", b"PAR1 but torn", "unreadable_file"),
        ("b_csv", b"date,symbol\n\xff\xfe\x00,\x81\n", "unreadable_file"),
        ("b_parquet", NAIVE, "naive_timestamp"),
        (
            "b_csv",
            GOOD.replace("date", "timestamp").replace("01-03", "01-03T16:00"),
            "naive_timestamp",
        ),
        ("b_parquet", NAIVE.with_columns(timestamp=pl.lit(1)), "wrong_type"),
        ("b_parquet", NAIVE.rename({"timestamp": "date"}), "wrong_type"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_a_file_that_can_not_be_used_is_one_row_and_the_others_go_on(
    tmp_path, name, content, reason
):
    found = read(tmp_path, a_csv=GOOD, **{name: content})
    assert found.schema == RAW_SCHEMA
    assert found["source"].to_list() == ["a.csv:1", name.replace("_", ".")]
    assert found["defect"].to_list() == [None, reason]
    assert found["record"][1]


def test_no_usable_file_is_an_error_that_names_each(tmp_path):
    with pytest.raises(DataQualityError, match=r"a\.csv \(empty_file\).*b\.csv \(missing_column\)"):
        read(tmp_path, a_csv="", b_csv="x\n1\n")


def test_a_folder_that_is_not_there_or_holds_no_bars_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        FolderMarketData(tmp_path / "nowhere").read()
    (tmp_path / "notes.txt").write_text("no bars")
    with pytest.raises(ConfigurationError, match="holds no Parquet or CSV"):
        FolderMarketData(tmp_path).read()


def test_sessions_know_holidays_half_days_and_summer_time():
    closes = dict(session_closes("XNYS", date(2012, 6, 29), date(2012, 12, 31)).iter_rows())
    assert closes[date(2012, 6, 29)] == datetime(2012, 6, 29, 20, tzinfo=UTC)
    assert closes[date(2012, 11, 23)] == datetime(2012, 11, 23, 18, tzinfo=UTC)
    assert closes[date(2012, 12, 31)] == datetime(2012, 12, 31, 21, tzinfo=UTC)
    assert date(2012, 7, 4) not in closes
    assert date(2012, 10, 29) not in closes  # hurricane Sandy


def test_an_unknown_exchange_is_an_error():
    with pytest.raises(ConfigurationError, match="XNOWHERE"):
        session_closes("XNOWHERE", date(2012, 1, 3), date(2012, 1, 9))
