"""Time as a port."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Where `occurred_at` comes from: the system's clock, or the messages of a replay."""

    def now(self) -> datetime:
        """Return the present instant, aware, UTC, never before an instant returned earlier."""
        ...

    def observe(self, moment: datetime) -> None:
        """Tell the clock of a message's time; an event clock moves forward to it."""
        ...
