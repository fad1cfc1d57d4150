"""One conformance suite for every time-series store; a new store is one line in `STORES`."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import NamedTuple
from uuid import uuid4

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from tenacity import wait_fixed

from adapters.time_series import delta, open_time_series
from adapters.time_series.delta import DeltaTimeSeries
from adapters.time_series.delta_location import DeltaLocation
from adapters.time_series.influx import InfluxTimeSeries
from adapters.time_series.influx_access import InfluxAccess
from adapters.time_series.memory import MemoryTimeSeries
from adapters.time_series.rows import content_hash
from domain.errors import DataQualityError, InvalidValue
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import Settings, TimeSeriesSettings
from tests.adapters.influxdb_server import InfluxServer
from tests.adapters.object_storage import ObjectStorage


class Servers(NamedTuple):
    influx: InfluxServer
    storage: ObjectStorage


STORES: dict[str, Callable[[Path, Servers], TimeSeriesStore]] = {
    "memory": lambda _, __: MemoryTimeSeries(),
    "delta": lambda folder, _: DeltaTimeSeries(folder),
    "delta on object storage": lambda _, servers: DeltaTimeSeries(
        DeltaLocation(f"s3://bucket/{uuid4().hex}/some tables", servers.storage.options)
    ),
    "influxdb": lambda folder, servers: InfluxTimeSeries(access(servers.influx.url), folder),
}
#: Stores that can be read as of an earlier version; all can as of an earlier knowledge.
TRAVELLERS = ("memory", "delta", "delta on object storage")


def access(url: str) -> InfluxAccess:
    return InfluxAccess(
        TimeSeriesSettings(influxdb_url=url, influxdb_token="t"), wait=wait_fixed(0)
    )


@pytest.fixture(scope="module")
def storage():
    with ObjectStorage() as running:
        yield running


@pytest.fixture
def outside(storage):
    with InfluxServer() as influx:
        yield Servers(influx, storage)


@pytest.fixture(params=STORES)
def store(request, tmp_path, outside):
    return STORES[request.param](tmp_path / "a folder, 100% ours", outside)


@pytest.fixture(params=TRAVELLERS)
def traveller(request, tmp_path, outside):
    return STORES[request.param](tmp_path / "a folder, 100% ours", outside)


def day(year: int, month: int, number: int) -> datetime:
    return datetime(year, month, number, 21, tzinfo=UTC)


def bars(*rows: tuple[str, datetime, float]) -> pl.DataFrame:
    return pl.DataFrame(
        list(rows),
        schema={"symbol": pl.String, "timestamp": pl.Datetime("us", "UTC"), "close": pl.Float64},
        orient="row",
    )


FIRST = bars(("B", day(2012, 1, 3), 5.0), ("A", day(2011, 12, 30), 1.0), ("A", day(2012, 1, 3), 2))


def test_an_unwritten_table_is_empty_and_has_no_version(store):
    assert store.version(Table.BARS) == ""
    assert store.read(Table.BARS).is_empty()
    assert store.write(Table.BARS, FIRST.clear()) == ""


def test_rows_come_back_sorted_by_key(store):
    store.write(Table.BARS, FIRST)
    assert store.read(Table.BARS).rows() == [
        ("A", day(2011, 12, 30), 1.0),
        ("A", day(2012, 1, 3), 2.0),
        ("B", day(2012, 1, 3), 5.0),
    ]


def test_interval_is_half_open_and_symbols_select(store):
    store.write(Table.BARS, FIRST)
    found = store.read(Table.BARS, start=day(2011, 12, 30), end=day(2012, 1, 3))
    assert found["close"].to_list() == [1.0]
    assert store.read(Table.BARS, symbols=["B"])["close"].to_list() == [5.0]
    assert store.read(Table.BARS, symbols=["C"]).is_empty()


def test_writing_the_same_rows_again_changes_nothing(store):
    version = store.write(Table.BARS, FIRST)
    assert store.write(Table.BARS, FIRST.reverse()) == version == store.version(Table.BARS)
    assert store.read(Table.BARS).height == 3


def test_a_row_is_replaced_by_key_and_the_old_version_stays_readable(traveller):
    store = traveller
    before = store.write(Table.BARS, FIRST)
    after = store.write(Table.BARS, bars(("A", day(2012, 1, 3), 9.0)))
    assert before != after
    assert store.read(Table.BARS)["close"].to_list() == [1.0, 9.0, 5.0]
    assert store.read(Table.BARS, version=before)["close"].to_list() == [1.0, 2.0, 5.0]
    assert store.read(Table.BARS, version=after)["close"].to_list() == [1.0, 9.0, 5.0]


def test_content_that_returns_has_its_old_version_again(store):
    before = store.write(Table.BARS, FIRST)
    store.write(Table.BARS, bars(("A", day(2012, 1, 3), 9.0)))
    assert store.write(Table.BARS, bars(("A", day(2012, 1, 3), 2.0))) == before


def test_an_unknown_version_is_refused(store):
    store.write(Table.BARS, FIRST)
    with pytest.raises(DataQualityError, match=r"version.* nonsense"):
        store.read(Table.BARS, version="nonsense")


def test_replace_makes_an_interval_what_it_is_told(store):
    store.write(Table.BARS, FIRST)
    january = {"start": datetime(2012, 1, 1, tzinfo=UTC), "end": datetime(2012, 2, 1, tzinfo=UTC)}
    store.replace(Table.BARS, bars(("B", day(2012, 1, 4), 6.0)), **january)
    assert store.read(Table.BARS)["close"].to_list() == [1.0, 6.0]
    store.replace(Table.BARS, FIRST.clear(), **january)
    assert store.read(Table.BARS)["close"].to_list() == [1.0]
    with pytest.raises(DataQualityError, match="outside"):
        store.replace(Table.BARS, bars(("B", day(2012, 2, 1), 6.0)), **january)


def test_a_new_column_is_added_and_older_rows_lack_it(store):
    store.write(Table.BARS, FIRST)
    wider = bars(("A", day(2012, 1, 4), 3.0)).with_columns(volume=pl.lit(7.0))
    store.write(Table.BARS, wider)
    assert store.read(Table.BARS, symbols=["A"])["volume"].to_list() == [None, None, 7.0]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FIRST.drop("symbol"), "'symbol' is missing"),
        (FIRST.with_columns(pl.lit(None).alias("timestamp")), "'timestamp' is missing"),
        (FIRST.with_columns(pl.col("timestamp").dt.replace_time_zone(None)), "not Datetime"),
        (
            FIRST.with_columns(
                symbol=pl.when(pl.col("close") > 1).then(pl.col("symbol")).otherwise(None)
            ),
            "1 rows have no symbol",
        ),
        (FIRST.with_columns(pl.col("close").cast(pl.String)), "'close' is String, not Float64"),
        (pl.concat([FIRST, FIRST]), "repeat the same symbol, timestamp"),
    ],
    ids=["no column", "all null", "naive", "null symbol", "other type", "double key"],
)
def test_rows_that_break_the_table_are_refused_and_change_nothing(store, frame, message):
    version = store.write(Table.BARS, FIRST)
    with pytest.raises(DataQualityError, match=message):
        store.write(Table.BARS, frame)
    assert store.version(Table.BARS) == version


def test_several_headlines_may_share_an_instant(store):
    news = FIRST.head(1).drop("close")
    both = pl.concat([news.with_columns(headline=pl.lit(text)) for text in ("one", "two")])
    store.write(Table.NEWS, both)
    store.write(Table.NEWS, both)
    assert store.read(Table.NEWS)["headline"].to_list() == ["one", "two"]


def test_writers_at_the_same_time_lose_nothing(store):
    frames = [bars((f"S{i}", day(2012, 1, 3), float(i))) for i in range(6)]
    threads = [Thread(target=store.write, args=(Table.BARS, frame)) for frame in frames]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read(Table.BARS)["symbol"].to_list() == [f"S{i}" for i in range(6)]


def test_on_object_storage_writers_lose_nothing_without_a_lock(outside):
    """Each writer has its own store, as on another machine; commits do collide."""
    frames = [bars((f"S{i}", day(2012 + i % 2, 1, 3), float(i))) for i in range(6)]
    location = DeltaLocation("s3://bucket/shared", outside.storage.options)
    stores = [DeltaTimeSeries(location) for _ in frames]
    stores[0].write(Table.BARS, FIRST)
    threads = [
        Thread(target=store.write, args=(Table.BARS, frame))
        for store, frame in zip(stores, frames, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = stores[0].read(Table.BARS)
    assert found.height == FIRST.height + 6
    memory = MemoryTimeSeries()
    assert memory.write(Table.BARS, found) == stores[0].version(Table.BARS)


def test_all_stores_name_the_same_content_alike(tmp_path, outside):
    stores = [make(tmp_path / name, outside) for name, make in STORES.items()]
    versions = set()
    for number, store in enumerate(stores):
        parts = [FIRST] if number else [FIRST.head(1), FIRST.tail(2)]
        for part in parts:
            store.write(Table.BARS, part)
        versions.add(store.version(Table.BARS))
    assert len(versions) == 1


def test_the_settings_open_delta_tables_below_the_state_folder(tmp_path):
    store = open_time_series(Settings(home=tmp_path))
    store.write(Table.BARS, FIRST)
    assert (tmp_path / "tables" / "bars" / "_delta_log").is_dir()


@given(
    st.lists(
        st.tuples(st.sampled_from("AB"), st.integers(1, 28), st.floats(-9, 9)),
        min_size=1,
        max_size=12,
        unique_by=lambda row: row[:2],
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=50, deadline=None)
def test_the_version_does_not_depend_on_the_way_the_rows_were_written(rows, random):
    frame = bars(*((symbol, day(2012, 1, number), value) for symbol, number, value in rows))
    whole = MemoryTimeSeries()
    piecewise = MemoryTimeSeries()
    pieces = [frame.slice(i, 1) for i in range(frame.height)]
    random.shuffle(pieces)
    for piece in pieces:
        piecewise.write(Table.BARS, piece)
    assert whole.write(Table.BARS, frame) == piecewise.version(Table.BARS)


def test_content_hash_tells_null_from_zero_and_ignores_column_order():
    frame = pl.DataFrame({"a": [0.0, 1.0], "b": ["x", None]})
    assert content_hash(frame) == content_hash(frame.select("b", "a"))
    assert content_hash(frame) == content_hash(frame.with_columns(a=pl.Series([-0.0, 1.0])))
    assert content_hash(frame) != content_hash(frame.with_columns(a=pl.Series([None, 1.0])))
    assert content_hash(frame) != content_hash(frame.with_columns(b=pl.Series(["x", ""])))


MONDAY, TUESDAY, WEDNESDAY = (datetime(2012, 1, n, 22, tzinfo=UTC) for n in (9, 10, 11))
JANUARY = {"start": datetime(2012, 1, 1, tzinfo=UTC), "end": datetime(2012, 2, 1, tzinfo=UTC)}


def test_a_corrected_and_a_late_bar_keep_both_times(store):
    store.write(Table.BARS, FIRST, known_at=MONDAY)
    corrected, late = ("A", day(2012, 1, 3), 9.0), ("A", day(2012, 1, 4), 4.0)
    store.write(Table.BARS, bars(corrected, late), known_at=TUESDAY)
    assert store.read(Table.BARS)["close"].to_list() == [1.0, 9.0, 4.0, 5.0]
    assert store.read(Table.BARS, known_at=TUESDAY)["close"].to_list() == [1.0, 9.0, 4.0, 5.0]
    before = TUESDAY - timedelta(microseconds=1)
    assert store.read(Table.BARS, known_at=before)["close"].to_list() == [1.0, 2.0, 5.0]
    assert store.read(Table.BARS, known_at=MONDAY - timedelta(days=1)).is_empty()


def test_what_is_written_again_is_known_since_the_first_time(store):
    store.write(Table.BARS, FIRST, known_at=MONDAY)
    store.write(Table.BARS, FIRST.with_columns(pl.col("close") + 1), known_at=TUESDAY)
    store.write(Table.BARS, FIRST.with_columns(pl.col("close") + 1), known_at=WEDNESDAY)
    found = store.revisions(Table.BARS)
    assert found["known_from"].to_list() == [MONDAY, TUESDAY] * 3
    assert found["known_until"].to_list() == [TUESDAY, None] * 3


def test_what_was_taken_away_was_known_until_then(store):
    store.write(Table.BARS, FIRST, known_at=MONDAY)
    store.replace(Table.BARS, FIRST.clear(), **JANUARY, known_at=TUESDAY)
    assert store.read(Table.BARS, known_at=MONDAY).height == 3
    assert store.read(Table.BARS, known_at=TUESDAY)["close"].to_list() == [1.0]


def test_a_row_that_comes_back_has_two_spells(store):
    for moment, frame in ((MONDAY, FIRST), (TUESDAY, FIRST.clear()), (WEDNESDAY, FIRST)):
        january = frame.filter(pl.col("timestamp") > JANUARY["start"])
        store.replace(Table.BARS, january, **JANUARY, known_at=moment)
    counts = [store.read(Table.BARS, known_at=m).height for m in (MONDAY, TUESDAY, WEDNESDAY)]
    assert counts == [2, 0, 2]


def test_knowledge_does_not_go_back_in_time(store):
    version = store.write(Table.BARS, FIRST, known_at=TUESDAY)
    with pytest.raises(DataQualityError, match="known since after 2012-01-09"):
        store.write(Table.BARS, bars(("A", day(2012, 1, 3), 9.0)), known_at=MONDAY)
    assert store.version(Table.BARS) == version


def test_version_and_knowledge_are_not_asked_for_at_once(store):
    with pytest.raises(InvalidValue, match="both asked for"):
        store.read(Table.BARS, version="x", known_at=MONDAY)


def test_the_stores_own_columns_are_refused(store):
    with pytest.raises(DataQualityError, match="itself keeps known_from"):
        store.write(Table.BARS, FIRST.with_columns(known_from=pl.lit(MONDAY)))


def test_tables_of_a_release_without_knowledge_are_known_since_ever(tmp_path):
    store = DeltaTimeSeries(tmp_path)
    store.write(Table.BARS, FIRST, known_at=TUESDAY)
    old = pl.read_delta(str(tmp_path / "bars")).drop("known_from")
    note = DeltaTable(tmp_path / "bars").history(1)[0]
    shutil.rmtree(tmp_path / "bars")
    kept = {name: note[name] for name in ("quorum.version", "quorum.years")}
    write_deltalake(
        tmp_path / "bars", old, partition_by=["_year"],
        commit_properties=CommitProperties(custom_metadata=kept),
    )  # fmt: skip
    assert store.read(Table.BARS, known_at=MONDAY).height == 3
    store.write(Table.BARS, bars(("A", day(2012, 1, 3), 9.0)), known_at=WEDNESDAY)
    assert store.read(Table.BARS, known_at=MONDAY)["close"].to_list() == [1.0, 2.0, 5.0]
    assert store.read(Table.BARS)["close"].to_list() == [1.0, 9.0, 5.0]


def test_a_writer_that_is_cut_off_between_its_two_steps_changed_nothing(tmp_path, monkeypatch):
    store = DeltaTimeSeries(tmp_path)
    version = store.write(Table.BARS, FIRST, known_at=MONDAY)
    whole = delta.write_deltalake

    def cut_off(address, *arguments, **options):
        if isinstance(address, DeltaTable):
            raise OSError("no space left")
        whole(address, *arguments, **options)

    monkeypatch.setattr(delta, "write_deltalake", cut_off)
    with pytest.raises(OSError, match="no space"):
        store.write(Table.BARS, bars(("A", day(2012, 1, 3), 9.0)), known_at=TUESDAY)
    monkeypatch.undo()
    assert store.version(Table.BARS) == version
    assert store.read(Table.BARS, known_at=WEDNESDAY)["close"].to_list() == [1.0, 2.0, 5.0]
    store.write(Table.BARS, bars(("A", day(2012, 1, 3), 9.0)), known_at=WEDNESDAY)
    assert store.read(Table.BARS, known_at=TUESDAY)["close"].to_list() == [1.0, 2.0, 5.0]
    assert store.read(Table.BARS, known_at=WEDNESDAY)["close"].to_list() == [1.0, 9.0, 5.0]


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("AB"), st.integers(1, 4), st.sampled_from([1.0, 2.0])),
            max_size=5,
            unique_by=lambda row: row[:2],
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=40, deadline=None)
def test_any_past_knowledge_is_what_was_read_then(steps):
    store = MemoryTimeSeries()
    told = {}
    for number, rows in enumerate(steps):
        moment = MONDAY + timedelta(minutes=number)
        frame = bars(*((symbol, day(2012, 1, n), value) for symbol, n, value in rows))
        store.replace(Table.BARS, frame, **JANUARY, known_at=moment)
        told[moment] = store.read(Table.BARS).rows()
    assert {moment: store.read(Table.BARS, known_at=moment).rows() for moment in told} == told
