"""Everything of the RabbitMQ bus that lives and dies with one connection."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection

from adapters.bus.numbering import (
    FIRST_NUMBER_OF_THE_BUS,
    Position,
    check_begins,
    check_numbered_by_writer,
)
from adapters.bus.rabbitmq_follower import Follower
from adapters.bus.rabbitmq_group import Held, Mark, Member, Retries, read_mark
from adapters.bus.rabbitmq_log import Entry, Log, Subscription, position_of
from domain.ports.bus import Backlog, Delivery
from domain.streams import Stream

#: What the server keeps of a partition; alerts tell of a lag long before it drops the oldest.
LOG_BYTES = 4 * 2**30
_MARKS_BYTES = 16 * 2**20
_READERS = 64
_TICKETS = 100
_CLOSING_SECONDS = 3.0

_log = structlog.get_logger(__name__)
_Answer = TypeVar("_Answer")
Source = tuple[Stream, int]


class ConnectionLost(ConnectionError):
    """The connection ended under an operation."""


class _Reader:
    """A place in a log that one reader goes on from.

    Parameters
    ----------
    position
        Behind which position the subscription begins.
    """

    def __init__(self, log: Log, subscription: Subscription, position: Position) -> None:
        self._log = log
        self._subscription = subscription
        self._position = position

    @classmethod
    async def open(cls, log: Log, after: Position) -> "_Reader":
        """Return a reader that hands out what stands behind `after`."""
        number, offset = after
        if number < FIRST_NUMBER_OF_THE_BUS:  # a sequence does not tell its offset
            return cls(log, await log.follow(0), (0, 0))
        lost = offset > (await log.end())[-1].offset  # and the log was begun anew
        return cls(log, await log.follow(0 if lost else offset + 1), after)

    async def next(
        self, after: Position, limit: int, *, to_the_end: bool
    ) -> list[tuple[Entry, Position]]:
        """Return up to `limit` messages behind `after` that are in hand or (`to_the_end`) there."""
        end = (await self._log.end())[-1].offset if to_the_end else -1
        found: list[tuple[Entry, Position]] = []
        while True:
            while self._subscription.entries and len(found) < limit:
                entry = self._subscription.take()
                if (position := position_of(entry, self._position)) is not None:
                    self._position = position
                    if position > after:
                        found.append((entry, position))
            await self._subscription.release()
            if len(found) == limit or self._subscription.next_offset > end:
                return found
            await self._subscription.reach(end)

    async def close(self) -> None:
        """End the subscription."""
        await self._subscription.close()


class Session:
    """One connection with its channels, logs, readers and seats in groups.

    Parameters
    ----------
    connection
        An open one.
    redeliver_after_ms
        How long a delivery may stay unacknowledged.
    """

    def __init__(self, connection: AbstractConnection, redeliver_after_ms: int) -> None:
        self._connection = connection
        self._redeliver_after_ms = redeliver_after_ms
        self._lost = asyncio.get_running_loop().create_future()
        self._arrival = asyncio.Event()
        self._opening = asyncio.Lock()
        self._running: set[asyncio.Future[Any]] = set()
        self._logs: dict[Source, Log] = {}
        self._latest: dict[Source, Position] = {}
        self._members: dict[tuple[str, str, Source], Member | Follower] = {}
        self._readers: dict[tuple[Source, Position], _Reader] = {}
        self._publishing: AbstractChannel
        self._tickets: AbstractChannel
        self._retries: Retries

    @property
    def alive(self) -> bool:
        """Whether it can still be used."""
        return not self._lost.done()

    @property
    def arrival(self) -> asyncio.Event:
        """What the next arrival sets, or the loss of the session."""
        return self._arrival

    async def open(self) -> None:
        """Open the channels that all operations share."""
        self._connection.close_callbacks.add(self._on_close)
        self._publishing = await self._channel()
        self._tickets = await self._channel()
        await self._tickets.set_qos(prefetch_count=_TICKETS)
        self._retries = Retries(self._publishing, self._redeliver_after_ms)
        await self._retries.open()

    async def run(self, operation: Awaitable[_Answer]) -> _Answer:
        """Await an operation, but no longer than the connection lives.

        A caller that is cancelled leaves the operation to its end: the client library answers a
        cancellation in the middle by closing the channel.

        Raises
        ------
        ConnectionLost
            If the connection ended first.
        """
        running = asyncio.ensure_future(operation)
        self._running.add(running)
        running.add_done_callback(self._forget)
        await asyncio.wait({running, self._lost}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            running.cancel()
        if not running.done() or running.cancelled():
            raise ConnectionLost("the connection ended")
        return running.result()

    async def close(self) -> None:
        """End the connection, and with it everything on it; a hung client holds nobody up."""
        self.lose()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._connection.close()
        for running in list(self._running):
            running.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=_CLOSING_SECONDS)

    async def publish(self, source: Source, data: bytes) -> None:
        """Append bytes."""
        await (await self._log(source)).append(data)

    async def publish_numbered(
        self, source: Source, numbered: Sequence[tuple[int, bytes]], *, begins: bool
    ) -> None:
        """Append numbered bytes, except those whose sequence or a later one is there."""
        log = await self._log(source)
        latest = self._latest.get(source) or await log.latest_position()
        check_numbered_by_writer(log.name, latest)
        if numbered and not begins:
            first = numbered[0][0]
            if latest[0] < first - 1:  # unless another writer went on
                latest = await log.latest_position()
            check_begins(log.name, latest, first)
        new = [(data, sequence) for sequence, data in numbered if (sequence, 0) > latest]
        await asyncio.gather(*(log.append(*one) for one in new))
        self._latest[source] = (new[-1][1], 0) if new else latest

    async def latest(self, source: Source) -> Position:
        """Return the position of the newest message."""
        return await (await self._log(source)).latest_position()

    async def prepare(
        self,
        group: str,
        consumer: str,
        sources: Mapping[Source, Position | None],
        limit: int,
        *,
        to_the_end: bool,
    ) -> None:
        """Have up to `limit` deliveries ready, of what is in hand or (`to_the_end`) there.

        `sources` tells for each behind which position of its own the consumer begins, if it has.
        """
        members = [await self._member(group, consumer, *one) for one in sources.items()]
        if to_the_end:
            await asyncio.gather(*(member.catch_up(limit) for member in members))
        for member in members:
            limit -= await member.prepare(limit)
            if limit <= 0:
                return

    def take(
        self, group: str, consumer: str, sources: Sequence[Source], limit: int
    ) -> list[Delivery]:
        """Return what was prepared."""
        found: list[Delivery] = []
        for source in sources:
            if member := self._members.get((group, consumer, source)):
                held = member.take(limit - len(found))
                found += [_delivery(source, one) for one in held]
        return found

    async def acknowledge(self, group: str, source: Source, positions: list[Position]) -> None:
        """Forget deliveries."""
        seated = self._seated(group, source)
        for member in seated:
            await member.finish(positions)
        if not seated:
            _log.warning("no longer the owner: what was acknowledged comes again", group=group)

    async def read(
        self, source: Source, after: Position, limit: int, *, to_the_end: bool
    ) -> list[Delivery]:
        """Return what stands behind a position, of what is in hand or (`to_the_end`) there."""
        reader = self._readers.pop((source, after), None)
        reader = reader or await _Reader.open(await self._log(source), after)
        found = await reader.next(after, limit, to_the_end=to_the_end)
        place = (source, found[-1][1] if found else after)
        stale = self._readers.pop(place, None)
        self._readers[place] = reader
        if stale is None and len(self._readers) > _READERS:
            stale = self._readers.pop(next(iter(self._readers)))
        if stale is not None:
            await stale.close()
        return [_delivery(source, Held(entry, position, 1)) for entry, position in found]

    async def backlog(self, group: str, source: Source) -> Backlog:
        """Return how far a group is behind, as its newest mark tells."""
        log = await self._log(source)
        mark = await read_mark(self._marks(group, source))
        end = (await log.end())[-1]
        if mark is None:
            first = await log.first()
            mark = Mark(offset=first.offset if first.genesis else first.offset - 1)
        return Backlog(lag=max(0, end.offset - mark.offset), pending=len(mark.unfinished))

    def arrived(self) -> None:
        """Wake who waits."""
        self._arrival.set()
        self._arrival = asyncio.Event()

    def lose(self) -> None:
        """Let every operation end: nothing more will come."""
        if not self._lost.done():
            self._lost.set_result(None)
        self.arrived()

    async def _channel(self) -> AbstractChannel:
        channel = await self._connection.channel(on_return_raises=True)
        channel.close_callbacks.add(self._on_close)
        return channel

    async def _log(self, source: Source) -> Log:
        async with self._opening:
            if (log := self._logs.get(source)) is None:
                log = self._stream(_name(source), LOG_BYTES)
                await log.create()
                self._logs[source] = log
            return log

    async def _member(
        self, group: str, consumer: str, source: Source, begin: Position | None
    ) -> Member | Follower:
        log, key = await self._log(source), (group, consumer, source)
        async with self._opening:
            if (member := self._members.get(key)) is None:
                name, marks = f"{_name(source)}.{group}", self._marks(group, source)
                if begin is None:
                    member = Member(
                        name, log, marks, self._retries, tickets=self._tickets, watch=self
                    )
                else:
                    member = Follower(log, marks, begin)
                await member.join()
                self._members[key] = member
            return member

    def _seated(self, group: str, source: Source) -> list[Member | Follower]:
        """Return who is served here with a group's messages."""
        return [
            member
            for (its_group, _, its_source), member in self._members.items()
            if (its_group, its_source) == (group, source)
            and (isinstance(member, Follower) or member.owner)
        ]

    def _marks(self, group: str, source: Source) -> Log:
        return self._stream(f"{_name(source)}.{group}.marks", _MARKS_BYTES)

    def _stream(self, name: str, kept_bytes: int) -> Log:
        return Log(self._connection, self._publishing, self, name, kept_bytes)

    def _forget(self, running: asyncio.Future[Any]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # nobody may be left to hear of it

    def _on_close(self, *_: object) -> None:
        self.lose()


def _name(source: Source) -> str:
    stream, partition = source
    return f"quorum.{stream}.{partition}"


def _delivery(source: Source, held: Held) -> Delivery:
    stream, partition = source
    number, addition = held.position
    return Delivery(
        stream=stream,
        partition=partition,
        position=f"{number}-{addition}",
        data=held.entry.data,
        attempts=held.attempts,
    )
