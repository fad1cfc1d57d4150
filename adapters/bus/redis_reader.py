"""What one consumer of a group has in hand, and what it reads next."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from adapters.bus.redis_connection import RedisConnection, RefusedByServer, accepted
from domain.ports.bus import Delivery
from domain.streams import Stream

FIELD = b"data"
Source = tuple[Stream, int]

_PENDING_PAGE = 1_000
_GROUP_IS_GONE = ("NOGROUP", "UNBLOCKED")


class Reader:
    """Reads for one consumer: first what it left unfinished, then what is new.

    Its connection is its own, since the server answers nothing else on it while it waits. A call
    that is cancelled while it waits loses nothing: what the server sends then is the next call's.

    Parameters
    ----------
    connect
        Opens a connection.
    sources
        The partition that each key holds.
    redeliver_after_ms
        Age from which unacknowledged deliveries, anybody's, are taken over.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[RedisConnection]],
        group: str,
        consumer: str,
        sources: Mapping[str, Source],
        redeliver_after_ms: int,
    ) -> None:
        self._connect = connect
        self._group = group
        self._consumer = consumer
        self._sources = {key.encode(): source for key, source in sources.items()}
        self._redeliver_after_ms = redeliver_after_ms
        self._groups_exist = False
        self._connection: RedisConnection | None = None
        self._begin_again()

    async def next(self, limit: int, wait_ms: int, after: Mapping[Source, str]) -> list[Delivery]:
        """Return up to `limit` deliveries; an empty list if none came within `wait_ms`."""
        try:
            if self._arriving is None:
                if not self._groups_exist:
                    await self._create_groups(after)
                if not self._in_hand:
                    self._in_hand.extend(await self._unfinished(limit))
            if not self._in_hand:
                self._in_hand.extend(await self._new(limit, wait_ms))
        except RefusedByServer as problem:
            self._begin_again()
            if not str(problem).startswith(_GROUP_IS_GONE):
                raise
            self._groups_exist = False  # the server lost its data
            return []
        except asyncio.CancelledError:
            if self._arriving is None:
                self._begin_again()
            raise
        except BaseException:
            # The server may have delivered what never reached us: read it before newer entries.
            self._begin_again()
            raise
        if len(self._in_hand) <= limit:
            everything, self._in_hand = self._in_hand, deque()
            return list(everything)
        return [self._in_hand.popleft() for _ in range(limit)]

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.end()

    def _begin_again(self) -> None:
        self._in_hand: deque[Delivery] = deque()
        self._history = dict.fromkeys(self._sources, b"0")
        self._next_claim = time.monotonic()
        self._arriving: asyncio.Future[list[Any]] | None = None

    async def _open(self) -> RedisConnection:
        if self._connection is None or not self._connection.is_open:
            self._connection = await self._connect()
        return self._connection

    async def _create_groups(self, after: Mapping[Source, str]) -> None:
        connection = await self._open()
        for key, source in self._sources.items():
            begin = after.get(source) or "0"
            try:
                await connection.call("XGROUP", "CREATE", key, self._group, begin, "MKSTREAM")
            except RefusedByServer as problem:
                if not str(problem).startswith("BUSYGROUP"):
                    raise
        self._groups_exist = True

    async def _unfinished(self, limit: int) -> list[Delivery]:
        while self._history:
            if deliveries := await self._own_history(limit):
                return deliveries
        if time.monotonic() < self._next_claim:
            return []
        deliveries = [d for key in self._sources for d in await self._claim(key, limit)]
        if not deliveries:
            self._next_claim = time.monotonic() + self._redeliver_after_ms / 2000
        return deliveries

    async def _own_history(self, limit: int) -> list[Delivery]:
        connection = await self._open()
        answer: Any = await connection.call(
            *("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", limit),
            *("STREAMS", *self._history.keys(), *self._history.values()),
        )
        deliveries: list[Delivery] = []
        left: dict[bytes, bytes] = {}
        for key, items in answer or ():
            if len(items) == limit:
                left[key] = items[-1][0]
            deliveries += await self._with_attempts(key, items)
        self._history = left
        return deliveries

    async def _claim(self, key: bytes, limit: int) -> list[Delivery]:
        connection = await self._open()
        _, items, *_ = await connection.call(
            *("XAUTOCLAIM", key, self._group, self._consumer, self._redeliver_after_ms),
            *("0", "COUNT", limit),
        )
        return await self._with_attempts(key, items)

    async def _with_attempts(self, key: bytes, items: list[Any]) -> list[Delivery]:
        """Add how often each was delivered; forget those whose entry was trimmed away."""
        connection = await self._open()
        if gone := [position for position, fields in items if not fields]:
            await connection.call("XACK", key, self._group, *gone)
        there = [item for item in items if item[1]]
        if not there:
            return []
        attempts: dict[bytes, int] = {}
        low, high = there[0][0], there[-1][0]
        while high not in attempts:
            rows: Any = await connection.call(
                "XPENDING", key, self._group, low, high, _PENDING_PAGE, self._consumer
            )
            if not rows:
                break
            attempts |= {position: times for position, _, _, times in rows}
            low = b"(" + rows[-1][0]
        return deliveries_of(self._sources[key], there, attempts)

    async def _new(self, limit: int, wait_ms: int) -> list[Delivery]:
        if self._arriving is None:
            wait = ("BLOCK", wait_ms) if wait_ms else ()  # 0 would wait for ever
            self._arriving = (await self._open()).send(
                (
                    *("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", limit, *wait),
                    *("STREAMS", *self._sources, *([b">"] * len(self._sources))),
                ),
                blocks=wait_ms / 1000,
            )
        else:  # of a call that was cancelled; it may wait longer than this one
            await asyncio.wait({self._arriving}, timeout=wait_ms / 1000)
            if not self._arriving.done():
                return []
        answers = await asyncio.shield(self._arriving)
        self._arriving = None
        return [
            delivery
            for key, items in accepted(answers[0]) or ()
            for delivery in deliveries_of(self._sources[key], items)
        ]


def deliveries_of(
    source: Source, items: Iterable[Any], attempts: Mapping[bytes, int] | None = None
) -> list[Delivery]:
    """Return a stream's entries as the server tells of them; one that isn't ours has no bytes."""
    stream, partition = source
    return [
        Delivery(
            stream=stream,
            partition=partition,
            position=position.decode(),
            data=fields[1] if fields[0] == FIELD else b"",
            attempts=attempts.get(position, 1) if attempts else 1,
        )
        for position, fields in items
    ]
