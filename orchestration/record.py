"""Read the record from a command: connect, see that the read side is up to date, ask, leave."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

from adapters.ledger import migrate, open_ledger
from adapters.profile import connected
from adapters.projections.queries import Queries
from domain.ports.ledger import Ledger
from domain.settings import Settings
from orchestration.projections import bring_up_to_date

Answer = TypeVar("Answer")


def ask(settings: Settings, question: Callable[[Ledger], Awaitable[Answer]]) -> Answer:
    """Return a question's answer from the ledger; the embedded one is started while it is read."""
    with connected(settings, servers=("postgres",)) as ready:
        migrate(ready.ledger_url.get_secret_value())
        return asyncio.run(_asked(ready, question))


async def _asked(settings: Settings, question: Callable[[Ledger], Awaitable[Answer]]) -> Answer:
    ledger = open_ledger(settings)
    try:
        return await question(ledger)
    finally:
        await ledger.close()


@contextmanager
def read_side(settings: Settings) -> Generator[Queries]:
    """Yield the projections, up to date with the logs."""
    with connected(settings, servers=("postgres",)) as ready:
        url = ready.ledger_url.get_secret_value()
        migrate(url)
        bring_up_to_date(url)
        queries = Queries(url)
        try:
            yield queries
        finally:
            queries.close()
