"""The exactly-once processor: bus → handler → one transaction → outbox → acknowledgement.

Delivery is at least once; effects are exactly once, because the positions of the inputs commit
together with what they caused. There is no start path but recovery.
"""

import asyncio
import time
import traceback
from collections import Counter
from collections.abc import Sequence

import msgspec
import structlog

from consensus.handler import Batch, Effects, Handler, dead_letter
from consensus.intake import Intake, Source, offsets_of
from consensus.recorder import Recorder, Stopped
from consensus.relay import Relay
from consensus.work import Work
from domain.errors import EnvironmentProblem, Fenced, MessageRefused, RecordUnavailable
from domain.market import MarketData, Tick
from domain.messages import MAXIMUM_MESSAGE_BYTES, Message, decode, encode
from domain.metrics import Metric
from domain.ports.bus import MessageBus
from domain.ports.ledger import Commit, DeadLetter, Ledger, Offset
from domain.ports.metrics import Metrics
from domain.refusals import Refusal
from domain.streams import Stream
from domain.voting import ConsensusResult, TradingProposal, Vote

_log = structlog.get_logger(__name__)

_ATTEMPTS_AT_A_FAULT = 3
_BYTES_IN_A_LOG_LINE = 500  # a dead letter keeps all of them
#: What nearly every message of a stream is; it decodes the quicker for it.
_CARRIED: dict[Stream, type[Message]] = {
    Stream.MARKET: MarketData,
    Stream.PROPOSALS: TradingProposal,
    Stream.VOTES: Vote,
    Stream.TIME: Tick,
    Stream.DECISIONS: ConsensusResult,
}
_HOLD_MS = 20
_CHECK_SECONDS = 1.0


class Processor:
    """Runs one handler over its sources, as the one writer of one partition of its log.

    A transaction is worth its disk write only when it causes something: messages that cause
    nothing yet (a proposal before its votes) wait a moment for those that do, and commit with
    them. While a transaction is on its way the next messages are read and decoded, and handled
    where `ahead` allows it.

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
    ahead
        Handle while the transaction before is on its way: for a handler that asks of nothing
        that a commit changes. What was handled and can't commit is forgotten with the process.
    limit
        Messages that are read at once; a transaction takes in at most about twice as many.
    maximum_bytes
        Longest message that is decoded.
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
        ahead: bool = False,
        limit: int = 512,
        wait_ms: int = 200,
        maximum_bytes: int = MAXIMUM_MESSAGE_BYTES,
    ) -> None:
        self._bus = bus
        self._handler = handler
        self._metrics = metrics
        self._group = group
        self._ahead = ahead
        self._limit = limit
        self._most = maximum_bytes
        self._stop = asyncio.Event()
        self._intake = Intake(
            bus,
            group=group,
            consumer=f"{group}-{partition}",
            sources=sources,
            last=last,
            limit=limit,
            wait_ms=wait_ms,
        )
        self._recorder = Recorder(ledger, metrics, log=handler.log, partition=partition)
        self._relay = Relay(bus, self._recorder, metrics)
        self._work = Work()
        self._recording: asyncio.Task[None] | None = None
        self._next_check = 0.0
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
            if self._recording is not None:
                self._recording.cancel()
                await asyncio.gather(self._recording, return_exceptions=True)
            await self._recorder.release()

    async def _step(self) -> None:
        arrived = await self._read(_HOLD_MS if self._work.deliveries else None)
        if arrived.known:
            await self._bus.acknowledge(self._group, arrived.known)
        if not self._ahead or self._recording is None or self._recording.done():
            await self._recorded()
            await self._look_after_the_bus()
        await self._take_in(arrived)
        if self._work.is_due or len(self._work.deliveries) >= self._limit or not arrived.deliveries:
            await self._finish()

    async def _look_after_the_bus(self) -> None:
        """Now and then, between two transactions, publish again what the bus lost."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_check:
            self._next_check = now + _CHECK_SECONDS
            await self._relay.restore()
            await self._relay.mark()

    async def _drain(self) -> None:
        """Finish what is in hand."""
        await self._finish()
        await self._recorded()
        await self._relay.mark()

    async def _read(self, wait_ms: int | None) -> Work:
        """Read and decode; what can't be decoded becomes a dead letter."""
        deliveries, known = await self._intake.next(wait_ms)
        work = Work(deliveries=deliveries, known=known)
        for stream, count in Counter(d.stream for d in deliveries).items():
            self._metrics.count(Metric.MESSAGES_CONSUMED, count, group=self._group, stream=stream)
        for delivery in deliveries:
            try:
                likely = _CARRIED.get(delivery.stream)
                message = decode(delivery.data, likely, maximum_bytes=self._most)
                work.batch.append((delivery, message))
            except MessageRefused as refusal:
                work.letters.append(dead_letter(delivery, refusal.reason, refusal.what))
        return work

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
        except Exception:  # noqa: BLE001 - no fault of one message may block the partition
            await self._take_in_one_by_one()
        self._stage("handle", began)

    async def _handle(self, batch: Batch) -> None:
        """Let the handler handle; a single message is tried again before it is given up."""
        faults = 0
        while True:
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

    async def _take_in_one_by_one(self) -> None:
        """Commit each message of the work for itself, and bury the one that can't be handled."""
        await self._recover()
        for single in self._work.parts():
            self._work = single
            try:
                if single.batch:
                    await self._handle(single.batch)
            except (Fenced, EnvironmentProblem, Stopped):
                raise
            except Exception as fault:  # noqa: BLE001 - it becomes a dead letter
                await self._recover()
                delivery = single.deliveries[0]
                _log.exception("message not processable", stream=delivery.stream)
                trace = "".join(traceback.format_exception(fault))
                letter = dead_letter(delivery, Refusal.FAULT, trace, tries=_ATTEMPTS_AT_A_FAULT)
                single.letters.append(letter)
            await self._finish()

    async def _finish(self) -> None:
        """Begin to record the work in hand, behind that before it."""
        work, self._work = self._work, Work()
        if not work.deliveries:
            return
        await self._recorded()
        await self._look_after_the_bus()
        self._recording = asyncio.create_task(self._record(work))
        await asyncio.sleep(0)  # its statement is on its way before anything else is read

    async def _recorded(self) -> None:
        """Wait until all that was finished is recorded and told."""
        recording, self._recording = self._recording, None
        if recording is not None:
            await recording

    async def _record(self, work: Work) -> None:
        """Commit work, publish what it caused, acknowledge what it took in."""
        offsets = offsets_of(work.deliveries)
        effects = work.all_effects()
        await self._write(effects, work, offsets)
        self._intake.committed(offsets)
        following = await self._handler.committed(effects)
        while following is not None:
            await self._write(following)
            following = await self._handler.committed(following)
        await self._bus.acknowledge(self._group, work.deliveries)

    async def _write(
        self, effects: Effects, work: Work | None = None, offsets: tuple[Offset, ...] = ()
    ) -> None:
        """Commit, then publish what the commit put into the outbox."""
        began, marks = time.perf_counter(), self._relay.marks
        commit = Commit(
            expected_sequence=0,
            offsets=offsets,
            inputs=effects.inputs,
            events=effects.events,
            outbox=effects.outbox,
            dead_letters=(*(work.letters if work else ()), *effects.dead_letters),
            ignored=effects.ignored,
            snapshot=effects.snapshot,
            published=marks,
        )
        committed = await self._recorder.commit(commit)
        self._relay.marked(marks)
        self._stage("commit", began)
        began = time.perf_counter()
        await self._relay.publish(committed.outbox)
        for letter in commit.dead_letters:
            await self._bury(letter)
        for reason, count in Counter(each.reason for each in commit.ignored).items():
            self._metrics.count(
                Metric.MESSAGES_IGNORED, count, log=self._handler.log, reason=reason
            )
        self._stage("publish", began)

    async def _bury(self, letter: DeadLetter) -> None:
        """Tell of a letter that is on record."""
        buried = msgspec.structs.replace(letter, by=self._handler.log)
        await self._bus.publish_raw(Stream.DEAD_LETTERS, letter.partition, encode(buried))
        self._metrics.count(Metric.MESSAGES_REFUSED, stream=letter.stream, reason=letter.reason)
        _log.warning(
            "message refused",
            stream=letter.stream,
            partition=letter.partition,
            position=letter.position,
            reason=letter.reason,
            data=letter.data[:_BYTES_IN_A_LOG_LINE],
        )

    def _stage(self, stage: str, began: float) -> None:
        seconds = time.perf_counter() - began
        self._metrics.observe(Metric.STAGE_SECONDS, seconds, group=self._group, stage=stage)

    async def _recover(self) -> None:
        await self._recorded()
        ledger = self._recorder.ledger
        await self._recorder.patiently(lambda: self._handler.recover(ledger))
