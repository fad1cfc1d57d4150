"""The message bus: at-least-once delivery, ordered within a partition."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from domain.messages import Message, Value
from domain.streams import Stream


class Delivery(Value, frozen=True, kw_only=True):
    """Bytes as they came off the bus.

    Parameters
    ----------
    stream, partition, position
        Where they stood; positions of one partition rise, compared as
        the two integers of ``<number>-<addition>``.
    data
        The bytes, undecoded, so that a malformed message can be kept as it was.
    attempts
        How often it was delivered, this time included.
    """

    stream: Stream
    partition: int
    position: str
    data: bytes
    attempts: int = 1


class Backlog(Value, frozen=True, kw_only=True):
    """How far a group is behind: messages never delivered, and delivered but not acknowledged."""

    lag: int
    pending: int

    @property
    def total(self) -> int:
        """Messages that the group has not finished."""
        return self.lag + self.pending


class MessageBus(Protocol):
    """Streams with consumer groups.

    Raises
    ------
    domain.errors.EnvironmentProblem
        From any method, when the server can't be reached after bounded retries; from those that
        publish, when the partition has been full for as long (its consumers are too slow).
    """

    async def publish(
        self, stream: Stream, partition: int, message: Message, *, sequence: int | None = None
    ) -> str:
        """Append a message and return its position.

        With `sequence` (1, 2, 3 … from one writer) publishing again is without effect, so an
        outbox may be relayed twice.
        """
        ...

    async def publish_many(
        self,
        stream: Stream,
        partition: int,
        messages: Sequence[Message],
        *,
        first_sequence: int,
        begins: bool = False,
    ) -> None:
        """Append messages numbered `first_sequence`, `first_sequence` + 1 … (an outbox's).

        Those that the partition holds by their number are left out, so an outbox may be relayed
        twice. When it returns all of them are there, in order and confirmed by the server; after
        an error any first part of them may be. One round trip, or as few as the server allows.

        Parameters
        ----------
        begins
            The partition may begin at `first_sequence`, or leave numbers out before it: what
            comes earlier is not needed any more.

        Raises
        ------
        domain.errors.MessagesLost
            If the partition ends before `first_sequence` - 1: the server lost what was published
            before. Nothing was appended; ask the record, and publish that again with `begins`.
        """
        ...

    async def latest(self, stream: Stream, partition: int) -> str:
        """Return the position that the partition gave last, though its message may be trimmed.

        Empty where it never gave one, or the server lost it.
        """
        ...

    async def trim(
        self, stream: Stream, partition: int, *, needed_by: Collection[str], keep: int
    ) -> int:
        """Forget what the groups of `needed_by` have finished, except the newest `keep`.

        Returns how many were forgotten: maybe fewer than could be, never more. A group that does
        not exist yet needs everything. Who is not named finds the newest `keep` at least.
        """
        ...

    async def publish_raw(self, stream: Stream, partition: int, data: bytes) -> str:
        """Append bytes as they are (dead letters, redrive, tests of bad input)."""
        ...

    async def consume(
        self,
        group: str,
        consumer: str,
        streams: Sequence[tuple[Stream, int]],
        *,
        limit: int = 256,
        wait_ms: int = 1000,
        after: Mapping[tuple[Stream, int], str] | None = None,
    ) -> list[Delivery]:
        """Return what `group` has not finished: first this consumer's unacknowledged, then new.

        Unacknowledged deliveries come again only to the first call of a consumer's life or
        after `redeliver_after_ms` (a setting of the adapter). An empty list after `wait_ms`.

        Parameters
        ----------
        after
            The positions up to which the caller's own record has each partition; nothing for one
            that it has not begun. What stands behind them is delivered, whoever else reads for
            the group: a predecessor that does not know yet that it was replaced takes nothing
            away. The group then only shows how far the caller is, for the backlog and for
            trimming. Looked at by the first call of a consumer's life.
        """
        ...

    async def acknowledge(self, group: str, deliveries: Sequence[Delivery]) -> None:
        """Mark deliveries as finished for `group`."""
        ...

    async def read(
        self, stream: Stream, partition: int, *, after: str = "", limit: int = 256, wait_ms: int = 0
    ) -> list[Delivery]:
        """Read without a group (state building, tailing): everything after a position."""
        ...

    async def backlog(self, group: str, stream: Stream, partition: int) -> Backlog:
        """Return how far `group` is behind on one partition."""
        ...

    async def close(self) -> None:
        """Release the connections."""
        ...
