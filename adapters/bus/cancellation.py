"""Cancellations that a client library loses on the way."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def cancellation_kept() -> Generator[None]:
    """Raise at the end of the block a cancellation that was swallowed inside it.

    On Python 3.11 `asyncio.wait_for`, by which redis-py sends, loses one that comes together with
    the answer; the task that was asked to end would go on for good.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    yield
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
