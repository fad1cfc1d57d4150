"""Time-series stores: Delta tables, and memory."""

from domain.ports.time_series import TimeSeriesStore
from domain.settings import Settings


def open_time_series(settings: Settings) -> TimeSeriesStore:
    """Return the store that the settings ask for: Delta tables below the state folder."""
    from adapters.time_series.delta import DeltaTimeSeries  # noqa: PLC0415 - polars is heavy

    return DeltaTimeSeries(settings.home / "tables")
