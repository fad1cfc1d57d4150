"""When a venue trades: its sessions as instants, so that nothing here needs a calendar library."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Sessions:
    """Trading sessions, oldest first; each is open from its open on and before its close.

    Parameters
    ----------
    opens, closes
        One instant a session (UTC); daylight saving and early closes are in them.

    Raises
    ------
    InvalidValue
        If there is none, or they overlap or are out of order.
    """

    opens: Sequence[datetime]
    closes: Sequence[datetime]

    def __post_init__(self) -> None:
        instants = [i for pair in zip(self.opens, self.closes, strict=True) for i in pair]
        ordered = all(a < b for a, b in zip(instants[::2], instants[1::2], strict=True))
        if not instants or not ordered or instants != sorted(instants):
            raise InvalidValue(
                "The sessions are empty, overlap or are out of order.",
                next_step="Give each session's open before its close, oldest session first.",
            )

    def cover(self, at: datetime) -> bool:
        """Whether the table says anything about `at`."""
        return self.opens[0] <= at < self.closes[-1]

    def is_open(self, at: datetime) -> bool:
        """Whether `at` lies within a session."""
        return (index := bisect_right(self.opens, at)) > 0 and at < self.closes[index - 1]

    def next_open(self, at: datetime) -> datetime | None:
        """Return when the first session after `at` opens; None past the table's end."""
        index = bisect_right(self.opens, at)
        return self.opens[index] if index < len(self.opens) else None

    def closed_before(self, at: datetime) -> datetime | None:
        """Return the last close by `at`; None before the table's first."""
        index = bisect_right(self.closes, at)
        return self.closes[index - 1] if index else None

    def due(self, at: datetime, session: int) -> datetime | None:
        """Return the open of the `session`-th session from `at` on; 0 is the present or next one.

        None where the table ends before.
        """
        index = bisect_right(self.closes, at) + session
        return self.opens[index] if index < len(self.opens) else None
