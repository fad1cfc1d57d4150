"""The bus within one process, for simulations and tests: the same promises, no server."""

import asyncio
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from adapters.bus.numbering import (
    FIRST_NUMBER_OF_THE_BUS,
    Position,
    check_begins,
    check_numbered_by_writer,
    check_sequence,
    parse,
)
from domain.messages import Message, encode
from domain.ports.bus import Backlog, Delivery
from domain.streams import Stream

_Source = tuple[Stream, int]
_Message = tuple[Position, bytes]

_NONE: Position = (0, 0)


@dataclass
class _Pending:
    """A delivery that waits to be acknowledged."""

    consumer: str
    data: bytes
    attempts: int
    delivered_at: float


@dataclass
class _Partition:
    """All messages in order, and where each group stands."""

    latest: Position = _NONE
    messages: list[_Message] = field(default_factory=list[_Message])
    delivered: dict[str, Position] = field(default_factory=dict[str, Position])
    pending: dict[str, dict[Position, _Pending]] = field(default_factory=lambda: defaultdict(dict))


class MemoryBroker:
    """What outlives a `MemoryBus`: give it to a second bus to play a process that restarts."""

    def __init__(self) -> None:
        self._partitions: dict[_Source, _Partition] = defaultdict(_Partition)
        self._arrival = asyncio.Event()
        self.first_number = FIRST_NUMBER_OF_THE_BUS
        """What the bus numbers from; it rises for ever, as a server's clock does."""

    def partition(self, source: _Source) -> _Partition:
        """Return one partition, empty when it is new."""
        return self._partitions[source]

    def append(self, source: _Source, position: Position, data: bytes) -> None:
        """Add a message and wake those who wait."""
        partition = self._partitions[source]
        partition.latest = position
        partition.messages.append((position, data))
        self._arrival.set()
        self._arrival = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait for the next message, or until the time is over."""
        # `wait_for` would lose a cancellation that comes together with the message.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._arrival.wait()

    def lose_everything(self) -> None:
        """Forget all messages and groups, as a server does that lost its data."""
        numbers = [partition.latest[0] for partition in self._partitions.values()]
        self.first_number = max([self.first_number, *(number + 1 for number in numbers)])
        self._partitions.clear()


class MemoryBus:
    """A `MessageBus` without a server; deterministic within one event loop.

    Parameters
    ----------
    broker
        What it shares with other buses; its own by default.
    redeliver_after_ms
        Age, by the event loop's clock, from which unacknowledged deliveries are taken over.
    encode
        What makes bytes of a message, such as one that seals.
    """

    def __init__(
        self,
        broker: MemoryBroker | None = None,
        *,
        redeliver_after_ms: int = 60_000,
        encode: Callable[[Message], bytes] = encode,
    ) -> None:
        self._encode = encode
        self._broker = broker or MemoryBroker()
        self._redeliver_after = redeliver_after_ms / 1000
        self._history: dict[tuple[str, str, _Source], deque[Position]] = {}
        self._followed: dict[tuple[str, _Source], Position] = {}

    async def publish(
        self, stream: Stream, partition: int, message: Message, *, sequence: int | None = None
    ) -> str:
        """Append a message and return its position; see `MessageBus`."""
        source = (stream, partition)
        latest = self._broker.partition(source).latest
        if sequence is None:
            return self._append(source, self._next_of_the_bus(latest), self._encode(message))
        check_sequence(sequence)
        if (position := (sequence, 0)) <= latest:
            check_numbered_by_writer(f"{stream}:{partition}", latest)
            return _text(position)
        return self._append(source, position, self._encode(message))

    async def publish_many(
        self,
        stream: Stream,
        partition: int,
        messages: Sequence[Message],
        *,
        first_sequence: int,
        begins: bool = False,
    ) -> None:
        """Append messages numbered from `first_sequence`; see `MessageBus`."""
        latest = self._broker.partition((stream, partition)).latest
        check_sequence(first_sequence)
        check_numbered_by_writer(f"{stream}:{partition}", latest)
        if not begins:
            check_begins(f"{stream}:{partition}", latest, first_sequence)
        for sequence, message in enumerate(messages, first_sequence):
            await self.publish(stream, partition, message, sequence=sequence)

    async def latest(self, stream: Stream, partition: int) -> str:
        """Return the position that the partition gave last; see `MessageBus`."""
        latest = self._broker.partition((stream, partition)).latest
        return _text(latest) if latest > _NONE else ""

    async def trim(
        self, stream: Stream, partition: int, *, needed_by: Collection[str], keep: int
    ) -> int:
        """Forget what `needed_by` has finished, except the newest `keep`; see `MessageBus`."""
        state = self._broker.partition((stream, partition))
        if not set(needed_by) <= state.delivered.keys():
            return 0
        finished = [
            min(state.pending[group], default=_next(state.delivered[group])) for group in needed_by
        ]
        most = max(0, len(state.messages) - keep)
        end = min([most, *(_find(state.messages, position) for position in finished)])
        del state.messages[:end]
        return end

    async def publish_raw(self, stream: Stream, partition: int, data: bytes) -> str:
        """Append bytes as they are; between two sequences where the writer numbers."""
        source = (stream, partition)
        number, addition = latest = self._broker.partition(source).latest
        numbered_by_writer = 0 < number < FIRST_NUMBER_OF_THE_BUS
        position = (number, addition + 1) if numbered_by_writer else self._next_of_the_bus(latest)
        return self._append(source, position, data)

    async def consume(
        self,
        group: str,
        consumer: str,
        streams: Sequence[tuple[Stream, int]],
        *,
        limit: int = 256,
        wait_ms: int = 1000,
        after: Mapping[tuple[Stream, int], str] | None = None,
    ) -> list[Delivery]:
        """Return what `group` has not finished; see `MessageBus`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_ms / 1000
        while True:
            now = loop.time()
            if after is not None:
                found = self._behind(group, streams, after, limit)
            else:
                found = self._unfinished(group, consumer, streams, limit, now)
                found = found or self._new(group, consumer, streams, limit, now)
            if found or (remaining := deadline - now) <= 0:
                return found
            await self._broker.wait(remaining)

    async def acknowledge(self, group: str, deliveries: Sequence[Delivery]) -> None:
        """Mark deliveries as finished for `group`."""
        for delivery in deliveries:
            source, position = (delivery.stream, delivery.partition), parse(delivery.position)
            state = self._broker.partition(source)
            if (group, source) in self._followed:
                _advance(state, group, position)
            else:
                state.pending[group].pop(position, None)

    async def read(
        self, stream: Stream, partition: int, *, after: str = "", limit: int = 256, wait_ms: int = 0
    ) -> list[Delivery]:
        """Read without a group: everything after a position."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_ms / 1000
        source = (stream, partition)
        while True:
            messages = self._broker.partition(source).messages
            begin = _after(messages, parse(after))
            if found := messages[begin : begin + limit]:
                return [_delivery(source, position, data, 1) for position, data in found]
            if (remaining := deadline - loop.time()) <= 0:
                return []
            await self._broker.wait(remaining)

    async def backlog(self, group: str, stream: Stream, partition: int) -> Backlog:
        """Return how far `group` is behind on one partition."""
        state = self._broker.partition((stream, partition))
        begin = _after(state.messages, state.delivered.get(group, _NONE))
        return Backlog(lag=len(state.messages) - begin, pending=len(state.pending[group]))

    async def close(self) -> None:
        """Release nothing; the broker keeps what it holds."""

    def _next_of_the_bus(self, latest: Position) -> Position:
        return max(latest[0] + 1, self._broker.first_number), 0

    def _append(self, source: _Source, position: Position, data: bytes) -> str:
        self._broker.append(source, position, data)
        return _text(position)

    def _behind(
        self, group: str, streams: Sequence[_Source], after: Mapping[_Source, str], limit: int
    ) -> list[Delivery]:
        """Deliver what stands behind the caller's positions, whoever else reads."""
        found: list[Delivery] = []
        for source in streams:
            state = self._broker.partition(source)
            recorded = parse(after.get(source, ""))
            if (place := (group, source)) not in self._followed:
                self._followed[place] = recorded
                _advance(state, group, recorded)
            state.delivered.setdefault(group, recorded)  # the server may have lost the group
            begin = _after(state.messages, self._followed[place])
            for position, data in state.messages[begin : begin + limit - len(found)]:
                self._followed[place] = position
                found.append(_delivery(source, position, data, 1))
        return found

    def _unfinished(
        self, group: str, consumer: str, streams: Sequence[_Source], limit: int, now: float
    ) -> list[Delivery]:
        """Deliver again: this consumer's at the start of its life, anybody's when too old."""
        found: list[Delivery] = []
        for source in streams:
            pending = self._broker.partition(source).pending[group]
            mine = sorted(p for p, entry in pending.items() if entry.consumer == consumer)
            history = self._history.setdefault((group, consumer, source), deque(mine))
            while history and len(found) < limit:
                if (entry := pending.get(position := history.popleft())) is not None:
                    found.append(_again(source, position, entry, consumer, now))
            for position in sorted(pending):
                entry = pending[position]
                if len(found) < limit and now - entry.delivered_at >= self._redeliver_after:
                    found.append(_again(source, position, entry, consumer, now))
        return found

    def _new(
        self, group: str, consumer: str, streams: Sequence[_Source], limit: int, now: float
    ) -> list[Delivery]:
        found: list[Delivery] = []
        for source in streams:
            state = self._broker.partition(source)
            begin = _after(state.messages, state.delivered.setdefault(group, _NONE))
            messages = state.messages[begin : begin + limit - len(found)]
            if messages:
                state.delivered[group] = messages[-1][0]
            for position, data in messages:
                state.pending[group][position] = _Pending(consumer, data, 1, now)
                found.append(_delivery(source, position, data, 1))
        return found


def _advance(state: _Partition, group: str, position: Position) -> None:
    """Move a group on to where its record is, never back; what it held as pending is behind it."""
    if state.pending.pop(group, None):
        state.delivered[group] = position
    state.delivered[group] = max(state.delivered.get(group, _NONE), position)


def _after(messages: list[_Message], position: Position) -> int:
    """Return the index of the first message behind a position."""
    return bisect_right(messages, position, key=_position)


def _find(messages: list[_Message], position: Position) -> int:
    """Return the index of the first message at or behind a position."""
    return bisect_left(messages, position, key=_position)


def _position(message: _Message) -> Position:
    return message[0]


def _again(
    source: _Source, position: Position, entry: _Pending, consumer: str, now: float
) -> Delivery:
    entry.consumer, entry.delivered_at = consumer, now
    entry.attempts += 1
    return _delivery(source, position, entry.data, entry.attempts)


def _next(position: Position) -> Position:
    return position[0], position[1] + 1


def _text(position: Position) -> str:
    return f"{position[0]}-{position[1]}"


def _delivery(source: _Source, position: Position, data: bytes, attempts: int) -> Delivery:
    stream, partition = source
    return Delivery(
        stream=stream,
        partition=partition,
        position=_text(position),
        data=data,
        attempts=attempts,
    )
