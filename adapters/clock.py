"""Where `occurred_at` comes from: the machine's clock, or the messages of a replay."""

from datetime import UTC, datetime

from domain.errors import InvalidValue
from domain.messages import utc
from domain.ports.clock import Clock
from domain.settings import Settings


class SystemClock:
    """Wall-clock time in UTC that never steps back, even when the machine's clock does."""

    def __init__(self) -> None:
        self._latest = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """Return the present instant; the latest one again while the machine's clock lags it."""
        self._latest = max(self._latest, datetime.now(UTC))
        return self._latest

    def observe(self, moment: datetime) -> None:
        """Do nothing: the messages' time does not move this clock."""


class EventClock:
    """The latest `occurred_at` observed, so that a replay gives the same times again."""

    def __init__(self) -> None:
        self._latest: datetime | None = None

    def now(self) -> datetime:
        """Return the latest observed instant.

        Raises
        ------
        InvalidValue
            Before any message was observed: an invented epoch would enter the record as a fact.
        """
        if self._latest is None:
            raise InvalidValue(
                "The event clock was read before it observed a message.",
                next_step="Observe the message that is handled before asking for the time.",
            )
        return self._latest

    def observe(self, moment: datetime) -> None:
        """Move forward to `moment`; an earlier one changes nothing."""
        moment = utc(moment, "moment")
        if self._latest is None or moment > self._latest:
            self._latest = moment


def open_clock(settings: Settings) -> Clock:
    """Return the clock that the settings ask for."""
    return EventClock() if settings.clock == "event" else SystemClock()
