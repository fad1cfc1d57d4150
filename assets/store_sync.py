"""The second store, filled from the first."""

import dagster as dg

from adapters.time_series import open_delta, open_influxdb
from adapters.time_series.synchronize import synchronize
from assets.code_version import code_version
from assets.features import features
from assets.ingestion import bars, news, order_books, quarantine
from assets.metadata import table
from domain.ports.time_series import Table
from domain.settings import Settings


@dg.asset(
    group_name="store_sync",
    owners=["team:platform"],
    kinds={"influxdb", "deltalake"},
    tags={"stage": "store_sync"},
    deps=[bars, news, order_books, features, quarantine],
    code_version=code_version("adapters.time_series.synchronize"),
)
def second_store(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult:
    """Fill InfluxDB from the Delta tables, or the other way where InfluxDB is the first."""
    if not settings.time_series.influxdb_url:
        return dg.MaterializeResult(metadata={"tables": 0, "why": "No InfluxDB is set."})
    delta, influxdb = open_delta(settings), open_influxdb(settings)
    first_is_delta = settings.time_series.primary == "delta"
    source, target = (delta, influxdb) if first_is_delta else (influxdb, delta)
    found = synchronize(source, target, Table)
    return dg.MaterializeResult(
        metadata={
            "tables": len(found),
            "rows_written": sum(each.written for each in found),
            "filled": table([each._asdict() for each in found]),
        }
    )


@dg.asset_check(asset=second_store, description="Both stores have the same versions.")
def stores_agree(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """Fail where a table differs between the stores."""
    if not settings.time_series.influxdb_url:
        return dg.AssetCheckResult(passed=True, description="No InfluxDB is set.")
    delta, influxdb = open_delta(settings), open_influxdb(settings)
    off = [each.value for each in Table if delta.version(each) != influxdb.version(each)]
    return dg.AssetCheckResult(
        passed=not off,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(Table) - len(off)} of {len(Table)} tables have the same version."
        + (f" Others: {', '.join(off)}." if off else ""),
    )
