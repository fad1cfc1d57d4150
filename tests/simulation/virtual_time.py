"""An event loop whose time is a number: nobody waits, and the same program runs the same again."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class NothingLeftToHappen(AssertionError):
    """Everybody waits, and no timer is set: a deadlock."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Where the loop would sleep until its next timer, its clock moves there instead.

    It has no descriptors and no threads, so nothing from outside can come in between.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self  # what the base class asks to wait for events

    def time(self) -> float:
        """Return seconds since the loop was made."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Let the time pass that a selector would have waited."""
        if timeout is None:
            raise NothingLeftToHappen
        self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """No descriptor, no event."""

    def _write_to_self(self) -> None:
        """Nothing sleeps that had to be woken."""


def run(program: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a program in virtual time, and whatever it left behind to its cancellation."""
    loop = VirtualLoop()
    unseen: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unseen.append(context))
    try:
        result = loop.run_until_complete(program)
        assert not unseen, f"a task failed, and nobody noticed: {unseen[0]}"
        return result
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
