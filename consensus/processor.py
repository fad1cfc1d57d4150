"""The exactly-once processor: bus → handler → one transaction → outbox → acknowledgement.

Delivery is at least once; effects are exactly once, because the positions of the inputs commit
together with what they caused. There is no start path but recovery.
"""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Sequence
from typing import Any

import structlog

from consensus.committer import Committer
from consensus.handler import Batch, Handler, dead_letter
from consensus.intake import Intake, Source
from consensus.reception import Attribute, Reception, to_nobody
from consensus.recorder import Recorder, Stopped
from consensus.relay import Relay
from consensus.work import Work
from domain.errors import (
    AlreadyRecorded,
    EnvironmentProblem,
    Fenced,
    RecordUnavailable,
)
from domain.messages import MAXIMUM_MESSAGE_BYTES
from domain.metrics import Metric
from domain.ports.bus import MessageBus
from domain.ports.ledger import Ledger
from domain.ports.metrics import Metrics
from domain.refusals import Refusal
from domain.streams import Stream

_log = structlog.get_logger(__name__)

_ATTEMPTS_AT_A_FAULT = 3
_HOLD_MS = 20
_READS_A_TRANSACTION = 4  # while one is on its way


class Processor:
    """Runs one handler over its sources, as the one writer of one partition of its log.

    A transaction is worth its disk write only when it causes something: messages that cause
    nothing yet (a proposal before its votes) wait a moment for those that do, and commit with
    them. While a transaction is on its way the next messages are read and decoded and, where the
    handler can go `ahead`, handled, until they are as many as one transaction takes in;
    transactions follow one another.

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
        Messages from which on a transaction takes in no more; it may come to about twice as many.
    ahead
        Whether the handler handles a batch before it heard that the one before is committed.
        Where that one is refused, what was handled on top of it is handled again.
    maximum_bytes, attribute
        See `Reception`.
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
        ahead: bool = False,
        maximum_bytes: int = MAXIMUM_MESSAGE_BYTES,
        attribute: Attribute = to_nobody,
    ) -> None:
        self._bus = bus
        self._handler = handler
        self._metrics = metrics
        self._group = group
        self._limit = limit
        self._ahead = ahead
        self._stop = asyncio.Event()
        self._intake = Intake(
            bus,
            group=group,
            consumer=f"{group}-{partition}",
            sources=sources,
            last=last,
            limit=max(1, limit // _READS_A_TRANSACTION) if ahead else limit,
            wait_ms=wait_ms,
        )
        self._reception = Reception(
            self._intake, metrics, group=group, maximum_bytes=maximum_bytes, attribute=attribute
        )
        self._recorder = Recorder(ledger, metrics, log=handler.log, partition=partition)
        self._relay = Relay(bus, self._recorder, metrics)
        self._committer = Committer(
            bus,
            handler,
            metrics,
            group=group,
            intake=self._intake,
            recorder=self._recorder,
            relay=self._relay,
        )
        self._work = Work()
        self._arriving: asyncio.Task[Work] | None = None
        self._leaving: tuple[Work, asyncio.Task[None]] | None = None
        self._running = False

    @property
    def ready(self) -> bool:
        """Whether it is the writer, has recovered, and its last transaction went through."""
        return self._running and self._recorder.available

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
            await self._recorder.become_writer(stop)
            await self._recover()
            self._intake.resume(await self._recorder.offsets())
            await self._relay.resume()
            self._running = True
            while not stop.is_set():
                await self._step()
            await self._drain()
        except Stopped:
            _log.warning("stopped before its work was recorded", group=self._group)
        finally:
            self._running = False
            await self._cancel()
            await self._recorder.release()

    async def _step(self) -> None:
        arrived = await self._next()
        if arrived.known:
            await self._bus.acknowledge(self._group, arrived.known)
        if self._ahead and arrived.deliveries:
            # Handling yields to nobody: what servers do meanwhile must be asked for before.
            self._read(hold=True)
            await asyncio.sleep(0)
        await self._take_in(arrived)
        due = self._work.is_due or not arrived.deliveries
        if self._leaving is not None and not self._leaving[1].done():
            # More goes with it meanwhile; but while the record is away no deadline passes.
            due = due and not self._recorder.available
        if due or self._work.is_full(self._limit):
            await self._finish()

    async def _drain(self) -> None:
        """Finish what is in hand."""
        if self._arriving is not None and self._arriving.done():
            await self._take_in(await self._next())
        await self._finish()
        await self._settle()
        await self._relay.mark()

    async def _cancel(self) -> None:
        tasks: list[asyncio.Task[Any]] = [self._arriving] if self._arriving else []
        tasks += [self._leaving[1]] if self._leaving else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _next(self) -> Work:
        """Return what was read meanwhile, or read: not for long while work waits for more."""
        if self._arriving is None and self._leaving is None:
            return await self._reception.next(self._hold_ms)
        arriving = self._read()
        while self._leaving is not None and not arriving.done():
            _, leaving = self._leaving
            await asyncio.wait({arriving, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                await self._settle()
                if self._work.is_due:
                    return Work()
        arrived = await arriving
        self._arriving = None
        return arrived

    def _read(self, *, hold: bool = False) -> asyncio.Task[Work]:
        if self._arriving is None:
            wait_ms = _HOLD_MS if hold else self._hold_ms
            self._arriving = asyncio.create_task(self._reception.next(wait_ms))
        return self._arriving

    @property
    def _hold_ms(self) -> int | None:
        return _HOLD_MS if self._work.deliveries else None

    async def _take_in(self, arrived: Work) -> None:
        """Handle what arrived, as part of the work that commits next."""
        if not arrived.deliveries:
            return
        began = time.perf_counter()
        self._work.add(arrived)
        try:
            if arrived.batch:
                await self._handle(arrived.batch)
        except (Fenced, EnvironmentProblem, Stopped):
            raise
        except Exception as fault:  # noqa: BLE001 - no fault of one message may block the partition
            await self._take_in_one_by_one(fault)
        self._committer.stage("handle", began)

    async def _handle(self, batch: Batch, tried: Exception | None = None) -> None:
        """Let the handler handle; a single message is tried again before it is given up.

        Raises `tried` where it has been given up already.
        """
        if tried is not None:
            raise tried
        faults = 0
        while batch:
            try:
                self._work.effects.append(await self._handler.handle(batch))
            except (Fenced, EnvironmentProblem, Stopped):
                raise
            except RecordUnavailable:
                _log.warning("ledger away while handling", group=self._group)
            except Exception:
                faults += 1
                if len(self._work.batch) > 1 or faults == _ATTEMPTS_AT_A_FAULT:
                    raise
            else:
                return
            self._metrics.count(Metric.RETRIES, operation="handler")
            await self._recorder.pause(faults)
            await self._recover()
            batch = self._work.begin_again()

    async def _take_in_one_by_one(self, fault: Exception | None = None) -> None:
        """Commit each message of the work for itself, and bury the one that can't be handled.

        A message that was handled alone when the `fault` came has had its tries.
        """
        tried = fault if len(self._work.batch) == 1 else None
        await self._recover()
        for single in self._work.parts():
            self._work = single
            try:
                if single.batch:
                    await self._handle(single.batch, tried)
            except (Fenced, EnvironmentProblem, Stopped):
                raise
            except Exception as problem:  # noqa: BLE001 - it becomes a dead letter
                await self._recover()
                delivery = single.deliveries[0]
                _log.exception("message not processable", stream=delivery.stream)
                trace = "".join(traceback.format_exception(problem))
                letter = dead_letter(delivery, Refusal.FAULT, trace, tries=_ATTEMPTS_AT_A_FAULT)
                single.letters.append(letter)
            await self._finish()
            await self._settle()

    async def _finish(self) -> None:
        """Send the work in hand on its way into the record, once what was before it is there."""
        await self._settle()
        await self._relay.look_after()
        work, self._work = self._work, Work()
        if not work.deliveries:
            return
        committing = self._committer.commit(work)
        if self._ahead:
            self._leaving = work, asyncio.create_task(committing)
        else:
            await self._committed(work, committing)

    async def _settle(self) -> None:
        """Wait until the work on its way is committed, published and acknowledged."""
        if self._leaving is not None:
            await self._committed(*self._leaving)

    async def _committed(self, work: Work, committing: Awaitable[None]) -> None:
        """Wait until work is committed; what causes an event that is on record has no effect.

        It is taken in again then, and what was handled on top of it.
        """
        self._read()
        try:
            await committing
        except AlreadyRecorded as known:
            self._leaving = None
            _log.warning("already on record", group=self._group, problem=known.what)
            self._metrics.count(Metric.RETRIES, operation="already_recorded")
            work.add(self._work)
            self._work = work
            await (self._take_in_one_by_one() if len(work.deliveries) > 1 else self._try_again())
        else:
            self._leaving = None

    async def _try_again(self) -> None:
        """Take a message in once more on what recovery found on record; then bury it."""
        work = self._work
        await self._recover()
        try:
            await self._handle(work.begin_again())
            await self._committer.commit(work)
        except AlreadyRecorded as known:
            await self._recover()
            self._work = work
            work.begin_again()
            work.letters.append(
                dead_letter(work.deliveries[0], Refusal.ALREADY_RECORDED, known.what, tries=2)
            )
            await self._committer.commit(work)
        self._work = Work()

    async def _recover(self) -> None:
        await self._settle()
        ledger = self._recorder.ledger
        await self._recorder.patiently(lambda: self._handler.recover(ledger))
