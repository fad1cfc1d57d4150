"""Reading the live plane's ledger from a batch run."""

import asyncio
from collections.abc import Sequence

from domain.messages import Message
from domain.ports.ledger import Log
from domain.settings import Settings

_PAGE = 1000


class LedgerRecord:
    """The ledger of the settings; the embedded one is started, or joined, while it is read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def messages(self, log: Log) -> Sequence[Message]:
        """Return a log's events, partition by partition, each in its order."""
        from adapters.profile import connected  # noqa: PLC0415 - the drivers, when they are used

        with connected(self._settings, servers=("postgres",)) as settings:
            return asyncio.run(_read(settings, log))


async def _read(settings: Settings, log: Log) -> list[Message]:
    from adapters.ledger import open_ledger  # noqa: PLC0415

    ledger = open_ledger(settings)
    found: list[Message] = []
    try:
        for head in await ledger.heads(log):
            after = 0
            while page := await ledger.events(log, head.partition, after=after, limit=_PAGE):
                found += [event.message for event in page]
                after = page[-1].sequence
    finally:
        await ledger.close()
    return found
