"""The record: named logs of events, each partition gap-free and chained, committed with its inputs.

One partition of one log has one writer, which holds its lease. A commit is all or nothing:
events, the positions of the inputs they came from, and what is to be published for them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Protocol

import msgspec

from domain.breaker import BreakerChanged
from domain.merkle import Subtree
from domain.messages import Identifier, Message, Value, decode, set_field
from domain.ports.bus import Delivery
from domain.review import ReviewEscalated, ReviewOpened, ReviewVerdict
from domain.rules import RulesChanged
from domain.streams import Stream
from domain.voting import ConsensusResult

GENESIS = bytes(32)
"""The hash before a log's first event."""


class Log(StrEnum):
    """The named logs."""

    DECISIONS = "decisions"
    ORDERS = "orders"


#: What the log of decisions holds.
DecisionEvent = (
    ConsensusResult | ReviewOpened | ReviewVerdict | ReviewEscalated | RulesChanged | BreakerChanged
)


class Lease(Value, frozen=True, kw_only=True):
    """The right to write one partition of one log.

    Parameters
    ----------
    token
        Fencing token: grows with every holder, and a commit under an older one is refused.
    sequence
        The log's last sequence when the lease was taken.
    """

    log: str
    partition: int
    token: int
    sequence: int


class Offset(Value, frozen=True, kw_only=True):
    """How far one partition of one stream was taken in."""

    stream: Stream
    partition: int
    position: str


class Outgoing(Value, frozen=True, kw_only=True):
    """A message to publish once its transaction is committed."""

    stream: Stream
    partition: int
    message: Message


class OutboxItem(Value, frozen=True, kw_only=True):
    """A committed message that waits to be published, numbered per stream and partition."""

    stream: Stream
    partition: int
    sequence: int
    message: Message


class OutboxHead(Value, frozen=True, kw_only=True):
    """How far one stream partition of an outbox is.

    Parameters
    ----------
    published
        Sequence up to which it is known to have been published.
    needed_after
        Sequence up to which every consumer that keeps a record has taken it in; 0 without one.
    """

    stream: Stream
    partition: int
    published: int
    needed_after: int


class Recorded(Value, frozen=True, kw_only=True):
    """A committed event: its canonical bytes, and the chain's hash up to and including it."""

    log: str
    partition: int
    sequence: int
    data: bytes
    hash: bytes

    @property
    def message(self) -> Message:
        """The event itself."""
        return decode(self.data)


class Input(Value, frozen=True, kw_only=True):
    """A journalled input: bytes in the order in which they were handled."""

    number: int
    stream: Stream
    partition: int
    position: str
    data: bytes


class Snapshot(Value, frozen=True, kw_only=True):
    """A handler's state, in the handler's own bytes.

    Parameters
    ----------
    inputs, sequence
        After so many journalled inputs, and so many events of its log. A snapshot that was made
        for an archive knows only the latter.
    """

    inputs: int
    sequence: int = 0
    data: bytes


class DeadLetter(Value, frozen=True, kw_only=True):
    """A message that could not be processed, kept as it came.

    Parameters
    ----------
    stream, partition, position, attempts
        Where it stood and how often it was tried.
    reason, trace
        The typed reason (`domain.refusals.Refusal`), and what was found in one sentence or, of
        a fault, where it arose.
    data
        The original bytes.
    by
        Who gave it up: an agent's consumer group, or the log whose writer it was.
    """

    stream: Stream
    partition: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    position: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,20}-[0-9]{1,20}$")]
    reason: Identifier
    attempts: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    data: bytes
    trace: str = ""
    by: Identifier = ""

    def __post_init__(self) -> None:
        for name in ("reason", "trace", "by"):
            set_field(self, name, _storable(getattr(self, name)))


def _storable(text: str) -> str:
    """Return text as the database takes it: it knows no NUL and no half of a surrogate pair."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


class LetterAction(StrEnum):
    """What a person can do about a dead letter."""

    REDRIVEN = "redriven"
    DISCARDED = "discarded"


class LetterAnswer(Value, frozen=True, kw_only=True):
    """What was done about a dead letter, by whom, why and when."""

    action: LetterAction
    actor: str
    reason: str
    recorded_at: datetime


class StoredLetter(Value, frozen=True, kw_only=True):
    """A dead letter as it stands on record.

    Parameters
    ----------
    number
        What persons call it by; numbers rise in the order of recording.
    log
        The log whose writer gave the message up.
    answer
        What was done about it, if anything.
    """

    number: int
    log: str
    letter: DeadLetter
    recorded_at: datetime
    answer: LetterAnswer | None


class Ignored(Value, frozen=True, kw_only=True):
    """A valid message without effect (late, duplicate, unknown proposal), and why."""

    message: Message
    reason: str


class Reservation(Value, frozen=True, kw_only=True):
    """Capital (USD) that an order holds from now on; 0 releases it."""

    client_order_id: Identifier
    amount: Decimal


class Commit(Value, frozen=True, kw_only=True):
    """What one transaction writes.

    Parameters
    ----------
    expected_sequence
        The log's last sequence as the writer knows it.
    offsets
        The inputs taken in, up to these positions.
    inputs
        The same inputs to journal, in the order in which they were handled.
    events
        Appended to the log, in order.
    outbox, dead_letters, ignored
        To publish, to show to a person, and to account for.
    snapshot
        The handler's state after `inputs`; recovery starts here.
    reservations
        Capital that the events' orders hold, or no longer hold; each order once.
    published
        Items of earlier commits up to which, on their streams, the outbox was published.
    """

    expected_sequence: int
    offsets: tuple[Offset, ...] = ()
    inputs: tuple[Delivery, ...] = ()
    events: tuple[Message, ...] = ()
    outbox: tuple[Outgoing, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    snapshot: bytes | None = None
    reservations: tuple[Reservation, ...] = ()
    published: tuple[OutboxItem, ...] = ()


class Committed(Value, frozen=True, kw_only=True):
    """What a commit made: the log's last sequence, and what is now to be published."""

    sequence: int
    outbox: tuple[OutboxItem, ...]


class Head(Value, frozen=True, kw_only=True):
    """Where one partition of a log ends."""

    log: str
    partition: int
    sequence: int
    hash: bytes


class TreeHead(Head, frozen=True, kw_only=True):
    """Where one partition ended, and the hash of the Merkle tree over its events up to there."""

    root: bytes


class Anchor(Value, frozen=True, kw_only=True):
    """Where the events that are still in the ledger begin: the end of what was archived.

    Parameters
    ----------
    sequence, hash
        The last archived event, and the chain's hash up to and including it.
    subtrees
        The largest complete subtrees over the archived events, as pairs of level and hash: with
        them the Merkle tree goes on without its archived leaves.
    """

    log: str
    partition: int
    sequence: int
    hash: bytes
    subtrees: tuple[Subtree, ...]


class Ledger(Protocol):
    """Transactions on logs, and reading them.

    Raises
    ------
    domain.errors.RecordUnavailable
        From any method, when the database can't be reached; calling again is safe.
    """

    async def acquire(self, log: str, partition: int) -> Lease:
        """Wait until no other process writes this partition, and become its writer."""
        ...

    async def release(self, lease: Lease) -> None:
        """Let another process write the partition."""
        ...

    async def commit(self, lease: Lease, commit: Commit) -> Committed:
        """Write everything in one transaction, or nothing.

        Where the portfolio has a database of its own, reservations and the rest are committed in
        two phases; a commit that was cut off is finished or undone at the next `acquire`.

        Repeating a commit whose outcome was not heard has no further effect.

        Raises
        ------
        domain.errors.Fenced
            If another process took the lease meanwhile.
        domain.errors.SequenceConflict
            If the log does not end at `commit.expected_sequence`.
        """
        ...

    async def unpublished(
        self, log: str, partition: int, *, limit: int = 1000
    ) -> Sequence[OutboxItem]:
        """Return what this log's writer committed but did not mark as published, in order."""
        ...

    async def mark_published(self, lease: Lease, items: Sequence[OutboxItem]) -> None:
        """Remember that `items`, and all before them on their streams, were published."""
        ...

    async def outbox_heads(self, log: str, partition: int) -> Sequence[OutboxHead]:
        """Return how far each stream partition is that this log's writer publishes on."""
        ...

    async def outbox(
        self, stream: Stream, partition: int, *, after: int, until: int, limit: int = 1000
    ) -> Sequence[OutboxItem]:
        """Return items with after < sequence ≤ until, in order, published or not.

        Items are forgotten some time after every consumer that keeps a record took them in.
        """
        ...

    async def events(
        self, log: str, partition: int, *, after: int = 0, limit: int = 1000
    ) -> Sequence[Recorded]:
        """Return events with a sequence above `after`, in order."""
        ...

    async def recorded(self, log: str, message_ids: Sequence[str]) -> frozenset[str]:
        """Return those of the ids of which an event was ever committed to the log."""
        ...

    async def offsets(self, log: str, partition: int) -> Sequence[Offset]:
        """Return how far the writer of this partition has taken in its sources."""
        ...

    async def inputs(
        self, log: str, partition: int, *, after: int = 0, limit: int = 1000
    ) -> Sequence[Input]:
        """Return journalled inputs with a number above `after`, in the order handled."""
        ...

    async def snapshot(self, log: str, partition: int) -> Snapshot | None:
        """Return the newest snapshot of the partition's handler, or None."""
        ...

    async def reservations(self, log: str, partition: int) -> Mapping[str, Decimal]:
        """Return client order id → capital (USD) that the order holds."""
        ...

    async def heads(self, log: str) -> Sequence[Head]:
        """Return the end of every partition of a log, by partition."""
        ...

    async def software(self, log: str) -> Mapping[int, str]:
        """Return what the newest writer of each partition said that it runs; empty: nothing."""
        ...

    async def record_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Record letters that others gave up (`DeadLetter.by`), each once."""
        ...

    async def dead_letters(
        self, *, stream: Stream | None = None, limit: int = 1000
    ) -> Sequence[DeadLetter]:
        """Return dead letters, oldest first."""
        ...

    async def ignored(self, log: str, partition: int, *, limit: int = 1000) -> Sequence[Ignored]:
        """Return messages that had no effect, oldest first."""
        ...

    async def close(self) -> None:
        """Release the connections (and with them every lease)."""
        ...
