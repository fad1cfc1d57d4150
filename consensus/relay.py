"""The outbox on its way to the bus: published in order, and again where the bus lost it."""

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial
from itertools import groupby

import structlog

from consensus.intake import position_order
from consensus.recorder import Recorder
from domain.errors import MessagesLost
from domain.metrics import Metric
from domain.ports.bus import MessageBus
from domain.ports.ledger import OutboxHead, OutboxItem
from domain.ports.metrics import Metrics
from domain.streams import Stream

_log = structlog.get_logger(__name__)
_PAGE = 1_000
_SECONDS_BETWEEN_LOOKS = 1.0
_Place = tuple[Stream, int]


class Relay:
    """Publishes what one writer committed.

    Idempotent by the outbox's sequences. That something was published is written down with the
    next commit (`marks`), since publishing again is harmless.
    """

    def __init__(self, bus: MessageBus, recorder: Recorder, metrics: Metrics) -> None:
        self._bus = bus
        self._recorder = recorder
        self._metrics = metrics
        self._held: dict[
            _Place, int
        ] = {}  # the last sequence that the bus holds, as far as we know
        self._unmarked: dict[_Place, OutboxItem] = {}
        self._next_look = 0.0

    @property
    def marks(self) -> tuple[OutboxItem, ...]:
        """The last items that were published and not yet written down as such."""
        return tuple(self._unmarked.values())

    def marked(self, marks: Sequence[OutboxItem]) -> None:
        """Learn that `marks` are written down."""
        for item in marks:
            if self._unmarked.get((item.stream, item.partition)) is item:
                del self._unmarked[item.stream, item.partition]

    async def resume(self) -> None:
        """Publish what an earlier process committed and did not publish, or the bus lost."""
        ledger, log, partition = (
            self._recorder.ledger,
            self._recorder.log,
            self._recorder.partition,
        )
        await self._learn_published()
        await self.restore()
        while rest := await self._recorder.patiently(lambda: ledger.unpublished(log, partition)):
            await self.publish(rest)
            await self.mark()
        # The writer before may have written down meanwhile what it published last.
        await self._learn_published()

    async def _learn_published(self) -> None:
        for head in await self._heads():
            place = head.stream, head.partition
            self._held[place] = max(self._held.get(place, 0), head.published)

    async def _heads(self) -> Sequence[OutboxHead]:
        recorder = self._recorder
        return await recorder.patiently(
            lambda: recorder.ledger.outbox_heads(recorder.log, recorder.partition)
        )

    async def publish(self, items: Sequence[OutboxItem]) -> None:
        """Publish items, in order for each partition of each stream."""
        ordered = sorted(items, key=lambda item: (item.stream, item.partition, item.sequence))
        for place, group in groupby(ordered, key=lambda item: (item.stream, item.partition)):
            some = list(group)
            while True:
                try:
                    await self._append(place, some)
                except MessagesLost:
                    await self._publish_again(place, until=some[0].sequence - 1)
                else:
                    break
            self._unmarked[place] = some[-1]
            self._metrics.count(Metric.MESSAGES_PUBLISHED, len(some), stream=place[0])

    async def mark(self) -> None:
        """Write down what was published, without waiting for another commit."""
        if marks := self.marks:
            lease = self._recorder.lease
            await self._recorder.patiently(
                lambda: self._recorder.ledger.mark_published(lease, marks)
            )
            self.marked(marks)

    async def look_after(self) -> None:
        """Now and then look what the bus lost, and write down what was published."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_look:
            self._next_look = now + _SECONDS_BETWEEN_LOOKS
            await self.restore()
            await self.mark()

    async def restore(self) -> None:
        """Publish again what the bus lost, if it lost anything."""
        for place, held in list(self._held.items()):
            if await self._latest(place) < held:
                await self._publish_again(place, until=held)

    async def _publish_again(self, place: _Place, *, until: int) -> None:
        """Publish, from the record, all up to a sequence that a consumer may not have taken in."""
        while True:
            try:
                await self._publish_from_record(place, until)
            except MessagesLost:
                _log.warning("the bus lost messages again", stream=place[0])
            else:
                return

    async def _publish_from_record(self, place: _Place, until: int) -> None:
        stream, partition = place
        recorder = self._recorder
        needed_after = next(
            h.needed_after for h in await self._heads() if (h.stream, h.partition) == place
        )
        latest = await self._latest(place)
        after = min(needed_after, latest) if latest else needed_after
        self._held[place] = latest
        _log.warning("the bus lost messages; publishing again", stream=stream, after=after)

        def page(after: int) -> Awaitable[Sequence[OutboxItem]]:
            return recorder.ledger.outbox(stream, partition, after=after, until=until, limit=_PAGE)

        while items := await recorder.patiently(partial(page, after)):
            await self._append(place, items)
            self._metrics.count(Metric.MESSAGES_REPUBLISHED, len(items), stream=stream)
            after = items[-1].sequence

    async def _append(self, place: _Place, items: Sequence[OutboxItem]) -> None:
        """Append items behind what the bus holds, or where it may begin again."""
        first = items[0].sequence
        await self._bus.publish_many(
            *place,
            [item.message for item in items],
            first_sequence=first,
            begins=self._held.get(place, 0) < first - 1,
        )
        self._held[place] = max(self._held.get(place, 0), items[-1].sequence)

    async def _latest(self, place: _Place) -> int:
        return position_order(await self._bus.latest(*place) or "0-0")[0]
