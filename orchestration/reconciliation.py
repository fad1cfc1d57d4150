"""What the gateway last found when it compared its record with the venue."""

import asyncio

from adapters.ledger import open_ledger
from adapters.profile import connected
from domain.ports.ledger import Ledger, Log
from domain.producers import Producer
from domain.reconciliation import Reconciled
from domain.settings import Settings

_PAGE = 1000


def last_reconciliation(settings: Settings) -> Reconciled | None:
    """Return the newest comparison that left something unexplained; None if there is none."""
    with connected(settings, servers=("postgres",), producer=Producer.OPERATOR) as ready:
        return asyncio.run(_last(ready))


async def _last(settings: Settings) -> Reconciled | None:
    ledger = open_ledger(settings)
    try:
        for head in await ledger.heads(Log.ORDERS):
            found = await _newest(ledger, head.partition, head.sequence)
            if found is not None:
                return found
        return None
    finally:
        await ledger.close()


async def _newest(ledger: Ledger, partition: int, last: int) -> Reconciled | None:
    """Return the newest one of a partition, looked for from its end."""
    while last > 0:
        after = max(0, last - _PAGE)
        page = await ledger.events(Log.ORDERS, partition, after=after, limit=last - after)
        for recorded in reversed(page):
            message = recorded.message
            if isinstance(message, Reconciled):
                return message
        last = after
    return None
