"""When an exchange was open."""

from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import polars as pl

from domain.errors import ConfigurationError
from domain.sessions import Sessions


def trading_sessions(exchange: str, first: date, last: date) -> Sessions:
    """Return an exchange's sessions between two days, both included.

    Raises
    ------
    ConfigurationError
        If the calendar's code is unknown.
    """
    hours = session_hours(exchange, first, last)
    return Sessions(tuple(hours["open"]), tuple(hours["close"]))


def session_closes(exchange: str, first: date, last: date) -> pl.DataFrame:
    """Return `date` and `close` (UTC) of an exchange's sessions, as `session_hours`."""
    return session_hours(exchange, first, last).select("date", "close")


@lru_cache(maxsize=4)
def session_hours(exchange: str, first: date, last: date) -> pl.DataFrame:
    """Return `date`, `open` and `close` (UTC) of an exchange's sessions, early closes among them.

    Raises
    ------
    ConfigurationError
        If the calendar's code is unknown.
    """
    import exchange_calendars  # noqa: PLC0415 - takes a second and pandas
    from exchange_calendars.errors import InvalidCalendarName  # noqa: PLC0415

    try:
        calendar = exchange_calendars.get_calendar(
            exchange,
            start=first,
            end=last + timedelta(days=1),  # it wants two days at least
        )
    except InvalidCalendarName:
        raise ConfigurationError(
            f"{exchange!r} is no exchange that is known.",
            next_step="Set QUORUM_QUALITY__EXCHANGE to a code such as XNYS, XLON or 24/7.",
        ) from None

    def instants(times: Any) -> pl.Series:  # noqa: ANN401 - a pandas series
        found = pl.Series(times.dt.tz_localize(None).to_numpy()).cast(pl.Datetime("us"))
        return found.dt.replace_time_zone("UTC")

    return pl.DataFrame(
        {
            "date": pl.Series(calendar.closes.index.to_numpy()).cast(pl.Date),
            "open": instants(calendar.opens),
            "close": instants(calendar.closes),
        }
    ).filter(pl.col("date") <= last)
