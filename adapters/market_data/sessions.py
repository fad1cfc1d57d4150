"""When an exchange was open."""

from datetime import UTC, date
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from domain.errors import ConfigurationError
from domain.sessions import Sessions

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar


def trading_sessions(exchange: str, first: date, last: date) -> Sessions:
    """Return an exchange's sessions between two days, both included.

    Raises
    ------
    ConfigurationError
        If the calendar's code is unknown.
    """
    calendar = _calendar(exchange, first, last)
    opens, closes = (
        tuple(moment.to_pydatetime().astimezone(UTC) for moment in column)
        for column in (calendar.opens, calendar.closes)
    )
    return Sessions(opens, closes)


@lru_cache(maxsize=4)
def session_closes(exchange: str, first: date, last: date) -> pl.DataFrame:
    """Return `date` and `close` (UTC) of an exchange's sessions; early closes are as they were.

    Raises
    ------
    ConfigurationError
        If the calendar's code is unknown.
    """
    closes = _calendar(exchange, first, last).closes
    return pl.DataFrame(
        {
            "date": pl.Series(closes.index.to_numpy()).cast(pl.Date),
            "close": pl.Series(closes.dt.tz_localize(None).to_numpy())
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone("UTC"),
        }
    )


def _calendar(exchange: str, first: date, last: date) -> "ExchangeCalendar":
    import exchange_calendars  # noqa: PLC0415 - takes a second and pandas
    from exchange_calendars.errors import InvalidCalendarName  # noqa: PLC0415

    try:
        return exchange_calendars.get_calendar(exchange, start=first, end=last)
    except InvalidCalendarName:
        raise ConfigurationError(
            f"{exchange!r} is no exchange that is known.",
            next_step="Set QUORUM_QUALITY__EXCHANGE to a code such as XNYS, XLON or 24/7.",
        ) from None
