"""Read the record from a command: connect, see that the read side is up to date, ask, leave."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from adapters.ledger import migrate, open_ledger
from adapters.profile import connected
from adapters.projections.queries import Queries
from consensus.audit import Audit, export_line, read_log, verify_ledger
from domain.ports.ledger import Ledger, Log
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


def export_log(settings: Settings, log: Log, file: Path) -> int:
    """Write a log's events to a file, one a line, and return how many."""

    async def write(ledger: Ledger) -> int:
        count = 0
        with file.open("wb") as lines:
            async for entry in read_log(ledger, log):
                lines.write(export_line(entry))
                count += 1
        return count

    return ask(settings, write)


def audit_logs(settings: Settings) -> dict[str, Audit]:
    """Return log → what checking its hash chain found."""

    async def verify(ledger: Ledger) -> dict[str, Audit]:
        return {log.value: await verify_ledger(ledger, log) for log in Log}

    return ask(settings, verify)
