"""What persons asked for beside the record: it works while bus and database are away."""

from collections.abc import Sequence
from typing import Protocol

from domain.orders import TradingStateRequested


class KillSwitch(Protocol):
    """The last request of each scope."""

    def requests(self) -> Sequence[TradingStateRequested]:
        """Return them; cheap enough to ask before every order."""
        ...
