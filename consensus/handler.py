"""What a processor runs: a handler turns batches of messages into effects."""

from collections.abc import Sequence
from typing import Protocol

from domain.messages import Message, Value
from domain.ports.bus import Delivery
from domain.ports.ledger import DeadLetter, Ignored, Ledger, Outgoing, Reservation
from domain.refusals import Refusal

Batch = Sequence[tuple[Delivery, Message]]


class Effects(Value, frozen=True, kw_only=True):
    """What handling a batch causes; all of it commits together, or none.

    Parameters
    ----------
    inputs
        Those of the batch's deliveries to journal, for recovery and replay; in the order handled.
    events
        Appended to the handler's log, in order.
    outbox
        Published after the commit, in order per stream and partition.
    dead_letters
        Messages of the batch that a person should look at.
    ignored
        Messages without effect, with the reason.
    snapshot
        The handler's state after the batch, where it wants recovery to start there.
    reservations
        Capital that orders hold, or no longer hold; the last one of an order counts.
    """

    inputs: tuple[Delivery, ...] = ()
    events: tuple[Message, ...] = ()
    outbox: tuple[Outgoing, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    snapshot: bytes | None = None
    reservations: tuple[Reservation, ...] = ()


class Handler(Protocol):
    """Turns messages into effects; pure but for its own state."""

    log: str

    async def recover(self, ledger: Ledger) -> None:
        """Forget all state and rebuild it from the record (called at start and after faults)."""
        ...

    async def handle(self, batch: Batch) -> Effects:
        """Return what the batch causes.

        A message that it refuses becomes a dead letter among the effects. An exception takes
        the whole batch back: state is recovered and the messages are tried one by one.
        """
        ...

    async def committed(self, effects: Effects) -> Effects | None:
        """Act on the outside after the commit (send orders); return what that causes, or None.

        Must be idempotent: after a crash it is `recover` that finds what was not done.
        """
        ...


def dead_letter(
    delivery: Delivery, reason: Refusal, trace: str, *, tries: int = 1, by: str = ""
) -> DeadLetter:
    """Return a delivery as a dead letter, its bytes as they came.

    Parameters
    ----------
    trace
        What was found, in one sentence; of a fault, where it arose.
    tries
        How often it was handled since it was delivered.
    by
        Who gives it up.
    """
    return DeadLetter(
        stream=delivery.stream,
        partition=delivery.partition,
        position=delivery.position,
        reason=reason,
        attempts=delivery.attempts + tries - 1,
        data=delivery.data,
        trace=trace,
        by=by,
    )
