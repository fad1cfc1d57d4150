"""The one writer of one partition of a log: its lease, and its patience with the record."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from msgspec.structs import replace

from consensus.retries import wait_before_retry
from domain.errors import RecordUnavailable
from domain.metrics import Metric
from domain.ports.ledger import Commit, Committed, Lease, Ledger, Offset
from domain.ports.metrics import Metrics

_log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")


class Stopped(Exception):
    """Not an error: the process was asked to stop while something was being retried."""


class Recorder:
    """Writes one partition of one log, once it holds the lease.

    Every operation is repeated until the record is there for it: nothing goes on without it.
    """

    def __init__(self, ledger: Ledger, metrics: Metrics, *, log: str, partition: int) -> None:
        self.ledger = ledger
        self.log = log
        self.partition = partition
        self.available = True
        """Whether the last operation went through."""
        self._metrics = metrics
        self._stop = asyncio.Event()
        self._lease: Lease | None = None
        self._sequence = 0

    async def become_writer(self, stop: asyncio.Event) -> None:
        """Wait for the lease, a standby for as long as it takes, but not beyond `stop`.

        Raises
        ------
        Stopped
            If it was asked to stop before.
        """
        self._stop = stop
        self._show_session(works=False)
        acquiring = asyncio.ensure_future(
            self.patiently(lambda: self.ledger.acquire(self.log, self.partition))
        )
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({acquiring, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not acquiring.done():
                raise Stopped
            self._lease = acquiring.result()
            self._sequence = self._lease.sequence
            self._show_session(works=True)
        finally:
            acquiring.cancel()
            stopping.cancel()
            await asyncio.gather(acquiring, stopping, return_exceptions=True)

    @property
    def lease(self) -> Lease:
        """The lease that is held."""
        if self._lease is None:
            raise AssertionError("writes only as the holder of the lease")
        return self._lease

    async def offsets(self) -> Sequence[Offset]:
        """Return how far the log has taken in its sources."""
        return await self.patiently(lambda: self.ledger.offsets(self.log, self.partition))

    async def release(self) -> None:
        """Let another process write, if this one does."""
        if self._lease is None:
            return
        self._show_session(works=False)
        try:
            await self.ledger.release(self._lease)
        except RecordUnavailable as problem:
            _log.warning("the lease ends with its session", log=self.log, problem=problem.what)

    async def commit(self, commit: Commit) -> Committed:
        """Commit behind what was committed last.

        Raises
        ------
        domain.errors.Fenced, domain.errors.SequenceConflict
            If another process writes by now.
        """
        lease, began = self.lease, time.perf_counter()
        following = replace(commit, expected_sequence=self._sequence)
        committed = await self.patiently(lambda: self.ledger.commit(lease, following))
        self._metrics.observe(Metric.COMMIT_SECONDS, time.perf_counter() - began)
        self._metrics.observe(Metric.COMMIT_BATCH, len(commit.events))
        self._sequence = committed.sequence
        return committed

    async def patiently(self, operation: Callable[[], Awaitable[_Result]]) -> _Result:
        """Repeat a ledger operation until the record is back.

        Raises
        ------
        Stopped
            If the process is asked to stop meanwhile.
        """
        attempt = 0
        while True:
            try:
                result = await operation()
            except RecordUnavailable as problem:
                self.available = False
                self._show_session(works=False)
                self._metrics.count(Metric.RETRIES, operation="record")
                _log.warning("halted: the ledger is away", log=self.log, problem=problem.what)
                await self.pause(attempt)
                attempt += 1
            else:
                if not self.available:
                    self.available = True
                    self._show_session(works=self._lease is not None)
                return result

    async def pause(self, attempt: int) -> None:
        """Wait before the next attempt.

        Raises
        ------
        Stopped
            If the process is asked to stop meanwhile.
        """
        await wait_before_retry(self._stop, attempt)
        if self._stop.is_set():
            raise Stopped

    def _show_session(self, *, works: bool) -> None:
        self._metrics.gauge(
            Metric.LEDGER_SESSIONS, works, log=self.log, partition=str(self.partition)
        )
