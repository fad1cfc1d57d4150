"""A consumer's seat in a group on one partition: what it has in hand, and what it reads next.

Per group and partition there is a quorum queue of tickets with a single active consumer, and a
small stream of marks. Who receives tickets owns the partition for the group; it keeps the newest
ticket unacknowledged, so that the server hands it to the next one when the owner dies. Only the
owner writes marks: how far the group has read the partition's log, and what of it is unfinished.

Delayed retry: what is handed out is also noted in a ticket in a quorum queue with a time to live,
which dead-letters it back. What is still unfinished when its ticket returns is handed out again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from contextlib import aclosing, suppress
from typing import NamedTuple

import msgspec
import structlog
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractExchange
from aiormq.abc import DeliveredMessage

from adapters.bus.numbering import Position
from adapters.bus.rabbitmq_log import Entry, Log, Subscription, Watch, position_of

_ELECTION_SECONDS = 0.5
_TICKET_SECONDS = 300.0  # RabbitMQ ends consumers that hold a message for 30 minutes
_REDELIVERED = "quorum.redelivered"


class Unfinished(msgspec.Struct, array_like=True):
    """A delivery that waits to be acknowledged."""

    offset: int
    position: Position
    attempts: int


class Mark(msgspec.Struct):
    """Where a group stands: the last offset and position handed out, and what is unfinished."""

    offset: int = -1
    position: Position = (0, 0)
    unfinished: list[Unfinished] = msgspec.field(default_factory=list)


class Held(NamedTuple):
    """A delivery on its way to the consumer."""

    entry: Entry
    position: Position
    attempts: int


_log = structlog.get_logger(__name__)
_marks = msgspec.json.Decoder(Mark)
_tickets = msgspec.json.Decoder(list[Unfinished])


async def read_mark(marks: Log) -> Mark | None:
    """Return a group's newest mark; None if it never consumed."""
    if not await marks.exists():
        return None
    last = (await marks.end())[-1]
    return None if last.genesis else _marks.decode(last.data)


class Retries:
    """The dead-letter exchange and the queue in which tickets wait.

    Parameters
    ----------
    after_ms
        How long.
    """

    def __init__(self, channel: AbstractChannel, after_ms: int) -> None:
        self._channel = channel
        self._after_ms = after_ms
        self._waiting: AbstractExchange | None = None
        self._redelivered: AbstractExchange | None = None

    async def open(self) -> None:
        """Make exchanges and queue, unless they are there."""
        name = f"quorum.retry.{self._after_ms}"
        self._redelivered = await self._channel.declare_exchange(
            _REDELIVERED, ExchangeType.DIRECT, durable=True
        )
        queue = await self._channel.declare_queue(
            name,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-message-ttl": self._after_ms,
                "x-dead-letter-exchange": _REDELIVERED,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )
        self._waiting = await self._channel.declare_exchange(
            name, ExchangeType.FANOUT, durable=True
        )
        await queue.bind(self._waiting)

    async def open_tickets(self, name: str) -> None:
        """Make a group's queue of tickets, unless it is there."""
        queue = await self._channel.declare_queue(
            name,
            durable=True,
            arguments={"x-queue-type": "quorum", "x-single-active-consumer": True},
        )
        assert self._redelivered is not None  # noqa: S101 - open() came first
        await queue.bind(self._redelivered, routing_key=name)

    async def put(self, name: str, deliveries: list[Unfinished], *, later: bool) -> None:
        """Put a ticket into a group's queue, now or after the delay."""
        message = Message(msgspec.json.encode(deliveries), delivery_mode=DeliveryMode.PERSISTENT)
        exchange = self._waiting if later else self._channel.default_exchange
        assert exchange is not None  # noqa: S101 - open() came first
        await exchange.publish(message, routing_key=name)


class Member:
    """One consumer of a group on one partition.

    Parameters
    ----------
    name
        The name of the queue of tickets.
    log, marks
        The partition's log, and the group's marks on it.
    tickets
        The channel that this connection's tickets come by.
    """

    def __init__(
        self,
        name: str,
        log: Log,
        marks: Log,
        retries: Retries,
        *,
        tickets: AbstractChannel,
        watch: Watch,
    ) -> None:
        self._name = name
        self._log = log
        self._marks = marks
        self._retries = retries
        self._channel = tickets
        self._watch = watch
        self._lock = asyncio.Lock()
        self._elected = asyncio.Event()
        self._tag = 0
        self._renewed = 0.0
        self._tickets: deque[list[Unfinished]] = deque()
        self._subscription: Subscription | None = None
        self._mark = Mark()
        self._unfinished: dict[Position, Unfinished] = {}
        self._again: deque[Held] = deque()
        self._ready: deque[Held] = deque()
        self._noting: set[asyncio.Future[None]] = set()

    @property
    def owner(self) -> bool:
        """Whether the partition is this member's; else it waits for another to go."""
        return self._subscription is not None

    async def join(self) -> None:
        """Stand for election; where nobody else is seated, it is won before this returns."""
        await self._log.create()
        await self._retries.open_tickets(self._name)
        channel = await self._channel.get_underlay_channel()
        await channel.basic_consume(self._name, self._on_ticket)
        await self._renew()
        with suppress(TimeoutError):  # another is seated; it may take long until that one goes
            async with asyncio.timeout(_ELECTION_SECONDS):
                await self._elected.wait()

    async def prepare(self, limit: int) -> int:
        """Note in the mark what `take` will return; returns how many that are."""
        async with self._lock:
            if not self._elected.is_set():
                return 0
            subscription = self._subscription or await self._take_office()
            await subscription.release()
            if time.monotonic() - self._renewed > _TICKET_SECONDS:
                await self._renew()
            await self._take_tickets()
            if self._ready:
                return len(self._ready)
            before = self._mark.offset
            batch = self._next_again(limit) or self._next_new(subscription, limit)
            for held in batch:
                unfinished = Unfinished(held.entry.offset, held.position, held.attempts)
                self._unfinished[held.position] = unfinished
            if batch:
                self._note([self._unfinished[held.position] for held in batch])
                await self._write()
                self._ready.extend(batch)
            elif self._mark.offset > before:
                await self._write()
            return len(batch)

    def take(self, limit: int) -> list[Held]:
        """Return what was prepared."""
        return [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]

    async def catch_up(self, count: int) -> None:
        """Wait until `count` new ones are in hand, or all that there are."""
        async with self._lock:
            if self._subscription is None and self._elected.is_set():
                await self._take_office()
        if self._subscription is not None:
            await self._subscription.release()
            await self._subscription.reach((await self._log.end())[-1].offset, count)

    async def finish(self, positions: Iterable[Position]) -> None:
        """Forget deliveries; what is not in hand is passed over."""
        async with self._lock:
            found = [self._unfinished.pop(position, None) for position in positions]
            if any(found):
                await self._write()

    async def _take_office(self) -> Subscription:
        mark = await read_mark(self._marks)
        if mark is None:
            await self._marks.create()
            mark = Mark()
        self._mark = mark
        self._unfinished = {one.position: one for one in mark.unfinished}
        await self._read_again(mark.unfinished)
        self._tickets.clear()  # all of that comes again now
        self._subscription = await self._log.follow(mark.offset + 1)
        return self._subscription

    async def _read_again(self, unfinished: Iterable[Unfinished]) -> None:
        wanted = {one.offset: one for one in unfinished}
        if not wanted:
            return
        async with aclosing(self._log.between(min(wanted), max(wanted))) as entries:
            async for entry in entries:
                if one := wanted.pop(entry.offset, None):
                    self._again.append(Held(entry, one.position, one.attempts + 1))
        for gone in wanted.values():  # no longer retained
            self._unfinished.pop(gone.position, None)

    async def _take_tickets(self) -> None:
        while self._tickets:
            noted = self._tickets.popleft()
            await self._read_again(
                one for one in noted if self._unfinished.get(one.position) == one
            )

    def _next_again(self, limit: int) -> list[Held]:
        batch: list[Held] = []
        while self._again and len(batch) < limit:
            held = self._again.popleft()
            if held.position in self._unfinished:  # else it was acknowledged meanwhile
                batch.append(held)
        return batch

    def _next_new(self, subscription: Subscription, limit: int) -> list[Held]:
        batch: list[Held] = []
        while subscription.entries and len(batch) < limit:
            entry = subscription.take()
            if 0 <= self._mark.offset < entry.offset - 1:
                lost = entry.offset - 1 - self._mark.offset
                _log.error("no longer retained, and never read", queue=self._name, messages=lost)
            self._mark.offset = entry.offset
            position = position_of(entry, self._mark.position)
            if position is not None:
                self._mark.position = position
                batch.append(Held(entry, position, 1))
        return batch

    def _note(self, deliveries: list[Unfinished]) -> None:
        """Put a delayed ticket; nobody waits for it, because only this connection needs it."""
        noting = asyncio.ensure_future(self._retries.put(self._name, deliveries, later=True))
        self._noting.add(noting)
        noting.add_done_callback(self._noted)

    def _noted(self, noting: asyncio.Future[None]) -> None:
        self._noting.discard(noting)
        if noting.cancelled() or noting.exception():
            self._watch.lose()

    async def _write(self) -> None:
        unfinished = list(self._unfinished.values())
        mark = Mark(self._mark.offset, self._mark.position, unfinished)
        await self._marks.append(msgspec.json.encode(mark))

    async def _renew(self) -> None:
        await self._retries.put(self._name, [], later=False)
        self._renewed = time.monotonic()

    async def _on_ticket(self, message: DeliveredMessage) -> None:
        """Keep the newest ticket; while it is unacknowledged, it passes to who comes next."""
        channel = await self._channel.get_underlay_channel()
        if self._tag:
            await channel.basic_ack(self._tag, wait=False)
        self._tag = message.delivery_tag or 0
        if noted := _tickets.decode(bytes(message.body)):
            self._tickets.append(noted)
        self._elected.set()
        self._watch.arrived()
