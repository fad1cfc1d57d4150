"""Moves messages between the bus and an agent: follows streams, works off groups' backlogs.

Effects of an agent are messages whose ids derive from what they answer, so a message may be
handled twice; it is acknowledged only after all it caused was published.
"""

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from adapters.logging import correlated
from consensus.handler import dead_letter
from domain.errors import EnvironmentProblem, MessageRefused
from domain.messages import Message, decode, encode
from domain.metrics import Metric
from domain.ports.bus import Delivery, MessageBus
from domain.ports.metrics import Metrics
from domain.refusals import Refusal
from domain.streams import Stream

_log = structlog.get_logger(__name__)

_ATTEMPTS = 3
_FIRST_DELAY, _LONGEST_DELAY = 0.05, 2.0
_WAIT_MS = 1000

Handle = Callable[[Message], Awaitable[None]]
_Result = TypeVar("_Result")


class StreamWorker:
    """Reads and consumes for one agent; waits, with what it holds, for a bus that is away."""

    def __init__(self, bus: MessageBus, metrics: Metrics) -> None:
        self._bus = bus
        self._metrics = metrics
        self.trouble = ""
        """What keeps the bus from being used; empty while it is fine."""

    async def follow(
        self, stream: Stream, partition: int, handle: Handle, caught_up: asyncio.Event
    ) -> None:
        """Hand every message of a partition to `handle`, from the start of what is retained.

        `caught_up` is set once everything that stood there at the start was handled. Messages
        that can't be handled are logged and passed over; who owns the stream buries them.
        """
        position = ""
        while True:
            wait_ms = _WAIT_MS if caught_up.is_set() else 0
            deliveries = await self._persistently(
                lambda after=position, wait=wait_ms: self._bus.read(
                    stream, partition, after=after, wait_ms=wait
                )
            )
            for delivery in deliveries:
                await self._try(delivery, handle)
                position = delivery.position
            if not deliveries:
                caught_up.set()

    async def consume(
        self, group: str, consumer: str, streams: Sequence[tuple[Stream, int]], handle: Handle
    ) -> None:
        """Work off a group's backlog, in order, then go on with what comes.

        What can't be handled after a few attempts becomes a dead letter with reason and trace.
        """
        while True:
            deliveries = await self._persistently(
                lambda: self._bus.consume(group, consumer, streams, wait_ms=_WAIT_MS)
            )
            for delivery in deliveries:
                self._metrics.count(Metric.MESSAGES_CONSUMED, group=group, stream=delivery.stream)
                problem = await self._try(delivery, handle)
                if problem is not None:
                    await self._bury(group, delivery, problem)
            if deliveries:
                await self._persistently(lambda done=deliveries: self._bus.acknowledge(group, done))

    async def observe_lag(self, groups: Sequence[tuple[str, Stream, int]]) -> None:
        """Show how far each group is behind."""
        behind: dict[tuple[str, Stream], int] = {}
        for group, stream, partition in groups:
            backlog = await self._bus.backlog(group, stream, partition)
            behind[group, stream] = behind.get((group, stream), 0) + backlog.total
        for (group, stream), total in behind.items():
            self._metrics.gauge(Metric.STREAM_LAG, total, group=group, stream=stream)

    async def _try(self, delivery: Delivery, handle: Handle) -> Exception | None:
        """Handle a delivery; returns why it can't be handled."""
        try:
            message = decode(delivery.data)
        except MessageRefused as refusal:
            _log.warning("message refused", stream=delivery.stream, exc_info=refusal)
            return refusal
        problem: Exception | None = None
        with correlated(message):
            for attempt in range(_ATTEMPTS):
                try:
                    await self._persistently(lambda: handle(message))
                except Exception as fault:  # noqa: BLE001 - one message must not stop the others
                    _log.warning("message not handled", stream=delivery.stream, exc_info=fault)
                    problem = fault
                    await _pause(attempt)
                else:
                    return None
        return problem

    async def _bury(self, group: str, delivery: Delivery, problem: Exception) -> None:
        if isinstance(problem, MessageRefused):
            letter = dead_letter(delivery, problem.reason, problem.what, by=group)
        else:
            trace = "".join(traceback.format_exception(problem))
            letter = dead_letter(delivery, Refusal.FAULT, trace, tries=_ATTEMPTS, by=group)
        await self._persistently(
            lambda: self._bus.publish_raw(Stream.DEAD_LETTERS, delivery.partition, encode(letter))
        )
        self._metrics.count(Metric.MESSAGES_REFUSED, stream=delivery.stream, reason=letter.reason)

    async def _persistently(self, operation: Callable[[], Awaitable[_Result]]) -> _Result:
        """Repeat an operation until the bus is there for it."""
        attempt = 0
        while True:
            try:
                result = await operation()
            except EnvironmentProblem as problem:
                if not self.trouble:
                    _log.warning("the bus is away", exc_info=problem)
                self.trouble = problem.what
                await _pause(attempt)
                attempt += 1
            else:
                self.trouble = ""
                return result


async def _pause(attempt: int) -> None:
    """Wait before the next attempt: exponential, capped, jittered."""
    jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, decides nothing
    await asyncio.sleep(min(_FIRST_DELAY * 2 ** min(attempt, 10), _LONGEST_DELAY) * jitter)
