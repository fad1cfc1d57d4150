"""One store filled from another: the same content, and the same past knowledge."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from tenacity import wait_fixed

from adapters.time_series.delta import DeltaTimeSeries
from adapters.time_series.influx import InfluxTimeSeries
from adapters.time_series.influx_access import InfluxAccess
from adapters.time_series.memory import MemoryTimeSeries
from adapters.time_series.synchronize import synchronize
from domain.ports.time_series import Table
from domain.settings import TimeSeriesSettings
from tests.adapters.influxdb_server import InfluxServer

DAYS = [datetime(2012, 12, 28, 21, tzinfo=UTC) + timedelta(days=n) for n in range(8)]
MOMENTS = [datetime(2013, 2, n, tzinfo=UTC) for n in (1, 2, 3)]


def bars(*closes: float) -> pl.DataFrame:
    return pl.DataFrame(
        {"symbol": ["A"] * len(closes), "timestamp": DAYS[: len(closes)], "close": closes},
        schema={"symbol": pl.String, "timestamp": pl.Datetime("us", "UTC"), "close": pl.Float64},
    )


@pytest.fixture
def source(tmp_path):
    """A table with a late bar, a corrected one and one that was taken away."""
    store = DeltaTimeSeries(tmp_path / "delta")
    store.write(Table.BARS, bars(1, 2, 3, 4, 5), known_at=MOMENTS[0])
    store.write(Table.BARS, bars(1, 2, 9, 4, 5, 6), known_at=MOMENTS[1])
    store.replace(Table.BARS, bars().clear(), start=DAYS[4], end=DAYS[5], known_at=MOMENTS[2])
    return store


@pytest.fixture(params=["memory", "delta", "influxdb"])
def target(request, tmp_path):
    with InfluxServer() as server:
        settings = TimeSeriesSettings(influxdb_url=server.url, influxdb_token="t")
        yield {
            "memory": MemoryTimeSeries,
            "delta": lambda: DeltaTimeSeries(tmp_path / "other"),
            "influxdb": lambda: InfluxTimeSeries(
                InfluxAccess(settings, wait=wait_fixed(0)), tmp_path
            ),
        }[request.param]()


def closes(store, moment=None):
    return store.read(Table.BARS, known_at=moment)["close"].to_list()


def test_a_backfill_gives_the_same_content_and_the_same_past(source, target):
    (found,) = synchronize(source, target, [Table.BARS])
    assert (found.same, found.diverged, found.replayed) == (True, False, 3)
    assert target.version(Table.BARS) == source.version(Table.BARS)
    for moment in MOMENTS:
        assert closes(target, moment) == closes(source, moment)


def test_once_more_changes_nothing_and_what_is_new_is_added(source, target):
    synchronize(source, target, [Table.BARS])
    assert synchronize(source, target, [Table.BARS])[0].written == 0
    later = MOMENTS[2] + timedelta(days=1)
    source.write(Table.BARS, bars(7), known_at=later)
    (found,) = synchronize(source, target, [Table.BARS])
    assert (found.written, found.same, found.diverged) == (1, True, False)
    assert closes(target)[0] == 7
    assert closes(target, MOMENTS[2])[0] == 1


def test_a_target_that_went_its_own_way_is_made_equal_and_that_is_told(source, target):
    target.write(Table.BARS, bars(8, 8), known_at=MOMENTS[2] + timedelta(days=9))
    (found,) = synchronize(source, target, [Table.BARS])
    assert (found.same, found.diverged) == (True, True)
    assert closes(target) == closes(source)


def test_a_table_that_was_never_written_stays_so(target):
    (found,) = synchronize(MemoryTimeSeries(), target, [Table.NEWS])
    assert found.same
    assert target.version(Table.NEWS) == ""
