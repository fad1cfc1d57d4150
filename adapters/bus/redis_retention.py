"""How far a stream of Redis may be trimmed."""

from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

from adapters.bus.numbering import Position, parse
from adapters.bus.redis_connection import RedisConnection


class Retention:
    """Trims one stream: only what those who need it have finished, and never the newest `keep`.

    The server can't say which message is the thousandth from the end without reading them all,
    so every call notes how many messages the stream has had and which is its last.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._marks: deque[tuple[int, Position]] = deque()

    async def trim(self, connection: RedisConnection, needed_by: Collection[str], keep: int) -> int:
        """See `domain.ports.bus.MessageBus.trim`."""
        information = await connection.ask("XINFO", "STREAM", self._key)
        if information is None:
            self._marks.clear()
            return 0
        stream = fields(information)
        old_enough = self._behind_the_newest(
            stream["entries-added"], parse(stream["last-generated-id"].decode()), keep
        )
        rows = map(fields, await connection.ask("XINFO", "GROUPS", self._key) or ())
        groups = {row["name"].decode(): row for row in rows}
        if not set(needed_by) <= groups.keys():
            return 0
        unfinished = [await self._unfinished(connection, groups[name]) for name in needed_by]
        number, addition = min([old_enough, *unfinished])
        return await connection.call("XTRIM", self._key, "MINID", "=", f"{number}-{addition}")

    def _behind_the_newest(self, added: int, last: Position, keep: int) -> Position:
        """Return a position before which all are older than the newest `keep`."""
        if self._marks and self._marks[-1][1] > last:
            self._marks.clear()  # the server lost the stream
        self._marks.append((added, last))
        while len(self._marks) > 1 and self._marks[1][0] <= added - keep:
            self._marks.popleft()
        count, position = self._marks[0]
        return _next(position) if count <= added - keep else (0, 0)

    async def _unfinished(self, connection: RedisConnection, group: Mapping[str, Any]) -> Position:
        """Return the first position that a group has not finished."""
        if group["pending"]:
            summary: Any = await connection.ask("XPENDING", self._key, group["name"])
            if summary is not None and summary[0]:
                return parse(summary[1].decode())
        return _next(parse(group["last-delivered-id"].decode()))


def fields(answer: list[Any]) -> dict[str, Any]:
    """Return the server's list of names and values as a mapping."""
    return {name.decode(): value for name, value in zip(answer[::2], answer[1::2], strict=True)}


def _next(position: Position) -> Position:
    return position[0], position[1] + 1
