"""What one consumer of a group has in hand, and what it reads next."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import redis.exceptions as redis_errors
from redis.asyncio import Redis

from adapters.bus.cancellation import cancellation_kept

FIELD = b"data"
_PENDING_PAGE = 1_000
_GROUP_IS_GONE = ("NOGROUP", "UNBLOCKED")


class Entry(NamedTuple):
    """One stream entry as it was delivered; `data` is empty where the entry isn't one of ours."""

    key: str
    position: str
    data: bytes
    attempts: int = 1

    @classmethod
    def of(cls, key: str, position: bytes, fields: Mapping[bytes, bytes]) -> Self:
        """Return the entry that the server's answer tells of."""
        return cls(key, position.decode(), fields.get(FIELD, b""))


class Reader:
    """Reads for one consumer: first what it left unfinished, then what is new.

    Parameters
    ----------
    keys
        The streams.
    redeliver_after_ms
        Age from which unacknowledged deliveries, anybody's, are taken over.
    """

    def __init__(
        self,
        redis: Redis,
        group: str,
        consumer: str,
        keys: tuple[str, ...],
        redeliver_after_ms: int,
    ) -> None:
        self._redis = redis
        self._group = group
        self._consumer = consumer
        self._keys = keys
        self._redeliver_after_ms = redeliver_after_ms
        self._groups_exist = False
        self._begin_again()

    async def next(self, limit: int, wait_ms: int) -> list[Entry]:
        """Return up to `limit` entries; an empty list if none came within `wait_ms`."""
        try:
            with cancellation_kept():
                if not self._groups_exist:
                    await self._create_groups()
                if not self._in_hand:
                    self._in_hand.extend(await self._unfinished(limit))
                if not self._in_hand:
                    self._in_hand.extend(await self._new(limit, wait_ms))
        except redis_errors.ResponseError as problem:
            self._begin_again()
            if not str(problem).startswith(_GROUP_IS_GONE):
                raise
            self._groups_exist = False  # the server lost its data
            return []
        except BaseException:
            # The server may have delivered what never reached us: read it before newer entries.
            self._begin_again()
            raise
        return [self._in_hand.popleft() for _ in range(min(limit, len(self._in_hand)))]

    def _begin_again(self) -> None:
        self._in_hand: deque[Entry] = deque()
        self._history = dict.fromkeys(self._keys, "0")
        self._next_claim = time.monotonic()

    async def _create_groups(self) -> None:
        for key in self._keys:
            try:
                await self._redis.xgroup_create(key, self._group, id="0", mkstream=True)
            except redis_errors.ResponseError as problem:
                if not str(problem).startswith("BUSYGROUP"):
                    raise
        self._groups_exist = True

    async def _unfinished(self, limit: int) -> list[Entry]:
        while self._history:
            if entries := await self._own_history(limit):
                return entries
        if time.monotonic() < self._next_claim:
            return []
        entries = [e for key in self._keys for e in await self._claim(key, limit)]
        if not entries:
            self._next_claim = time.monotonic() + self._redeliver_after_ms / 2000
        return entries

    async def _own_history(self, limit: int) -> list[Entry]:
        answer: Any = await self._redis.xreadgroup(
            self._group, self._consumer, {**self._history}, count=limit
        )
        entries: list[Entry] = []
        left: dict[str, str] = {}
        for key, items in ((key.decode(), items) for key, items in answer):
            if len(items) == limit:
                left[key] = items[-1][0].decode()
            entries += await self._with_attempts(key, items)
        self._history = left
        return entries

    async def _claim(self, key: str, limit: int) -> list[Entry]:
        _, items, *_ = await self._redis.xautoclaim(
            key, self._group, self._consumer, self._redeliver_after_ms, count=limit
        )
        return await self._with_attempts(key, items)

    async def _with_attempts(self, key: str, items: list[Any]) -> list[Entry]:
        """Add how often each was delivered; forget those whose entry was trimmed away."""
        if gone := [position for position, fields in items if not fields]:
            await self._redis.xack(key, self._group, *gone)
        entries = [Entry.of(key, *item) for item in items if item[1]]
        if not entries:
            return []
        attempts: dict[str, int] = {}
        low = entries[0].position
        while entries[-1].position not in attempts:
            rows: Any = await self._redis.xpending_range(
                key, self._group, low, entries[-1].position, _PENDING_PAGE, self._consumer
            )
            if not rows:
                break
            attempts |= {row["message_id"].decode(): row["times_delivered"] for row in rows}
            low = f"({rows[-1]['message_id'].decode()}"
        return [entry._replace(attempts=attempts.get(entry.position, 1)) for entry in entries]

    async def _new(self, limit: int, wait_ms: int) -> list[Entry]:
        answer: Any = await self._redis.xreadgroup(
            self._group,
            self._consumer,
            dict.fromkeys(self._keys, ">"),
            count=limit,
            block=wait_ms or None,  # 0 would wait for ever
        )
        return [Entry.of(key.decode(), *item) for key, items in answer for item in items]
