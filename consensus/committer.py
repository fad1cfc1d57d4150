"""Work on its way out: one transaction, then the bus, then the acknowledgement."""

import time
from collections import Counter

import msgspec
import structlog

from consensus.handler import Effects, Handler
from consensus.intake import Intake, offsets_of
from consensus.recorder import Recorder
from consensus.relay import Relay
from consensus.work import Work
from domain.messages import encode
from domain.metrics import Metric
from domain.ports.bus import MessageBus
from domain.ports.ledger import Commit, DeadLetter, Offset
from domain.ports.metrics import Metrics
from domain.streams import Stream

_log = structlog.get_logger(__name__)

_BYTES_IN_A_LOG_LINE = 500  # a dead letter keeps all of them


class Committer:
    """Records what handling caused, before anyone hears of it."""

    def __init__(
        self,
        bus: MessageBus,
        handler: Handler,
        metrics: Metrics,
        *,
        group: str,
        intake: Intake,
        recorder: Recorder,
        relay: Relay,
    ) -> None:
        self._bus = bus
        self._intake = intake
        self._recorder = recorder
        self._relay = relay
        self._handler = handler
        self._metrics = metrics
        self._group = group

    async def commit(self, work: Work) -> None:
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

    def stage(self, stage: str, began: float) -> None:
        """Measure a stage that ends now."""
        seconds = time.perf_counter() - began
        self._metrics.observe(Metric.STAGE_SECONDS, seconds, group=self._group, stage=stage)

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
            reservations=tuple({r.client_order_id: r for r in effects.reservations}.values()),
            published=marks,
        )
        committed = await self._recorder.commit(commit)
        self._relay.marked(marks)
        self.stage("commit", began)
        began = time.perf_counter()
        await self._relay.publish(committed.outbox)
        for letter in commit.dead_letters:
            await self._bury(letter)
        for reason, count in Counter(each.reason for each in commit.ignored).items():
            self._metrics.count(
                Metric.MESSAGES_IGNORED, count, log=self._handler.log, reason=reason
            )
        self.stage("publish", began)

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
