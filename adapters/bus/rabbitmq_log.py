"""A partition's log on a RabbitMQ stream: appended to, never consumed, read from any offset.

A stream is the one queue of RabbitMQ whose server numbers what it holds. Only so every reader
and every group sees the same messages at the same positions.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.abc import DeliveredMessage

from adapters.bus.numbering import FIRST_NUMBER_OF_THE_BUS, Position

_SEQUENCE, _STAMP, _GENESIS, _OFFSET = "sequence", "stamp", "genesis", "x-stream-offset"
_CONSUMER = "log"
_NO_SUCH = "no queue"
_PREFETCH = 2_000
_SILENCE_SECONDS = 1.0
_SEGMENTS_KEPT = 64


class Entry(NamedTuple):
    """What stands at an offset of a log.

    `sequence` is the writer's number, `stamp` the publisher's clock in milliseconds since 1970.
    The genesis, an entry without a message, begins a log, so that none is ever empty: the server
    answers a reader of an empty stream with silence.
    """

    offset: int
    data: bytes
    sequence: int | None
    stamp: int
    genesis: bool = False


def position_of(entry: Entry, previous: Position) -> Position | None:
    """Return where an entry stands behind `previous`; None if it holds nothing new.

    A pure function of the log, so all readers agree. Where the writer numbers, what repeats a
    sequence does not count, and raw bytes go between two sequences. Elsewhere a position is the
    publisher's clock, held back so that it never falls, and the offset.
    """
    number, addition = previous
    if entry.genesis:
        return None
    if entry.sequence is not None:
        return (entry.sequence, 0) if (entry.sequence, 0) > previous else None
    if 0 < number < FIRST_NUMBER_OF_THE_BUS:
        return number, addition + 1
    return max(entry.stamp, number), entry.offset


class Watch(Protocol):
    """Who waits for what a connection brings."""

    def arrived(self) -> None:
        """Something came."""
        ...

    def lose(self) -> None:
        """Nothing more can come."""
        ...


class Subscription:
    """Entries as the server pushes them; a bounded number is in hand.

    Parameters
    ----------
    channel
        Its own.
    begin
        The first offset that it waits for.
    """

    def __init__(self, channel: AbstractChannel, begin: int, watch: Watch) -> None:
        self.entries: deque[Entry] = deque()
        self._channel = channel
        self._watch = watch
        self.next_offset = begin
        self._arrived = asyncio.Event()
        self._tags: deque[int] = deque()
        self._taken = 0
        self._closing = False

    async def open(self, queue: str, start: int | str) -> None:
        """Begin to receive."""
        self._channel.close_callbacks.add(self._on_close)
        await self._channel.set_qos(prefetch_count=_PREFETCH)
        channel = await self._channel.get_underlay_channel()
        channel.on_consumer_cancel_callbacks.add(self._on_close)
        await channel.basic_consume(
            queue, self._receive, consumer_tag=_CONSUMER, arguments={_OFFSET: start}
        )

    async def reach(self, offset: int, count: int = 1) -> None:
        """Wait until `count` are in hand (or as many as may be), or everything up to `offset`."""
        enough = min(count, _PREFETCH // 2)
        while len(self.entries) < enough and self.next_offset <= offset:
            self._arrived.clear()
            await self._arrived.wait()

    async def stop(self) -> None:
        """Receive no more; everything that was sent until then has arrived."""
        channel = await self._channel.get_underlay_channel()
        await channel.basic_cancel(_CONSUMER)

    def take(self) -> Entry:
        """Remove and return the next entry in hand."""
        self._taken = self._tags.popleft()
        return self.entries.popleft()

    async def release(self) -> None:
        """Let the server send as many as were taken."""
        if self._taken:
            tag, self._taken = self._taken, 0
            channel = await self._channel.get_underlay_channel()
            await channel.basic_ack(tag, multiple=True, wait=False)

    async def close(self) -> None:
        """Give the channel back."""
        self._closing = True
        await self._channel.close()

    async def _receive(self, message: DeliveredMessage) -> None:
        headers: dict[str, Any] = message.header.properties.headers or {}
        self._tags.append(message.delivery_tag or 0)
        entry = Entry(
            headers[_OFFSET],
            bytes(message.body),
            headers.get(_SEQUENCE),
            headers.get(_STAMP, FIRST_NUMBER_OF_THE_BUS),
            _GENESIS in headers,
        )
        self.entries.append(entry)
        self.next_offset = entry.offset + 1
        self._arrived.set()
        self._watch.arrived()

    def _on_close(self, *_: object) -> None:
        if not self._closing:
            self._watch.lose()


class Log:
    """One stream of the server.

    Parameters
    ----------
    publishing
        A channel with publisher confirms.
    kept_bytes
        What is retained at least; the server deletes older segments.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        publishing: AbstractChannel,
        watch: Watch,
        name: str,
        kept_bytes: int,
    ) -> None:
        self.name = name
        self._connection = connection
        self._publishing = publishing
        self._watch = watch
        self._kept_bytes = kept_bytes

    async def exists(self) -> bool:
        """Whether the server has the stream."""
        channel = await self._connection.channel()
        try:
            await channel.declare_queue(self.name, passive=True)
        except ChannelNotFoundEntity as problem:  # and the server has closed the channel
            if _NO_SUCH not in str(problem):
                raise  # it is there, but not up yet
            return False
        await channel.close()
        return True

    async def create(self) -> None:
        """Make the stream, unless it is there."""
        if await self.exists():
            return
        await self._publishing.declare_queue(
            self.name,
            durable=True,
            arguments={
                "x-queue-type": "stream",
                "x-max-length-bytes": self._kept_bytes,
                "x-stream-max-segment-size-bytes": self._kept_bytes // _SEGMENTS_KEPT,
            },
        )
        await self._append(b"", {_GENESIS: True})

    async def append(self, data: bytes, sequence: int | None = None) -> None:
        """Append a message; returns when the server has confirmed it."""
        headers: dict[str, Any] = {_STAMP: time.time_ns() // 1_000_000}
        if sequence is not None:
            headers[_SEQUENCE] = sequence
        await self._append(data, headers)

    async def first(self) -> Entry:
        """Return the oldest entry that is retained."""
        return (await self._burst("first"))[0]

    async def end(self) -> list[Entry]:
        """Return the last entries; nothing that was confirmed before the call is behind them."""
        return await self._burst("last")

    async def follow(self, begin: int) -> Subscription:
        """Receive from an offset on, or from the oldest that is retained."""
        return await self._subscribe(begin)

    async def between(self, first: int, last: int) -> AsyncGenerator[Entry]:
        """Yield the retained entries of `first` … `last`, an offset that exists."""
        subscription = await self._subscribe(first)
        try:
            entry = None
            while entry is None or entry.offset < last:
                await subscription.reach(last)
                entry = subscription.take()
                yield entry
                if not subscription.entries:
                    await subscription.release()
        finally:
            await subscription.close()

    async def latest_position(self) -> Position:
        """Return the position of the newest message; (0, 0) if there is none."""
        position: Position = (0, 0)
        end = await self.end()
        numbered = [place for place, entry in enumerate(end) if entry.sequence is not None]
        if numbered:
            for entry in end[numbered[0] :]:
                position = position_of(entry, position) or position
            return position
        # Such an end does not tell who numbers. It is rare: only raw bytes since a while.
        async with aclosing(self.between(0, end[-1].offset)) as entries:
            async for entry in entries:
                position = position_of(entry, position) or position
        return position

    async def _append(self, data: bytes, headers: dict[str, Any]) -> None:
        message = Message(data, headers=headers, delivery_mode=DeliveryMode.PERSISTENT)
        await self._publishing.default_exchange.publish(message, routing_key=self.name)

    async def _subscribe(self, start: int | str) -> Subscription:
        channel = await self._connection.channel(publisher_confirms=False)
        begin = start if isinstance(start, int) else 0
        subscription = Subscription(channel, begin, self._watch)
        await subscription.open(self.name, start)
        return subscription

    async def _burst(self, start: str) -> list[Entry]:
        """Return what the server sends at once from `start` on."""
        subscription = await self._subscribe(start)
        try:
            try:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    await subscription.reach(0)
            except TimeoutError:  # who made the stream died before its genesis
                await self._append(b"", {_GENESIS: True})
                await subscription.reach(0)
            await subscription.stop()
            return list(subscription.entries)
        finally:
            await subscription.close()
