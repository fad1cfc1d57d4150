"""When an exchange was open."""

from datetime import date
from functools import lru_cache

import polars as pl

from domain.errors import ConfigurationError


@lru_cache(maxsize=4)
def session_closes(exchange: str, first: date, last: date) -> pl.DataFrame:
    """Return `date` and `close` (UTC) of an exchange's sessions; early closes are as they were.

    Raises
    ------
    ConfigurationError
        If the calendar's code is unknown.
    """
    import exchange_calendars  # noqa: PLC0415 - takes a second and pandas
    from exchange_calendars.errors import InvalidCalendarName  # noqa: PLC0415

    try:
        calendar = exchange_calendars.get_calendar(exchange, start=first, end=last)
    except InvalidCalendarName:
        raise ConfigurationError(
            f"{exchange!r} is no exchange that is known.",
            next_step="Set QUORUM_QUALITY__EXCHANGE to a code such as XNYS, XLON or 24/7.",
        ) from None
    closes = calendar.closes
    return pl.DataFrame(
        {
            "date": pl.Series(closes.index.to_numpy()).cast(pl.Date),
            "close": pl.Series(closes.dt.tz_localize(None).to_numpy())
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone("UTC"),
        }
    )
