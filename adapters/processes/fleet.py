"""Which software takes part in trading: what the workers say of themselves.

Processes of this state folder say it in their run files, the writers of decisions, wherever they
run, with their lease on record.
"""

import asyncio
import time
from pathlib import Path

import structlog

from adapters.processes.run_file import software_versions
from domain.errors import RecordUnavailable
from domain.ports.ledger import Ledger, Log

_FRESH_SECONDS = 1.0
_LOOK_SECONDS = 2.0

_log = structlog.get_logger(__name__)


class Fleet:
    """The workers, looked at again every second or two.

    Parameters
    ----------
    home
        The state folder.
    own
        What this process runs.
    partitions
        Partitions of decisions that have a writer.
    """

    def __init__(self, home: Path, own: str, partitions: int) -> None:
        self._home = home
        self._own = own
        self._partitions = partitions
        self._looked = -_FRESH_SECONDS
        self._in_folder: frozenset[str] = frozenset()
        self._on_record: frozenset[str] = frozenset()

    def versions(self) -> frozenset[str]:
        """Return what takes part; more than one is a mixture."""
        now = time.monotonic()
        if now - self._looked >= _FRESH_SECONDS:
            self._in_folder, self._looked = software_versions(self._home), now
        return self._in_folder | self._on_record | {self._own}

    async def look(self, ledger: Ledger) -> None:
        """See what the writers of decisions say; what was known stays while the record is away."""
        try:
            found = await ledger.software(Log.DECISIONS)
        except RecordUnavailable as problem:
            _log.warning("the writers can't be asked what they run", problem=problem.what)
            return
        self._on_record = frozenset(
            software or f"partition {partition} says nothing"
            for partition, software in found.items()
            if partition < self._partitions
        )

    async def watch(self, ledger: Ledger) -> None:
        """Look again and again, as long as this runs."""
        while True:
            await self.look(ledger)
            await asyncio.sleep(_LOOK_SECONDS)
