"""Reading behind positions that the reader's own record keeps."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from adapters.bus.redis_connection import RedisConnection, accepted
from adapters.bus.redis_reader import Source, deliveries_of
from adapters.bus.redis_scripts import ADVANCE_GROUP, run_script
from domain.ports.bus import Delivery

_BEGINNING = "0"
_SHOW_SECONDS = 1.0


class Follower:
    """Reads for one consumer everything behind its positions, whoever else reads.

    A group's cursor can't do that: what a predecessor takes off it that does not know yet that
    it was replaced would be missing here. The group only shows how far the record is, for lag
    and for trimming. A call that is cancelled while it waits loses nothing.

    Parameters
    ----------
    connect
        Opens a connection.
    sources
        The partition that each key holds.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[RedisConnection]],
        group: str,
        sources: Mapping[str, Source],
    ) -> None:
        self._connect = connect
        self._group = group
        self._sources = {key.encode(): source for key, source in sources.items()}
        self._positions: dict[bytes, bytes] = {}
        self._connection: RedisConnection | None = None
        self._in_hand: deque[Delivery] = deque()
        self._arriving: asyncio.Future[list[Any]] | None = None
        self._next_show = 0.0

    async def next(self, limit: int, wait_ms: int, after: Mapping[Source, str]) -> list[Delivery]:
        """Return up to `limit` deliveries; an empty list if none came within `wait_ms`.

        `after` is where the first call begins; the others go on from where that came to.
        """
        if not self._positions:
            await self._show(after)
            self._positions = {k: _position(after, s) for k, s in self._sources.items()}
        if not self._in_hand:
            self._in_hand.extend(await self._arrived(limit, wait_ms))
        if not self._in_hand and time.monotonic() >= self._next_show:
            await self._show(after)
        if len(self._in_hand) <= limit:
            everything, self._in_hand = self._in_hand, deque()
            return list(everything)
        return [self._in_hand.popleft() for _ in range(limit)]

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.end()

    async def _show(self, after: Mapping[Source, str]) -> None:
        """Show where the record is; now and then again, since a server may lose its groups."""
        connection = await self._open()
        if self._arriving is not None:
            return  # a call that was cancelled still waits on this connection
        for key, source in self._sources.items():
            await run_script(connection, ADVANCE_GROUP, key, self._group, _position(after, source))
        self._next_show = time.monotonic() + _SHOW_SECONDS

    async def _open(self) -> RedisConnection:
        if self._connection is None or not self._connection.is_open:
            self._connection, self._arriving = await self._connect(), None
        return self._connection

    async def _arrived(self, limit: int, wait_ms: int) -> list[Delivery]:
        connection = await self._open()
        if self._arriving is None:
            wait = ("BLOCK", wait_ms) if wait_ms else ()  # 0 would wait for ever
            keys, positions = self._positions.keys(), self._positions.values()
            command = ("XREAD", "COUNT", limit, *wait, "STREAMS", *keys, *positions)
            self._arriving = connection.send(command, blocks=wait_ms / 1000)
        else:  # of a call that was cancelled; it may wait longer than this one
            await asyncio.wait({self._arriving}, timeout=wait_ms / 1000)
            if not self._arriving.done():
                return []
        (answer,) = await asyncio.shield(self._arriving)
        self._arriving = None
        found: list[Delivery] = []
        for key, items in accepted(answer) or ():
            found += deliveries_of(self._sources[key], items)
            self._positions[key] = items[-1][0]
        return found


def _position(after: Mapping[Source, str], source: Source) -> bytes:
    return (after.get(source) or _BEGINNING).encode()
