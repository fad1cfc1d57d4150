"""The bus on Redis or Valkey streams: one stream a partition, one entry a message."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from adapters.bus.numbering import (
    FIRST_NUMBER_OF_THE_BUS,
    check_begins,
    check_numbered_by_writer,
    check_sequence,
    parse,
)
from adapters.bus.redis_address import RedisAddress
from adapters.bus.redis_connection import (
    ConnectionLost,
    RedisConnection,
    RefusedByServer,
    Reply,
    accepted,
    open_connection,
)
from adapters.bus.redis_follower import Follower
from adapters.bus.redis_reader import FIELD, Reader, deliveries_of
from adapters.bus.redis_retention import Retention, fields
from adapters.bus.redis_scripts import ADVANCE_GROUP, PUBLISH_MANY, run_script
from domain.errors import EnvironmentProblem
from domain.messages import Message, encode
from domain.ports.bus import Backlog, Delivery
from domain.streams import Stream

_LONGEST_BLOCK_MS = 5_000
_COUNTING_PAGE = 1_000
_PUBLISHED_AT_ONCE = 1_000
_LOOK_FOR_ROOM_SECONDS = 0.02
_ALREADY_THERE = "equal or smaller"

Answer = TypeVar("Answer")


class RedisBus:
    """A `MessageBus`; partition `p` of stream `s` is the key ``quorum:s:p``.

    Groups begin at a partition's first message. A consumer's deliveries whose answer was lost
    with the connection are read again before anything newer, so that the order within a
    partition holds; after a restart the consumer must come back under the same name. A server
    that lost everything is no error: groups are made again.

    Parameters
    ----------
    url
        ``redis://``, ``rediss://`` or ``unix://``.
    redeliver_after_ms
        Age from which another consumer's unacknowledged deliveries are taken over.
    patience_seconds
        How long a call is retried while the server can't be reached, or the partition is full.
    maximum_messages
        Messages in a partition from which publishers wait for its consumers; several publishers
        at once may exceed it by what each has in flight.
    encode
        What makes bytes of a message, such as one that seals.
    """

    def __init__(
        self,
        url: str,
        *,
        redeliver_after_ms: int = 60_000,
        patience_seconds: float = 15.0,
        maximum_messages: int = 1_000_000,
        encode: Callable[[Message], bytes] = encode,
    ) -> None:
        self._encode = encode
        self._address = RedisAddress.of(url)
        self._redeliver_after_ms = redeliver_after_ms
        self._patience = patience_seconds
        self._maximum = maximum_messages
        self._commands: RedisConnection | None = None
        self._connecting = asyncio.Lock()
        self._idle: list[RedisConnection] = []
        self._readers: dict[tuple[str, str, tuple[str, ...]], Reader | Follower] = {}
        self._following: set[str] = set()
        self._retentions: dict[str, Retention] = {}
        self._full: set[str] = set()
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
        key, data = _key(stream, partition), self._encode(message)
        if sequence is not None:
            check_sequence(sequence)
        position = "*" if sequence is None else f"{sequence}-0"
        await self._wait_for_room(key)
        try:
            return await self._call(lambda: self._append(key, data, position))
        except _AlreadyThere:
            check_numbered_by_writer(key, parse(await self.latest(stream, partition)))
            return position

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
        key = _key(stream, partition)
        check_sequence(first_sequence)
        for start in range(0, len(messages), _PUBLISHED_AT_ONCE):
            first = first_sequence + start
            batch = messages[start : start + _PUBLISHED_AT_ONCE]
            some = [self._encode(message) for message in batch]
            await self._wait_for_room(key)
            last, length = await self._call(
                lambda first=first, some=some: self._script(key, first, some, begins=begins)
            )
            self._note_length(key, length)
            check_numbered_by_writer(key, (last, 0))
            if not begins:
                check_begins(key, (last, 0), first)

    async def publish_raw(self, stream: Stream, partition: int, data: bytes) -> str:
        """Append bytes as they are; between two sequences where the writer numbers."""
        key = _key(stream, partition)
        while True:
            number, _ = parse(await self.latest(stream, partition))
            numbered_by_writer = 0 < number < FIRST_NUMBER_OF_THE_BUS
            position = f"{number}-*" if numbered_by_writer else "*"
            with suppress(_AlreadyThere):  # the writer went on meanwhile
                return await self._call(lambda at=position: self._append(key, data, at))

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
        reader = self._reader(group, consumer, streams, follows=after is not None)
        begin = after or {}
        deadline = time.monotonic() + wait_ms / 1000
        while True:
            remaining_ms = max(0, int((deadline - time.monotonic()) * 1000))
            block_ms = min(remaining_ms, _LONGEST_BLOCK_MS)
            found = await self._call(lambda ms=block_ms: reader.next(limit, ms, begin))
            if found or remaining_ms == 0:
                return found

    async def acknowledge(self, group: str, deliveries: Sequence[Delivery]) -> None:
        """Mark deliveries as finished for `group`."""
        positions: dict[tuple[Stream, int], list[str]] = {}
        for delivery in deliveries:
            positions.setdefault((delivery.stream, delivery.partition), []).append(
                delivery.position
            )
        if group in self._following:
            await self._call(lambda: self._advance(group, positions))
        elif positions:
            commands = [("XACK", _key(*at), group, *ids) for at, ids in positions.items()]
            for answer in await self._call(lambda: self._send(*commands)):
                accepted(answer)

    async def read(
        self, stream: Stream, partition: int, *, after: str = "", limit: int = 256, wait_ms: int = 0
    ) -> list[Delivery]:
        """Read without a group: everything after a position."""
        key = _key(stream, partition)
        deadline = time.monotonic() + wait_ms / 1000
        while True:
            remaining_ms = max(0, int((deadline - time.monotonic()) * 1000))
            block_ms = min(remaining_ms, _LONGEST_BLOCK_MS)
            answer = await self._call(lambda ms=block_ms: self._read(key, after or "0", limit, ms))
            if answer:
                ((_, items),) = answer
                return deliveries_of((stream, partition), items)
            if remaining_ms == 0:
                return []

    async def backlog(self, group: str, stream: Stream, partition: int) -> Backlog:
        """Return how far `group` is behind on one partition."""
        key = _key(stream, partition)
        return await self._call(lambda: self._backlog(group, key))

    async def latest(self, stream: Stream, partition: int) -> str:
        """Return the position that the partition gave last; see `MessageBus`."""
        return await self._call(lambda: self._latest(_key(stream, partition)))

    async def trim(
        self, stream: Stream, partition: int, *, needed_by: Collection[str], keep: int
    ) -> int:
        """Forget what `needed_by` has finished, except the newest `keep`; see `MessageBus`."""
        key = _key(stream, partition)
        retention = self._retentions.setdefault(key, Retention(key))

        async def trim() -> int:
            return await retention.trim(await self._connected(), needed_by, keep)

        return await self._call(trim)

    async def close(self) -> None:
        """Release the connections."""
        for reader in self._readers.values():
            await reader.close()
        for connection in (*self._idle, *([self._commands] if self._commands else [])):
            await connection.end()
        self._readers, self._idle, self._commands = {}, [], None

    def _reader(
        self,
        group: str,
        consumer: str,
        streams: Sequence[tuple[Stream, int]],
        *,
        follows: bool,
    ) -> Reader | Follower:
        sources = {_key(*source): source for source in streams}
        name = (group, consumer, tuple(sources))
        if name not in self._readers:
            if follows:
                self._following.add(group)
                self._readers[name] = Follower(self._open, group, sources)
            else:
                redeliver = self._redeliver_after_ms
                self._readers[name] = Reader(self._open, group, consumer, sources, redeliver)
        return self._readers[name]

    async def _advance(
        self, group: str, finished: Mapping[tuple[Stream, int], Sequence[str]]
    ) -> None:
        connection = await self._connected()
        await asyncio.gather(
            *(
                run_script(connection, ADVANCE_GROUP, _key(*at), group, ids[-1], len(ids))
                for at, ids in finished.items()
            )
        )

    async def _open(self) -> RedisConnection:
        return await open_connection(self._address)

    async def _connected(self) -> RedisConnection:
        """Return the connection of all calls that never wait at the server."""
        if self._commands is None or not self._commands.is_open:
            async with self._connecting:
                if self._commands is None or not self._commands.is_open:
                    self._commands = await self._open()
        return self._commands

    async def _send(self, *commands: tuple[str | bytes | int, ...]) -> list[Reply]:
        return await (await self._connected()).send(*commands)

    async def _append(self, key: str, data: bytes, position: str) -> str:
        answer, length = await self._send(("XADD", key, position, FIELD, data), ("XLEN", key))
        if isinstance(answer, RefusedByServer) and _ALREADY_THERE in str(answer):
            raise _AlreadyThere
        self._note_length(key, accepted(length))
        return accepted(answer).decode()

    async def _script(
        self, key: str, first: int, messages: Sequence[bytes], *, begins: bool
    ) -> list[int]:
        connection = await self._connected()
        return await run_script(connection, PUBLISH_MANY, key, first, int(begins), *messages)

    async def _read(self, key: str, after: str, limit: int, block_ms: int) -> Reply:
        wait = ("BLOCK", block_ms) if block_ms else ()  # 0 would wait for ever
        command = ("XREAD", "COUNT", limit, *wait, "STREAMS", key, after)
        if not block_ms:
            return await (await self._connected()).call(*command)
        connection = self._idle.pop() if self._idle else await self._open()
        try:
            (answer,) = await connection.send(command, blocks=block_ms / 1000)
        except BaseException:
            connection.close()  # the server may still wait on it
            raise
        self._idle.append(connection)
        return accepted(answer)

    async def _latest(self, key: str) -> str:
        information = await (await self._connected()).ask("XINFO", "STREAM", key)
        if information is None:
            return ""
        position = fields(information)["last-generated-id"]
        return "" if position == b"0-0" else position.decode()

    async def _backlog(self, group: str, key: str) -> Backlog:
        connection = await self._connected()
        groups = await connection.ask("XINFO", "GROUPS", key)
        if groups is None:
            return Backlog(lag=0, pending=0)
        for row in map(fields, groups):
            if row["name"] == group.encode():
                lag = row["lag"]
                if lag is None:  # entries were deleted, so the server's counters don't tell
                    lag = await _count_after(connection, key, row["last-delivered-id"])
                return Backlog(lag=lag, pending=row["pending"])
        return Backlog(lag=await connection.call("XLEN", key), pending=0)

    def _note_length(self, key: str, length: int) -> None:
        if length >= self._maximum:
            self._full.add(key)

    async def _wait_for_room(self, key: str) -> None:
        """Wait while a partition is full: its consumers finish, and it is trimmed."""
        if key not in self._full:
            return
        deadline = time.monotonic() + self._patience
        while await self._call(lambda: self._length(key)) >= self._maximum:
            if time.monotonic() >= deadline:
                raise EnvironmentProblem(
                    f"{key} is full: {self._maximum} messages wait for its consumers.",
                    kept="The message was not published.",
                    next_step="See which group lags (quorum_stream_lag_messages) and mend it.",
                )
            await asyncio.sleep(_LOOK_FOR_ROOM_SECONDS)
        self._full.discard(key)

    async def _length(self, key: str) -> int:
        return await (await self._connected()).call("XLEN", key)

    async def _call(self, operation: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run an operation, again with growing pauses while the server can't be reached."""
        try:
            try:
                return await operation()
            except (OSError, RefusedByServer) as problem:
                if not _is_transient(problem):
                    raise
                return await self._again(operation)
        except (OSError, RefusedByServer) as problem:
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


async def _count_after(connection: RedisConnection, key: str, position: bytes) -> int:
    count = 0
    while page := await connection.call(
        "XRANGE", key, b"(" + position, "+", "COUNT", _COUNTING_PAGE
    ):
        count += len(page)
        position = page[-1][0]
    return count


def _is_transient(problem: BaseException) -> bool:
    if isinstance(problem, RefusedByServer):
        return problem.is_transient
    return isinstance(problem, ConnectionLost)


def _key(stream: Stream, partition: int) -> str:
    return f"quorum:{stream}:{partition}"
