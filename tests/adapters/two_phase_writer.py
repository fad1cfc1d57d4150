"""A writer that commits two order intents with their capital, and dies at a given step."""

import asyncio
import os
import signal
import sys
from decimal import Decimal

import psycopg

from adapters.ledger import PostgresLedger
from domain.ports.ledger import Commit, Log, Reservation
from tests.builders import tick

#: Where it dies: (what is called, whether before or behind it).
STEPS = {
    "before it is begun": ("tpc_begin", "before"),
    "before it is prepared": ("tpc_prepare", "before"),
    "when it is prepared": ("tpc_prepare", "behind"),
    "when it is decided": ("advance", "behind"),
    "when it is committed": ("tpc_commit", "behind"),
}


def commit_of(number: int, sequence: int) -> Commit:
    """An event that stands for an order intent, and the capital that it holds."""
    event = tick(number)
    held = Reservation(client_order_id=event.message_id, amount=Decimal(100 + number))
    return Commit(expected_sequence=sequence, events=(event,), reservations=(held,))


def die_at(step: str) -> None:
    what, when = STEPS[step]
    name = "execute" if what == "advance" else what
    original = getattr(psycopg.AsyncConnection, name)

    async def deadly(self, *args, **others):
        here = name != "execute" or "ledger.advance" in str(args[0])
        if here and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = await original(self, *args, **others)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(psycopg.AsyncConnection, name, deadly)


async def main(record: str, portfolio: str, step: str) -> None:
    ledger = PostgresLedger(record, portfolio_url=portfolio)
    lease = await ledger.acquire(Log.ORDERS, 0)
    committed = await ledger.commit(lease, commit_of(1, lease.sequence))
    die_at(step)
    await ledger.commit(lease, commit_of(2, committed.sequence))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
