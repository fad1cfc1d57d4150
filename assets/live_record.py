"""The live plane's record as the batch plane reads it."""

from collections.abc import Sequence
from typing import Protocol

from domain.messages import Message
from domain.ports.ledger import Log


class LiveRecord(Protocol):
    """Reads a whole log of the ledger."""

    def messages(self, log: Log) -> Sequence[Message]:
        """Return a log's events, partition by partition, each in its order."""
        ...
