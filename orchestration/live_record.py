"""Reading the live plane's ledger from a batch run."""

from collections.abc import Sequence

from domain.messages import Message
from domain.ports.ledger import Ledger, Log
from domain.settings import Settings


class LedgerRecord:
    """The ledger of the settings; the embedded one is started, or joined, while it is read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def messages(self, log: Log) -> Sequence[Message]:
        """Return a log's events, partition by partition, each in its order."""
        from consensus.audit import read_log  # noqa: PLC0415 - the drivers, when they are used
        from orchestration.record import ask  # noqa: PLC0415

        async def read(ledger: Ledger) -> list[Message]:
            return [entry.message async for entry in read_log(ledger, log)]

        return ask(self._settings, read)
