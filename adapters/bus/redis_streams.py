"""The bus on Redis or Valkey streams: one stream a partition, one entry a message."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import redis.exceptions as redis_errors
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from adapters.bus.cancellation import cancellation_kept
from adapters.bus.numbering import (
    FIRST_NUMBER_OF_THE_BUS,
    check_numbered_by_writer,
    check_sequence,
    parse,
)
from adapters.bus.redis_reader import FIELD, Entry, Reader
from domain.errors import EnvironmentProblem
from domain.messages import Message, encode
from domain.ports.bus import Backlog, Delivery
from domain.streams import Stream

_LONGEST_BLOCK_MS = 5_000
_SOCKET_SECONDS = 15.0
_CONNECT_SECONDS = 3.0
_COUNTING_PAGE = 1_000
_ALREADY_THERE = "equal or smaller"
_TRANSIENT = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.ReadOnlyError,
    redis_errors.ClusterDownError,
    redis_errors.TryAgainError,
    OSError,
)
_PERMANENT = (redis_errors.AuthenticationError, redis_errors.AuthorizationError)

Answer = TypeVar("Answer")


class RedisBus:
    """A `MessageBus`; partition `p` of stream `s` is the key ``quorum:s:p``.

    Groups begin at a partition's first message. A consumer's deliveries whose answer was lost
    (connection cut, task cancelled) are read again before anything newer, so that the order
    within a partition holds; after a restart the consumer must come back under the same name.
    A server that lost everything is no error: groups are made again, empty.

    Parameters
    ----------
    url
        ``redis://``, ``rediss://`` or ``unix://``.
    redeliver_after_ms
        Age from which another consumer's unacknowledged deliveries are taken over.
    patience_seconds
        How long a call is retried while the server can't be reached.
    maximum_connections
        Bound of the pool; a call waits for a free one.
    """

    def __init__(
        self,
        url: str,
        *,
        redeliver_after_ms: int = 60_000,
        patience_seconds: float = 15.0,
        maximum_connections: int = 32,
    ) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=maximum_connections,
            timeout=_SOCKET_SECONDS,
            protocol=2,
            socket_timeout=_SOCKET_SECONDS,
            socket_connect_timeout=_CONNECT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis.from_pool(pool)
        self._address = _without_password(url)
        self._redeliver_after_ms = redeliver_after_ms
        self._readers: dict[tuple[str, str, tuple[str, ...]], Reader] = {}
        self._retrying = AsyncRetrying(
            retry=retry_if_exception(_is_transient),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=stop_after_delay(patience_seconds),
            reraise=True,
        )

    async def publish(
        self, stream: Stream, partition: int, message: Message, *, sequence: int | None = None
    ) -> str:
        """Append a message and return its position; see `MessageBus`.

        Without a sequence, a retry after a lost answer may append it twice.
        """
        key, data = _key(stream, partition), encode(message)
        if sequence is None:
            return await self._append(key, data, "*")
        check_sequence(sequence)
        position = f"{sequence}-0"
        try:
            return await self._append(key, data, position)
        except _AlreadyThere:
            check_numbered_by_writer(key, parse(await self._latest(key)))
            return position

    async def publish_raw(self, stream: Stream, partition: int, data: bytes) -> str:
        """Append bytes as they are; between two sequences where the writer numbers."""
        key = _key(stream, partition)
        while True:
            number, _ = parse(await self._latest(key))
            numbered_by_writer = 0 < number < FIRST_NUMBER_OF_THE_BUS
            with suppress(_AlreadyThere):  # the writer went on meanwhile
                return await self._append(key, data, f"{number}-*" if numbered_by_writer else "*")

    async def consume(
        self,
        group: str,
        consumer: str,
        streams: Sequence[tuple[Stream, int]],
        *,
        limit: int = 256,
        wait_ms: int = 1000,
    ) -> list[Delivery]:
        """Return what `group` has not finished; see `MessageBus`."""
        sources = {_key(*source): source for source in streams}
        reader = self._reader(group, consumer, tuple(sources))
        deadline = time.monotonic() + wait_ms / 1000
        while True:
            remaining_ms = max(0, int((deadline - time.monotonic()) * 1000))
            block_ms = min(remaining_ms, _LONGEST_BLOCK_MS)
            entries = await self._call(lambda ms=block_ms: reader.next(limit, ms))
            if entries or remaining_ms == 0:
                return [_delivery(sources[entry.key], entry) for entry in entries]

    async def acknowledge(self, group: str, deliveries: Sequence[Delivery]) -> None:
        """Mark deliveries as finished for `group`."""
        positions: dict[str, list[str]] = {}
        for delivery in deliveries:
            key = _key(delivery.stream, delivery.partition)
            positions.setdefault(key, []).append(delivery.position)
        if positions:
            await self._call(lambda: self._acknowledge(group, positions))

    async def read(
        self, stream: Stream, partition: int, *, after: str = "", limit: int = 256, wait_ms: int = 0
    ) -> list[Delivery]:
        """Read without a group: everything after a position."""
        key = _key(stream, partition)
        deadline = time.monotonic() + wait_ms / 1000
        while True:
            remaining_ms = max(0, int((deadline - time.monotonic()) * 1000))
            # BLOCK 0 would wait for ever.
            block_ms = min(remaining_ms, _LONGEST_BLOCK_MS) or None
            answer: Any = await self._call(
                lambda ms=block_ms: self._redis.xread({key: after or "0"}, count=limit, block=ms)
            )
            entries = [Entry.of(key, *item) for _, items in answer for item in items]
            if entries or remaining_ms == 0:
                return [_delivery((stream, partition), entry) for entry in entries]

    async def backlog(self, group: str, stream: Stream, partition: int) -> Backlog:
        """Return how far `group` is behind on one partition."""
        key = _key(stream, partition)
        return await self._call(lambda: self._backlog(group, key))

    async def close(self) -> None:
        """Release the connections."""
        await self._redis.aclose()

    def _reader(self, group: str, consumer: str, keys: tuple[str, ...]) -> Reader:
        name = (group, consumer, keys)
        if name not in self._readers:
            self._readers[name] = Reader(
                self._redis, group, consumer, keys, self._redeliver_after_ms
            )
        return self._readers[name]

    async def _append(self, key: str, data: bytes, position: str) -> str:
        try:
            answer: Any = await self._call(
                lambda: self._redis.xadd(key, {FIELD: data}, id=position)
            )
        except EnvironmentProblem as problem:
            if _ALREADY_THERE in str(problem.__cause__):
                raise _AlreadyThere from None
            raise
        return answer.decode()

    async def _latest(self, key: str) -> str:
        """Return the last position that the stream gave, though the entry may be gone."""
        exists = await self._call(lambda: self._redis.exists(key))
        if not exists:
            return ""
        information = await self._call(lambda: self._redis.xinfo_stream(key))
        return information["last-generated-id"].decode()

    async def _acknowledge(self, group: str, positions: dict[str, list[str]]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for key, ids in positions.items():
            pipeline.xack(key, group, *ids)
        await pipeline.execute()

    async def _backlog(self, group: str, key: str) -> Backlog:
        if not await self._redis.exists(key):
            return Backlog(lag=0, pending=0)
        for row in await self._redis.xinfo_groups(key):
            if row["name"] == group.encode():
                lag = row["lag"]
                if lag is None:  # entries were deleted, so the server's counters don't tell
                    lag = await self._count_after(key, row["last-delivered-id"])
                return Backlog(lag=lag, pending=row["pending"])
        return Backlog(lag=await self._redis.xlen(key), pending=0)

    async def _count_after(self, key: str, position: bytes) -> int:
        count = 0
        while page := await self._redis.xrange(key, min=b"(" + position, count=_COUNTING_PAGE):
            count += len(page)
            position = cast("bytes", page[-1][0])
        return count

    async def _call(self, operation: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run an operation, again with growing pauses while the server can't be reached."""
        try:
            try:
                with cancellation_kept():
                    return await operation()
            except _TRANSIENT as problem:
                if not _is_transient(problem):
                    raise
                with cancellation_kept():
                    return await self._again(operation)
        except (redis_errors.RedisError, OSError) as problem:
            reached = not _is_transient(problem)
            raise EnvironmentProblem(
                f"The message bus at {self._address} "
                f"{'refused' if reached else 'can not be reached'}: {problem}.",
                kept="What the ledger holds is safe; what was not acknowledged comes again.",
                next_step="Check the server, its credentials and QUORUM_BUS_URL.",
            ) from problem

    async def _again(self, operation: Callable[[], Awaitable[Answer]]) -> Answer:
        async for attempt in self._retrying.copy():
            with attempt:
                return await operation()
        raise AssertionError  # the last attempt raises its own error


class _AlreadyThere(Exception):
    """The position, or a later one, was given before."""


def _is_transient(problem: BaseException) -> bool:
    # A refused log-in comes wrapped into an error of the connection.
    refused = isinstance(problem, _PERMANENT) or isinstance(problem.__cause__, _PERMANENT)
    return isinstance(problem, _TRANSIENT) and not refused


def _key(stream: Stream, partition: int) -> str:
    return f"quorum:{stream}:{partition}"


def _delivery(source: tuple[Stream, int], entry: Entry) -> Delivery:
    stream, partition = source
    return Delivery(
        stream=stream,
        partition=partition,
        position=entry.position,
        data=entry.data,
        attempts=entry.attempts,
    )


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
    return f"{parts.scheme}://{host}{parts.path}"
