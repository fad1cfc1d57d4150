"""Values come back as they were, and a month replaces just itself."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl
import pytest

from adapters.time_series.memory import MemoryTimeSeries
from assets.partitions import MONTHS
from assets.records import Promotion
from domain.errors import DataQualityError
from domain.ports.time_series import Table
from domain.voting import AgentId
from orchestration.io_manager import FileIOManager, TableIOManager

# The beta mark on backfill policies is known (`assets.partitions`).
pytestmark = pytest.mark.filterwarnings("ignore:.*`backfill_policy`")

RECORD = Promotion(
    agent=AgentId.EXECUTION, promoted=True, candidate="c", champion="c", previous="", reason="ü"
)


@dg.asset(io_manager_key="files")
def frame() -> dg.MaterializeResult:
    return dg.MaterializeResult(value=pl.DataFrame({"a": [1, None], "b": ["x", "y"]}))


@dg.asset(io_manager_key="files")
def record() -> dg.MaterializeResult:
    return dg.MaterializeResult(value=RECORD)


@dg.asset(io_manager_key="files")
def reader(frame: pl.DataFrame, record: Promotion) -> dg.MaterializeResult:
    assert frame["a"].to_list() == [1, None]
    assert record == RECORD
    return dg.MaterializeResult(value=record)


def test_frames_and_records_come_back_as_they_were(tmp_path):
    found = dg.materialize([frame, record, reader], resources={"files": FileIOManager(tmp_path)})
    assert found.success
    assert sorted(p.name for p in tmp_path.iterdir()) == ["frame", "reader", "record"]
    assert '"promoted": true' in (tmp_path / "record").read_text()


def rows(*moments: datetime) -> pl.DataFrame:
    return pl.DataFrame(
        {"symbol": ["A"] * len(moments), "timestamp": moments},
        schema={"symbol": pl.String, "timestamp": pl.Datetime("us", "UTC")},
    )


MAY, JUNE = datetime(2012, 5, 7, 20, tzinfo=UTC), datetime(2012, 6, 7, 20, tzinfo=UTC)


@pytest.fixture
def store():
    store = MemoryTimeSeries()
    store.write(Table.BARS, rows(MAY, JUNE))
    return store


def written(value: pl.DataFrame, store, metadata: dict, **run) -> None:
    @dg.asset(
        io_manager_key="tables",
        metadata={"table": "bars", **metadata},
        partitions_def=MONTHS if run else None,
        backfill_policy=dg.BackfillPolicy.single_run() if run else None,
    )
    def made() -> dg.MaterializeResult:
        return dg.MaterializeResult(value=value)

    assert dg.materialize([made], resources={"tables": TableIOManager(store)}, **run).success


def test_a_month_replaces_just_itself(store):
    later = datetime(2012, 6, 8, 20, tzinfo=UTC)
    written(rows(later), store, {}, partition_key="2012-06-01")
    assert store.read(Table.BARS)["timestamp"].to_list() == [MAY, later]


def test_a_range_of_months_is_one_interval(store):
    span = {
        "dagster/asset_partition_range_start": "2012-05-01",
        "dagster/asset_partition_range_end": "2012-06-01",
    }
    written(rows(JUNE), store, {}, tags=span)
    assert store.read(Table.BARS)["timestamp"].to_list() == [JUNE]


def test_without_partitions_the_table_is_replaced_or_merged_as_told(store):
    new = datetime(2012, 7, 9, 20, tzinfo=UTC)
    written(rows(new), store, {"merge": True})
    assert store.read(Table.BARS)["timestamp"].to_list() == [MAY, JUNE, new]
    written(rows(new), store, {})
    assert store.read(Table.BARS)["timestamp"].to_list() == [new]


def test_a_month_outside_the_run_is_refused(store):
    with pytest.raises(DataQualityError, match="outside"):
        written(rows(MAY), store, {}, partition_key="2012-06-01")
    assert store.read(Table.BARS).height == 2


def test_a_table_is_loaded_by_the_months_asked_for(store):
    @dg.asset(io_manager_key="tables", metadata={"table": "bars"}, partitions_def=MONTHS)
    def bars_here() -> None: ...

    seen = {}

    @dg.asset(partitions_def=MONTHS, io_manager_key="none")
    def after(bars_here: pl.DataFrame) -> None:
        seen["rows"] = bars_here["timestamp"].to_list()

    resources = {"tables": TableIOManager(store), "none": dg.mem_io_manager}
    graph = [bars_here, after]
    found = dg.materialize(
        graph, resources=resources, selection=[after], partition_key="2012-05-01"
    )
    assert found.success
    assert seen["rows"] == [MAY]
