"""The bus on RabbitMQ: a stream a partition, a single active consumer a group and partition."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

import aio_pika
import structlog
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    AuthenticationError,
    ChannelPreconditionFailed,
    IncompatibleProtocolError,
    ProbableAuthenticationError,
)
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential
from yarl import URL

from adapters.bus.numbering import Position, check_sequence, parse
from adapters.bus.rabbitmq_session import Session, Source
from domain.errors import EnvironmentProblem
from domain.messages import Message, encode
from domain.metrics import Metric
from domain.ports.bus import Backlog, Delivery
from domain.ports.metrics import Metrics
from domain.streams import Stream

_CONNECT_SECONDS = 5.0
_HEARTBEAT_SECONDS = 10
_ARRIVAL_MS = 100  # a wait as long as that hears of what is on its way
_LOST = (*CONNECTION_EXCEPTIONS, TimeoutError)
_REFUSED = (
    AuthenticationError,
    ChannelPreconditionFailed,
    IncompatibleProtocolError,
    ProbableAuthenticationError,
)
_NOT_YET = "does not have a replica on the local node"  # of a stream that is just being made

_log = structlog.get_logger(__name__)
_Answer = TypeVar("_Answer")


class RabbitBus:
    """A `MessageBus`; partition `p` of stream `s` is the RabbitMQ stream ``quorum.s.p``.

    One consumer of a group at a time is served with a partition's messages. Another one waits,
    and takes over with everything unfinished when the connection of the first ends (at the latest
    when its heartbeats do). What was delivered over a connection that was lost comes again.

    Parameters
    ----------
    url
        ``amqp://`` or ``amqps://``.
    redeliver_after_ms
        Age from which unacknowledged deliveries come again to the consumer that holds them.
    patience_seconds
        How long a call is retried while the server can't be reached.
    metrics
        Where lost connections are counted.
    encode
        What makes bytes of a message, such as one that seals.
    """

    def __init__(
        self,
        url: str,
        *,
        redeliver_after_ms: int = 60_000,
        patience_seconds: float = 15.0,
        metrics: Metrics | None = None,
        encode: Callable[[Message], bytes] = encode,
    ) -> None:
        self._encode = encode
        self._url = URL(url)
        self._address = str(self._url.with_user(None).with_query(None))
        self._redeliver_after_ms = redeliver_after_ms
        self._metrics = metrics
        self._session: Session | None = None
        self._connecting = asyncio.Lock()
        self._retrying = AsyncRetrying(
            retry=retry_if_exception(_is_transient),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=stop_after_delay(patience_seconds),
            reraise=True,
        )

    async def publish(
        self, stream: Stream, partition: int, message: Message, *, sequence: int | None = None
    ) -> str:
        """Append a message; see `MessageBus`.

        Without a sequence, a retry after a lost confirmation may append it twice.
        """
        source, data = (stream, partition), self._encode(message)
        if sequence is None:
            await self._call(lambda session: session.publish(source, data))
            return ""
        check_sequence(sequence)
        numbered = [(sequence, data)]
        await self._call(lambda session: session.publish_numbered(source, numbered, begins=True))
        return f"{sequence}-0"

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
        check_sequence(first_sequence)
        numbered = list(enumerate(map(self._encode, messages), first_sequence))
        await self._call(lambda s: s.publish_numbered((stream, partition), numbered, begins=begins))

    async def latest(self, stream: Stream, partition: int) -> str:
        """Return the position that the partition gave last; see `MessageBus`."""
        number, addition = await self._call(lambda session: session.latest((stream, partition)))
        return f"{number}-{addition}" if number else ""

    async def trim(
        self,
        stream: Stream,  # noqa: ARG002
        partition: int,  # noqa: ARG002
        *,
        needed_by: Collection[str],  # noqa: ARG002
        keep: int,  # noqa: ARG002
    ) -> int:
        """Forget nothing: the server itself drops the oldest of more than 4 GiB a partition."""
        return 0

    async def publish_raw(self, stream: Stream, partition: int, data: bytes) -> str:
        """Append bytes as they are; between two sequences where the writer numbers."""
        await self._call(lambda session: session.publish((stream, partition), data))
        return ""

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
        sources = {s: None if after is None else parse(after.get(s, "")) for s in streams}
        deadline = time.monotonic() + wait_ms / 1000
        while True:
            remaining = deadline - time.monotonic()
            session = await self._connected()
            arrival, ends = session.arrival, remaining <= 0 or wait_ms < _ARRIVAL_MS
            await self._call(
                lambda s, ends=ends: s.prepare(group, consumer, sources, limit, to_the_end=ends)
            )
            if self._session and (found := self._session.take(group, consumer, streams, limit)):
                return found
            if remaining <= 0:
                return []
            await _wait(arrival, remaining)

    async def acknowledge(self, group: str, deliveries: Sequence[Delivery]) -> None:
        """Mark deliveries as finished for `group`.

        Those of a connection that was lost meanwhile come again, and are acknowledged then.
        """
        positions: dict[Source, list[Position]] = {}
        for delivery in deliveries:
            source = (delivery.stream, delivery.partition)
            positions.setdefault(source, []).append(parse(delivery.position))
        for source, ones in positions.items():
            await self._call(lambda s, of=source, those=ones: s.acknowledge(group, of, those))

    async def read(
        self, stream: Stream, partition: int, *, after: str = "", limit: int = 256, wait_ms: int = 0
    ) -> list[Delivery]:
        """Read without a group: everything after a position."""
        source, behind = (stream, partition), parse(after)
        deadline, ends = time.monotonic() + wait_ms / 1000, wait_ms < _ARRIVAL_MS
        while True:
            remaining = deadline - time.monotonic()
            arrival = (await self._connected()).arrival
            found = await self._call(lambda s: s.read(source, behind, limit, to_the_end=ends))
            if found or remaining <= 0:
                return found
            await _wait(arrival, remaining)

    async def backlog(self, group: str, stream: Stream, partition: int) -> Backlog:
        """Return how far `group` is behind on one partition."""
        return await self._call(lambda session: session.backlog(group, (stream, partition)))

    async def close(self) -> None:
        """Release the connection."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _call(self, operation: Callable[[Session], Awaitable[_Answer]]) -> _Answer:
        """Run an operation, again with growing pauses while the server can't be reached."""
        try:
            try:
                return await self._attempt(operation)
            except _LOST as problem:
                if not _is_transient(problem):
                    raise
                return await self._again(operation)
        except _LOST as problem:
            reached = not _is_transient(problem)
            raise EnvironmentProblem(
                f"The message bus at {self._address} "
                f"{'refused' if reached else 'can not be reached'}: {problem}.",
                kept="What the ledger holds is safe; what was not acknowledged comes again.",
                next_step="Check the server, its credentials and QUORUM_BUS_URL.",
            ) from problem

    async def _again(self, operation: Callable[[Session], Awaitable[_Answer]]) -> _Answer:
        async for attempt in self._retrying.copy():
            with attempt:
                return await self._attempt(operation)
        raise AssertionError  # the last attempt raises its own error

    async def _attempt(self, operation: Callable[[Session], Awaitable[_Answer]]) -> _Answer:
        session = await self._connect()
        try:
            return await session.run(operation(session))
        except _LOST as problem:
            await self._give_up(session, problem)
            raise

    async def _connected(self) -> Session:
        return await self._call(_itself)

    async def _connect(self) -> Session:
        async with self._connecting:
            if self._session is not None and not self._session.alive:
                await self._give_up(self._session, ConnectionError("the connection ended"))
            if self._session is None:
                url = self._url.update_query(heartbeat=_HEARTBEAT_SECONDS)
                connection = await aio_pika.connect(url, timeout=_CONNECT_SECONDS)
                session = Session(connection, self._redeliver_after_ms)
                try:
                    await session.open()
                except BaseException:
                    await session.close()
                    raise
                self._session = session
            return self._session

    async def _give_up(self, session: Session, problem: BaseException) -> None:
        """End a session on which an operation failed: nothing on it can be trusted any more."""
        if self._session is session:
            self._session = None
            _log.warning("the connection to the bus was lost", problem=str(problem))
            if self._metrics is not None:
                self._metrics.count(Metric.BUS_CONNECTIONS_LOST)
        with suppress(*_LOST):
            await session.close()


async def _itself(session: Session) -> Session:
    return session


async def _wait(arrival: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await arrival.wait()


def _is_transient(problem: BaseException) -> bool:
    return not isinstance(problem, _REFUSED) or _NOT_YET in str(problem)
