"""Keeping on: waiting between attempts, and starting again when the bus was lost."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Protocol

import structlog

from domain.errors import EnvironmentProblem, VenueUnavailable

_log = structlog.get_logger(__name__)

_FIRST_DELAY, _LONGEST_DELAY = 0.05, 2.0


class Runnable(Protocol):
    """What `keep_running` runs: a `consensus.processor.Processor`."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set."""
        ...


async def keep_running(
    open_processor: Callable[[], AbstractAsyncContextManager[Runnable]], stop: asyncio.Event
) -> None:
    """Run a processor until `stop` is set; after each loss of the bus or a venue, a new one.

    Parameters
    ----------
    open_processor
        Makes a processor on a new bus connection: what was delivered to the old one and not
        acknowledged comes again only to a new consumer.
    """
    attempt = 0
    while not stop.is_set():
        try:
            async with open_processor() as processor:
                await processor.run(stop)
                return
        except (EnvironmentProblem, VenueUnavailable) as problem:
            _log.warning("what it stands on is away; starting again", problem=problem.what)
        await wait_before_retry(stop, attempt)
        attempt += 1


async def until_first_ends(*running: Coroutine[Any, Any, None]) -> None:
    """Run together; when one ends, cancel the others, and raise its fault."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in running]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def wait_before_retry(stop: asyncio.Event, attempt: int) -> None:
    """Wait before the next attempt: exponential, capped, jittered; cut short by `stop`."""
    jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, decides nothing
    delay = min(_FIRST_DELAY * 2 ** min(attempt, 10), _LONGEST_DELAY) * jitter
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), delay)
