"""The exactly-once processor: bus → handler → one transaction → outbox → acknowledgement.

Delivery is at least once; effects are exactly once, because the positions of the inputs commit
together with what they caused. There is no start path but recovery.
"""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import structlog

from consensus.handler import Batch, Effects, Handler, dead_letter
from consensus.intake import Intake, Source, offsets_of
from consensus.retries import keep_running, wait_before_retry
from domain.errors import EnvironmentProblem, Fenced, MessageRefused, RecordUnavailable
from domain.messages import Message, decode, encode
from domain.metrics import Metric
from domain.ports.bus import Delivery, MessageBus
from domain.ports.ledger import (
    Commit,
    DeadLetter,
    Lease,
    Ledger,
    Offset,
    OutboxItem,
)
from domain.ports.metrics import Metrics
from domain.streams import Stream

_log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")
__all__ = ["Batch", "Effects", "Handler", "Processor", "dead_letter", "keep_running"]

_ATTEMPTS_AT_A_FAULT = 3


class Processor:
    """Runs one handler over its sources, as the one writer of one partition of its log.

    Parameters
    ----------
    group
        Consumer group; backlog 0 for it means that everything it caused was published.
    partition
        The partition of the handler's log that this processor writes.
    sources
        Stream partitions to consume.
    last
        Streams that are handled only behind what stood on the others (see `Intake`).
    limit
        Messages that one transaction takes in at most.
    """

    def __init__(
        self,
        bus: MessageBus,
        ledger: Ledger,
        handler: Handler,
        metrics: Metrics,
        *,
        group: str,
        sources: Sequence[Source],
        partition: int = 0,
        last: Sequence[Stream] = (),
        limit: int = 512,
        wait_ms: int = 200,
    ) -> None:
        self._bus = bus
        self._ledger = ledger
        self._handler = handler
        self._metrics = metrics
        self._group = group
        self._partition = partition
        self._sources = tuple(sources)
        self._intake = Intake(
            bus,
            group=group,
            consumer=f"{group}-{partition}",
            sources=sources,
            last=last,
            limit=limit,
            wait_ms=wait_ms,
        )
        self._lease: Lease | None = None
        self._sequence = 0
        self._stop = asyncio.Event()
        self.ready = False
        """Whether it is the writer, has recovered, and its last transaction went through."""

    async def run(self, stop: asyncio.Event) -> None:
        """Recover, then process until `stop` is set; what is in hand then is finished.

        Raises
        ------
        domain.errors.Fenced
            If another process took the partition over.
        domain.errors.EnvironmentProblem
            If the bus is lost. Start again (`keep_running`): what was delivered and not
            acknowledged comes again only to a new consumer.
        """
        self._stop = stop
        try:
            self._lease = await self._become_writer()
            self._sequence = self._lease.sequence
            await self._recover()
            self._intake.resume(
                await self._recorded(
                    lambda: self._ledger.offsets(self._handler.log, self._partition)
                )
            )
            await self._relay_rest()
            self.ready = True
            while not self._stop.is_set():
                await self._step()
        except _Stopped:
            _log.warning("stopped before its work was recorded", group=self._group)
        finally:
            self.ready = False
            if self._lease is not None:
                with suppress(RecordUnavailable):
                    await self._ledger.release(self._lease)

    async def observe_lag(self) -> None:
        """Set the lag gauges of every source; for a slow loop beside `run`."""
        for stream, partition in self._sources:
            backlog = await self._bus.backlog(self._group, stream, partition)
            self._metrics.gauge(Metric.STREAM_LAG, backlog.total, group=self._group, stream=stream)

    async def _become_writer(self) -> Lease:
        """Wait for the lease, a standby for as long as it takes, but not beyond `stop`."""
        acquiring = asyncio.ensure_future(
            self._recorded(lambda: self._ledger.acquire(self._handler.log, self._partition))
        )
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({acquiring, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if acquiring.done():
                return acquiring.result()
            raise _Stopped
        finally:
            acquiring.cancel()
            stopping.cancel()

    async def _step(self) -> None:
        deliveries, known = await self._intake.next()
        if known:
            await self._bus.acknowledge(self._group, known)
        for delivery in deliveries:
            self._metrics.count(Metric.MESSAGES_CONSUMED, group=self._group, stream=delivery.stream)
        if deliveries:
            await self._process(deliveries)

    async def _process(self, deliveries: list[Delivery]) -> None:
        batch: list[tuple[Delivery, Message]] = []
        letters: list[DeadLetter] = []
        for delivery in deliveries:
            try:
                batch.append((delivery, decode(delivery.data)))
            except MessageRefused as refusal:
                letters.append(dead_letter(delivery, refusal.what))
        try:
            effects = await self._handle(batch) if batch else Effects()
        except (Fenced, EnvironmentProblem, _Stopped):
            raise
        except Exception as fault:  # noqa: BLE001 - no fault of one message may block the partition
            await self._recover()
            if len(deliveries) > 1:
                for delivery in deliveries:
                    await self._process([delivery])
                return
            _log.exception("message not processable", stream=deliveries[0].stream)
            trace = "".join(traceback.format_exception(fault))
            letters.append(dead_letter(deliveries[0], f"{type(fault).__name__}: {fault}", trace))
            effects = Effects()
        await self._commit(deliveries, effects, letters)

    async def _handle(self, batch: Batch) -> Effects:
        """Let the handler handle; a single message is tried again before it is given up."""
        faults = 0
        while True:
            try:
                return await self._handler.handle(batch)
            except (Fenced, EnvironmentProblem, _Stopped):
                raise
            except RecordUnavailable:
                _log.warning("ledger away while handling", group=self._group)
            except Exception:
                faults += 1
                if len(batch) > 1 or faults == _ATTEMPTS_AT_A_FAULT:
                    raise
            await self._pause(faults)
            await self._recover()

    async def _commit(
        self, deliveries: list[Delivery], effects: Effects, letters: list[DeadLetter]
    ) -> None:
        offsets = offsets_of(deliveries)
        await self._write(effects, letters, offsets)
        self._intake.committed(offsets)
        following = await self._handler.committed(effects)
        while following is not None:
            await self._write(following)
            following = await self._handler.committed(following)
        await self._bus.acknowledge(self._group, deliveries)

    async def _write(
        self,
        effects: Effects,
        letters: Sequence[DeadLetter] = (),
        offsets: tuple[Offset, ...] = (),
    ) -> None:
        """Commit, then publish what the commit put into the outbox."""
        commit = Commit(
            expected_sequence=self._sequence,
            offsets=offsets,
            inputs=effects.inputs,
            events=effects.events,
            outbox=effects.outbox,
            dead_letters=(*letters, *effects.dead_letters),
            ignored=effects.ignored,
            snapshot=effects.snapshot,
        )
        started, lease = time.perf_counter(), self._held()
        committed = await self._recorded(lambda: self._ledger.commit(lease, commit))
        self._metrics.observe(Metric.COMMIT_SECONDS, time.perf_counter() - started)
        self._metrics.observe(Metric.COMMIT_BATCH, len(commit.events))
        self._sequence = committed.sequence
        for letter in commit.dead_letters:
            await self._bus.publish_raw(Stream.DEAD_LETTERS, letter.partition, encode(letter))
            reason = "fault" if letter.trace else "refused"
            self._metrics.count(Metric.MESSAGES_REFUSED, stream=letter.stream, reason=reason)
        await self._relay(committed.outbox)

    def _held(self) -> Lease:
        if self._lease is None:
            raise AssertionError("writes only as the holder of the lease")
        return self._lease

    async def _relay_rest(self) -> None:
        log, partition = self._handler.log, self._partition
        while rest := await self._recorded(lambda: self._ledger.unpublished(log, partition)):
            await self._relay(rest)

    async def _relay(self, items: Sequence[OutboxItem]) -> None:
        for item in items:
            await self._bus.publish(
                item.stream, item.partition, item.message, sequence=item.sequence
            )
            self._metrics.count(Metric.MESSAGES_PUBLISHED, stream=item.stream)
        if items:
            lease = self._held()
            await self._recorded(lambda: self._ledger.mark_published(lease, items))

    async def _recover(self) -> None:
        await self._recorded(lambda: self._handler.recover(self._ledger))

    async def _recorded(self, operation: Callable[[], Awaitable[_Result]]) -> _Result:
        """Repeat a ledger operation until the record is back; nothing goes on without it."""
        was_ready, attempt = self.ready, 0
        while True:
            try:
                result = await operation()
            except RecordUnavailable as problem:
                self.ready = False
                _log.warning("halted: the ledger is away", group=self._group, problem=problem.what)
                await self._pause(attempt)
                attempt += 1
            else:
                self.ready = was_ready
                return result

    async def _pause(self, attempt: int) -> None:
        await wait_before_retry(self._stop, attempt)
        if self._stop.is_set():
            raise _Stopped


class _Stopped(Exception):
    """Not an error: `stop` was set while something was being retried."""
