"""What persons ask of the controls' limits, beside the record."""

from collections.abc import Sequence
from typing import Protocol

from domain.limits import LimitChangeConfirmed, LimitChangeRequested


class LimitRequests(Protocol):
    """The last request of each limit, and its confirmations."""

    def requests(self) -> Sequence[LimitChangeRequested | LimitChangeConfirmed]:
        """Return them in the order in which they came; cheap enough to ask with every message."""
        ...
