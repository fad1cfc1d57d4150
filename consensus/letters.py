"""Putting on record the dead letters of processes that have no ledger: the agents'.

A writer of a log records its own letters in the transaction that takes the message in. An agent
only has the bus; what it gives up comes by the stream of dead letters and is recorded here, once
however often it is delivered, so that a person finds every letter at one place.
"""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from consensus.handler import dead_letter
from consensus.retries import wait_before_retry
from domain.errors import RecordUnavailable
from domain.ports.bus import Delivery, MessageBus
from domain.ports.ledger import DeadLetter, Ledger
from domain.refusals import Refusal
from domain.streams import Stream

GROUP = "dead-letters"

_WAIT_MS = 200
_log = structlog.get_logger(__name__)


class LetterIntake:
    """Takes letters off the bus and records those that are not on record.

    Parameters
    ----------
    consumer
        Name of this process within the group.
    """

    def __init__(self, bus: MessageBus, ledger: Ledger, *, consumer: str, partitions: int) -> None:
        self._bus = bus
        self._ledger = ledger
        self._consumer = consumer
        self._sources = [(Stream.DEAD_LETTERS, partition) for partition in range(partitions)]

    async def run(self, stop: asyncio.Event) -> None:
        """Record until `stop` is set.

        Raises
        ------
        domain.errors.EnvironmentProblem
            If the bus is lost.
        """
        while not stop.is_set():
            deliveries = await self._bus.consume(
                GROUP, self._consumer, self._sources, wait_ms=_WAIT_MS
            )
            if deliveries and await self._recorded([letter_in(d) for d in deliveries], stop):
                await self._bus.acknowledge(GROUP, deliveries)

    async def _recorded(self, letters: Sequence[DeadLetter], stop: asyncio.Event) -> bool:
        """Record letters, however long the ledger is away; returns False if stopped meanwhile."""
        attempt = 0
        while not stop.is_set():
            try:
                await self._ledger.record_letters(letters)
            except RecordUnavailable as problem:
                _log.warning("letters wait: the ledger is away", problem=problem.what)
                await wait_before_retry(stop, attempt)
                attempt += 1
            else:
                return True
        return False


def letter_in(delivery: Delivery) -> DeadLetter:
    """Return the letter that a delivery holds; what is none becomes a letter itself."""
    try:
        return msgspec.json.decode(delivery.data, type=DeadLetter)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        return dead_letter(delivery, Refusal.MALFORMED, f"No letter: {problem}.", by=GROUP)
