"""Reading behind positions that the reader's own record keeps, whoever else reads for the group."""

import asyncio
from collections import deque
from collections.abc import Iterable

import msgspec

from adapters.bus.numbering import FIRST_NUMBER_OF_THE_BUS, Position
from adapters.bus.rabbitmq_group import Held, Mark, read_mark
from adapters.bus.rabbitmq_log import Log, Subscription, position_of


class Follower:
    """One consumer that keeps its own positions; the group's marks only show how far it is.

    It stands for no election: a predecessor that does not know yet that it was replaced takes
    nothing away from it, and what that one acknowledges never takes the marks back.

    Parameters
    ----------
    log, marks
        The partition's log, and the group's marks on it.
    begin
        Behind which position it begins.
    """

    def __init__(self, log: Log, marks: Log, begin: Position) -> None:
        self._log = log
        self._marks = marks
        self._lock = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._offset, self._position = -1, begin
        self._unfinished: dict[Position, int] = {}
        self._ready: deque[Held] = deque()

    async def join(self) -> None:
        """Show where the record is, and begin to receive."""
        number, offset = self._position
        known = number >= FIRST_NUMBER_OF_THE_BUS and offset <= (await self._log.end())[-1].offset
        self._offset = offset if known else -1
        await self._marks.create()
        await self._show()
        self._subscription = await self._log.follow(self._offset + 1)

    async def prepare(self, limit: int) -> int:
        """Have up to `limit` ready to take; returns how many that are."""
        async with self._lock:
            subscription, before = self._receiving(), self._offset
            while subscription.entries and len(self._ready) < limit:
                entry = subscription.take()
                self._offset = entry.offset
                if (position := position_of(entry, self._position)) is not None:
                    self._position = position
                    self._unfinished[position] = entry.offset
                    self._ready.append(Held(entry, position, 1))
            await subscription.release()
            if self._offset > before and not self._unfinished:
                await self._show()  # what holds nothing new is no backlog
            return len(self._ready)

    def take(self, limit: int) -> list[Held]:
        """Return what is ready."""
        return [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]

    async def catch_up(self, count: int) -> None:
        """Wait until `count` new ones are in hand, or all that there are."""
        subscription = self._receiving()
        await subscription.release()
        await subscription.reach((await self._log.end())[-1].offset, count)

    async def finish(self, positions: Iterable[Position]) -> None:
        """Show that deliveries are finished."""
        async with self._lock:
            for position in positions:
                self._unfinished.pop(position, None)
            await self._show()

    def _receiving(self) -> Subscription:
        assert self._subscription is not None  # noqa: S101 - join() came first
        return self._subscription

    async def _show(self) -> None:
        """Move the group's mark to before the first unfinished one, unless it is further."""
        offset, position = self._offset, self._position
        if self._unfinished:
            position, offset = next(iter(self._unfinished.items()))
            offset, position = offset - 1, _before(position)
        shown = await read_mark(self._marks)
        if shown is None or _finished(shown) < position or shown.offset < offset:
            await self._marks.append(msgspec.json.encode(Mark(offset, position)))


def _finished(mark: Mark) -> Position:
    """Return up to where a group is finished."""
    if not mark.unfinished:
        return mark.position
    return _before(min(one.position for one in mark.unfinished))


def _before(position: Position) -> Position:
    """Return a position behind all that come before this one."""
    number, addition = position
    return (number, addition - 1) if addition else (number - 1, FIRST_NUMBER_OF_THE_BUS)
