"""Time-series stores: Delta tables, InfluxDB, and memory."""

from domain.errors import ConfigurationError
from domain.ports.time_series import TimeSeriesStore
from domain.settings import Settings


def open_time_series(settings: Settings) -> TimeSeriesStore:
    """Return the store that everything reads and writes."""
    if settings.time_series.primary == "influxdb":
        return open_influxdb(settings)
    return open_delta(settings)


def open_delta(settings: Settings) -> TimeSeriesStore:
    """Return the Delta tables, below the state folder or where the settings say."""
    from adapters.time_series.delta import DeltaTimeSeries  # noqa: PLC0415 - polars is heavy
    from adapters.time_series.delta_location import DeltaLocation  # noqa: PLC0415

    asked = settings.time_series
    root = asked.location or settings.home / "tables"
    return DeltaTimeSeries(DeltaLocation(root, asked.storage_options))


def open_influxdb(settings: Settings) -> TimeSeriesStore:
    """Return the store on InfluxDB.

    Raises
    ------
    ConfigurationError
        If no URL is set.
    """
    from adapters.time_series.influx import InfluxTimeSeries  # noqa: PLC0415
    from adapters.time_series.influx_access import InfluxAccess  # noqa: PLC0415

    asked = settings.time_series
    if not asked.influxdb_url:
        raise ConfigurationError(
            "No InfluxDB is set.", next_step="Set QUORUM_TIME_SERIES__INFLUXDB_URL and its token."
        )
    return InfluxTimeSeries(
        InfluxAccess(asked),
        settings.home / "locks",
        retention_days=asked.influxdb_retention_days,
    )
