"""Taking messages off the bus once each, in an order that is fair to deadlines."""

from collections.abc import Iterable, Sequence

from domain.ports.bus import Delivery, MessageBus
from domain.ports.ledger import Offset
from domain.streams import Stream

Source = tuple[Stream, int]


def position_order(position: str) -> tuple[int, ...]:
    """Return what positions of one partition compare by: ``9-2`` comes before ``10-0``."""
    number, _, addition = position.partition("-")
    return int(number), int(addition)


class Intake:
    """What one consumer of a group has still to handle.

    Parameters
    ----------
    sources
        The partitions to read.
    last
        Streams whose messages wait until everything that stood on the other sources when they
        were read has been handed out: a deadline is judged only against messages that were
        there to be read, so a backlog after a restart makes no vote late.
    """

    def __init__(
        self,
        bus: MessageBus,
        *,
        group: str,
        consumer: str,
        sources: Sequence[Source],
        last: Iterable[Stream] = (),
        limit: int,
        wait_ms: int,
    ) -> None:
        self._bus = bus
        self._group = group
        self._consumer = consumer
        self._sources = tuple(sources)
        self._last = frozenset(last)
        self._first_sources = tuple(s for s in self._sources if s[0] not in self._last)
        self._limit = limit
        self._wait_ms = wait_ms
        self._committed: dict[Source, tuple[int, ...]] = {}
        self._positions: dict[Source, str] = {}
        self._seen: dict[Source, tuple[int, ...]] = {}
        self._waiting: list[Delivery] = []
        self._queued: list[Delivery] = []
        self._ahead: dict[Source, tuple[int, ...]] = {}

    def resume(self, offsets: Iterable[Offset]) -> None:
        """Start behind what the ledger says was taken in."""
        self._committed, self._positions = {}, {}
        self.committed(offsets)
        self._seen = dict(self._committed)
        self._waiting, self._queued, self._ahead = [], [], {}

    def committed(self, offsets: Iterable[Offset]) -> None:
        """Learn what the ledger holds by now: only that may be acknowledged when it comes again."""
        for offset in offsets:
            source = offset.stream, offset.partition
            self._committed[source] = position_order(offset.position)
            self._positions[source] = offset.position

    async def next(self, wait_ms: int | None = None) -> tuple[list[Delivery], list[Delivery]]:
        """Return deliveries to handle, in order, and those that were committed before.

        Parameters
        ----------
        wait_ms
            How long to wait for the first one, where it is not as long as usual.
        """
        arrived = await self._bus.consume(
            self._group,
            self._consumer,
            self._sources,
            limit=self._limit,
            wait_ms=1 if self._waiting else self._wait_ms if wait_ms is None else wait_ms,
            after=self._positions,
        )
        if not arrived:  # the sources are read to their end, whatever was counted before
            self._ahead = {}
        fresh: list[Delivery] = []
        known: list[Delivery] = []
        late: list[Delivery] = []
        for delivery in arrived:
            source = delivery.stream, delivery.partition
            position = position_order(delivery.position)
            if position <= self._seen.get(source, ()):
                if position <= self._committed.get(source, ()):
                    known.append(delivery)
                continue  # else it is still in hand here, and comes again unasked
            self._seen[source] = position
            if delivery.stream in self._last:
                late.append(delivery)
                continue
            fresh.append(delivery)
        return fresh + await self._due(late), known

    async def _due(self, late: list[Delivery]) -> list[Delivery]:
        self._queued += late
        if any(self._seen.get(source, ()) < end for source, end in self._ahead.items()):
            return []
        due, self._waiting, self._ahead = self._waiting, [], {}
        if self._queued:
            arrived, self._queued = self._queued, []
            ahead = {source: await self._end(source) for source in self._first_sources}
            if any(self._seen.get(source, ()) < end for source, end in ahead.items()):
                self._waiting, self._ahead = arrived, ahead
            else:
                due += arrived
        return due

    async def _end(self, source: Source) -> tuple[int, ...]:
        """Return the position that a source gave last; the lowest of all where it gave none."""
        latest = await self._bus.latest(*source)
        return position_order(latest) if latest else ()


def offsets_of(deliveries: Iterable[Delivery]) -> tuple[Offset, ...]:
    """Return the last position per source among deliveries in order."""
    last = {(d.stream, d.partition): d.position for d in deliveries}
    return tuple(
        Offset(stream=stream, partition=partition, position=position)
        for (stream, partition), position in sorted(last.items())
    )
