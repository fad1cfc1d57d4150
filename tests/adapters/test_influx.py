"""What InfluxDB can't hold is marked or refused; what may pass is tried again; nothing is lost."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import which

import httpx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from structlog.testing import capture_logs
from tenacity import wait_fixed

from adapters.time_series import influx_points as points
from adapters.time_series.influx import InfluxTimeSeries
from adapters.time_series.influx_access import InfluxAccess
from adapters.time_series.influx_buckets import downsampling_flux, prepare
from domain.errors import ConfigurationError, DataQualityError, EnvironmentProblem
from domain.ports.time_series import Table
from domain.settings import TimeSeriesSettings
from tests.adapters.influxdb_server import InfluxServer, annotated, parse_line, split_lines

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
VICTORIA = which("victoria-metrics")


@pytest.fixture
def server():
    with InfluxServer() as running:
        yield running


def access(url: str, **options) -> InfluxAccess:
    settings = TimeSeriesSettings(influxdb_url=url, influxdb_token="t", **options)
    return InfluxAccess(settings, attempts=4, wait=wait_fixed(0))


def frame(**columns) -> pl.DataFrame:
    height = len(next(iter(columns.values())))
    moments = [NOON + timedelta(days=n) for n in range(height)]
    key = {"symbol": ["A"] * height, "timestamp": moments}
    return pl.DataFrame({**key, **columns}).with_columns(
        pl.col("timestamp").dt.cast_time_unit("us")
    )


HARD = frame(
    number=[1.5, None, float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1.7e308],
    count=[2**63 - 1, -(2**63), 0, None, 1, 2, 3, 4],
    text=["", None, 'say "no"', "a\\b", "two\nlines", "ü, =", "${x}", "#datatype"],
    flag=[True, False, None, True, True, False, False, True],
    day=[date(2024, 1, 1), None, *[date(1999, 12, 31)] * 6],
    when=[NOON, None, *[NOON] * 6],
)


def test_every_kind_of_value_comes_back_as_it_was(server, tmp_path):
    store = InfluxTimeSeries(access(server.url), tmp_path)
    store.write(Table.BARS, HARD)
    assert_frame_equal(store.read(Table.BARS), HARD, check_exact=True)


def test_a_value_that_becomes_missing_does_not_linger(server, tmp_path):
    store = InfluxTimeSeries(access(server.url), tmp_path)
    store.write(Table.BARS, frame(close=[1.0, 2.0]))
    store.write(Table.BARS, frame(close=[None, 2.0]))
    assert store.read(Table.BARS)["close"].to_list() == [None, 2.0]
    store.write(Table.BARS, frame(close=[3.0, 2.0]))
    assert store.read(Table.BARS)["close"].to_list() == [3.0, 2.0]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=12)


@given(
    st.lists(
        st.tuples(st.floats() | st.none(), st.integers(-(2**63), 2**63 - 1), texts | st.none()),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=80, deadline=None)
def test_line_protocol_and_annotated_csv_lose_nothing(rows):
    schema = {"x": pl.Float64, "n": pl.Int64, "t": pl.String}
    values = pl.DataFrame(rows, schema=schema, orient="row")
    given_rows = frame(x=[0.0] * len(rows)).drop("x").hstack(values)
    text = "\n".join(points.lines(Table.BARS, "bars", given_rows))
    parsed = [parse_line(line)[1:] for line in split_lines(text)]
    answer = annotated([(tags, moment, fields) for tags, fields, moment in parsed])
    found = points.frame_of(answer, given_rows.schema)
    assert_frame_equal(found, given_rows, check_exact=True)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (frame(x=[[1.0]]), "can't hold column 'x' of type List"),
        (frame(x=pl.Series([2**64 - 1], dtype=pl.UInt64)), "of type UInt64"),
        (frame(x=[1.0]).with_columns(symbol=pl.lit("A\nB")), "no tag such as"),
        (frame(x=[1.0]).with_columns(symbol=pl.lit("A\\")), "no tag such as"),
        (frame(x=[1.0]).with_columns(symbol=pl.lit("")), "no tag such as"),
        (
            frame(x=[1.0]).with_columns(pl.col("timestamp").dt.offset_by("-400y")),
            "no instant such as 1624",
        ),
    ],
    ids=["list", "uint64", "newline", "backslash", "empty", "instant"],
)
def test_what_it_can_not_hold_exactly_is_refused(server, tmp_path, rows, message):
    store = InfluxTimeSeries(access(server.url), tmp_path)
    with pytest.raises(DataQualityError, match=message):
        store.write(Table.BARS, rows)
    assert not server.points


def test_rows_older_than_the_bucket_keeps_are_refused_not_dropped(server, tmp_path):
    store = InfluxTimeSeries(access(server.url), tmp_path, retention_days=30)
    with pytest.raises(DataQualityError, match="2 are older than the 30 days kept"):
        store.write(Table.BARS, frame(close=[1.0, 2.0]))
    assert not server.points


def test_a_busy_server_is_tried_again_and_its_wish_is_heeded(server, tmp_path):
    reached = access(server.url)
    server.failures = [(503, {}), (429, {"Retry-After": "0"})]
    with capture_logs() as logged:
        reached.write(["bars,symbol=A x=1 1"])
    assert [entry["event"] for entry in logged] == ["influxdb_again"] * 2
    assert len(server.points) == 1


def test_the_pause_is_what_the_server_asks_for(server):
    reached = access(server.url)
    waits = []
    reached._wait = lambda state: waits.append(state.attempt_number) or 0.0
    server.failures = [(503, {}), (503, {"Retry-After": "0"}), (503, {})]
    reached.write(["bars,symbol=A x=1 1"])
    assert waits == [1, 3]


def test_a_server_that_stays_busy_is_an_error_that_says_what_is_written(server, monkeypatch):
    monkeypatch.setattr("adapters.time_series.influx_access._BATCH", 2)
    reached = access(server.url)
    lines = [f"bars,symbol=A x=1 {n}" for n in range(5)]
    original = server.write

    def busy_from_the_second(body: str) -> None:
        original(body)
        server.failures = [(503, {})] * 4

    server.write = busy_from_the_second
    with pytest.raises(EnvironmentProblem, match="2 of 5 points are written"):
        reached.write(lines)
    server.write, server.failures = original, []
    reached.write(lines)
    assert len(server.points) == 5


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, DataQualityError), (422, DataQualityError), (401, ConfigurationError)],
)
def test_a_refusal_is_not_tried_again(server, status, kind):
    server.failures = [(status, {})]
    with pytest.raises(kind, match=str(status)):
        access(server.url).write(["bars,symbol=A x=1 1"])
    assert server.failures == []
    assert server.writes == 0


def test_a_server_that_is_not_there_is_a_typed_error():
    with pytest.raises(EnvironmentProblem, match="can't be reached"):
        access("http://127.0.0.1:9").write(["bars,symbol=A x=1 1"])


def test_buckets_and_tasks_are_made_once_and_retention_is_kept_up(server):
    options = {"influxdb_retention_days": 90, "influxdb_downsampled_days": 3650}
    settings = TimeSeriesSettings(influxdb_url=server.url, influxdb_token="t", **options)
    made = prepare(InfluxAccess(settings), settings)
    names = ("quorum", "quorum_weekly", "quorum_minutes", "quorum_hourly")
    assert made.buckets == names
    assert made.tasks == (
        "quorum bars weekly", "quorum quotes minutes", "quorum metrics hourly",
    )  # fmt: skip
    seconds = [server.buckets[n]["retentionRules"][0]["everySeconds"] for n in names]
    assert seconds == [90 * 86_400] + [3650 * 86_400] * 3
    assert prepare(InfluxAccess(settings), settings) == ((), ())
    longer = settings.model_copy(update={"influxdb_retention_days": 120})
    assert prepare(InfluxAccess(longer), longer) == (("quorum",), ())


def test_bars_are_downsampled_as_bars_and_other_numbers_to_their_mean():
    flux = downsampling_flux(Table.BARS, "1w", "quorum", "quorum_weekly")
    for field, how in {"open": "first", "high": "max", "low": "min", "volume": "sum"}.items():
        after = flux.split(f'r._field == "{field}"')[1]
        assert after.split("fn: ", 1)[1].startswith(how)
    assert "fn: mean" in downsampling_flux(Table.METRICS, "1h", "quorum", "quorum_hourly")


@contextmanager
def victoria_metrics(folder: Path) -> Iterator[str]:
    """Yield the URL of a private server that keeps points for a hundred years."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [VICTORIA, f"-httpListenAddr={address}", f"-storageDataPath={folder}/data",
             "-retentionPeriod=100y"],
            stdout=output, stderr=output,
        )  # fmt: skip
        try:
            while not _answers(f"http://{address}/health"):
                assert process.poll() is None, (folder / "output").read_text()
                time.sleep(0.02)
            yield f"http://{address}"
        finally:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.HTTPError:
        return False


def exported(url: str) -> list[tuple[int, float]]:
    """Return the stored closes with their times (ms), in order; a series may come in parts."""
    answer = httpx.get(f"{url}/api/v1/export", params={"match[]": "bars_close", "start": "0"})
    parts = [json.loads(line) for line in answer.raise_for_status().text.splitlines() if line]
    pairs = [zip(part["timestamps"], part["values"], strict=True) for part in parts]
    return sorted(pair for part in pairs for pair in part)


@pytest.mark.skipif(VICTORIA is None, reason="victoria-metrics is not installed (apt-get)")
def test_a_real_server_of_the_write_protocol_has_every_point(tmp_path):
    """Writes only, and numbers only: it answers no Flux, and takes a text for 0."""
    count = 12_000
    rows = frame(close=[round(100 + n / 7, 6) for n in range(count)]).with_columns(
        pl.col("timestamp").dt.offset_by("-33y")
    )
    with victoria_metrics(tmp_path) as url:
        access(url).write(points.lines(Table.BARS, "bars", rows))
        found, until = exported(url), time.monotonic() + 60
        # A flush tells of what its workers were given, and these work on.
        while len(found) < count and time.monotonic() < until:
            httpx.get(f"{url}/internal/force_flush").raise_for_status()
            found = exported(url)
    assert [at for at, _ in found] == rows["timestamp"].dt.timestamp("ms").to_list()
    assert [value for _, value in found] == pytest.approx(rows["close"].to_list(), rel=1e-12)
