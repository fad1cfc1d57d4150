"""What is asked of the stores and of Dagster about data, outside of a run."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapters.time_series import open_delta, open_influxdb
from adapters.time_series.synchronize import Synchronized, synchronize
from domain.ports.time_series import Table
from domain.settings import Settings

if TYPE_CHECKING:
    from adapters.time_series.influx_buckets import Prepared
    from evaluation.asset_health import AssetHealth


def fill(settings: Settings, target: str, tables: Sequence[Table]) -> list[Synchronized]:
    """Fill `target` (delta or influxdb) from the other store.

    Raises
    ------
    ConfigurationError
        If no InfluxDB is set.
    """
    influxdb, delta = open_influxdb(settings), open_delta(settings)
    source, filled = (delta, influxdb) if target == "influxdb" else (influxdb, delta)
    return synchronize(source, filled, tables)


def prepare_influxdb(settings: Settings) -> "Prepared":
    """Make the buckets and tasks that are missing.

    Raises
    ------
    ConfigurationError
        If no InfluxDB is set.
    """
    from adapters.time_series.influx_access import InfluxAccess  # noqa: PLC0415 - when used
    from adapters.time_series.influx_buckets import prepare  # noqa: PLC0415

    open_influxdb(settings)
    return prepare(InfluxAccess(settings.time_series), settings.time_series)


def health_now(settings: Settings) -> "list[AssetHealth]":
    """Return every asset's health."""
    from assets.asset_health import health_of_all  # noqa: PLC0415 - Dagster, when it is used
    from orchestration.pipeline import dagster_instance  # noqa: PLC0415
    from orchestration.resources import entries  # noqa: PLC0415

    with dagster_instance(settings) as instance:
        return health_of_all(instance, entries(), settings, datetime.now(UTC))
