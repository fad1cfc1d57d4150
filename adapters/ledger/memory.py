"""The ledger in memory: for simulations and backtests, lost with the process."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from adapters.ledger.writer import already_recorded, fenced
from domain.chain import link
from domain.errors import SequenceConflict
from domain.messages import encode
from domain.ports.ledger import (
    GENESIS,
    Commit,
    Committed,
    DeadLetter,
    Head,
    Ignored,
    Input,
    Lease,
    Offset,
    OutboxHead,
    OutboxItem,
    Recorded,
    Snapshot,
)
from domain.streams import Stream


class _Partition:
    """What one partition of one log holds."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.token = 0
        self.events: list[Recorded] = []
        self.offsets: dict[tuple[Stream, int], Offset] = {}
        self.inputs: list[Input] = []
        self.snapshot: Snapshot | None = None
        self.outbox: list[OutboxItem] = []
        self.ignored: list[Ignored] = []
        self.reserved: dict[str, Decimal] = {}

    @property
    def hash(self) -> bytes:
        return self.events[-1].hash if self.events else GENESIS


class MemoryLedger:
    """A `Ledger`; processors of one process may share it.

    Parameters
    ----------
    software
        What that process runs.
    """

    def __init__(self, *, software: str = "") -> None:
        self._software = software
        self._partitions: defaultdict[tuple[str, int], _Partition] = defaultdict(_Partition)
        self._ids: dict[str, set[str]] = defaultdict(set)
        self._numbers: dict[tuple[Stream, int], int] = defaultdict(int)
        self._published: dict[tuple[Stream, int], int] = defaultdict(int)
        self._dead_letters: dict[tuple[str, Stream, int, str], DeadLetter] = {}

    async def acquire(self, log: str, partition: int) -> Lease:
        """See `Ledger.acquire`."""
        held = self._partitions[log, partition]
        await held.lock.acquire()
        held.token += 1
        return Lease(log=log, partition=partition, token=held.token, sequence=len(held.events))

    async def release(self, lease: Lease) -> None:
        """See `Ledger.release`."""
        held = self._partitions[lease.log, lease.partition]
        if held.token == lease.token and held.lock.locked():
            held.lock.release()

    async def commit(self, lease: Lease, commit: Commit) -> Committed:
        """See `Ledger.commit`."""
        held = self._partitions[lease.log, lease.partition]
        if held.token != lease.token or not held.lock.locked():
            raise fenced(lease.log, lease.partition)
        ids = [event.message_id for event in commit.events]
        known = self._ids[lease.log]
        if commit.expected_sequence != len(held.events):
            raise SequenceConflict(
                f"Log {lease.log}/{lease.partition} ends at {len(held.events)}.",
                next_step="Start the process again; it recovers from the log.",
            )
        if len(set(ids)) < len(ids) or not known.isdisjoint(ids):
            raise already_recorded(lease.log, lease.partition)
        known.update(ids)
        for event in commit.events:
            data = encode(event)
            held.events.append(
                Recorded(
                    log=lease.log,
                    partition=lease.partition,
                    sequence=len(held.events) + 1,
                    data=data,
                    hash=link(held.hash, data),
                )
            )
        held.offsets.update({(o.stream, o.partition): o for o in commit.offsets})
        held.inputs += [
            Input(
                number=number,
                stream=d.stream,
                partition=d.partition,
                position=d.position,
                data=d.data,
            )
            for number, d in enumerate(commit.inputs, len(held.inputs) + 1)
        ]
        if commit.snapshot is not None:
            held.snapshot = Snapshot(
                inputs=len(held.inputs), sequence=len(held.events), data=commit.snapshot
            )
        held.ignored += commit.ignored
        held.reserved |= {r.client_order_id: r.amount for r in commit.reservations}
        for letter in commit.dead_letters:
            key = lease.log, letter.stream, letter.partition, letter.position
            self._dead_letters.setdefault(key, letter)
        items = tuple(self._numbered(commit))
        held.outbox += items
        self._mark(commit.published)
        return Committed(sequence=len(held.events), outbox=items)

    def _numbered(self, commit: Commit) -> list[OutboxItem]:
        items: list[OutboxItem] = []
        for outgoing in commit.outbox:
            place = outgoing.stream, outgoing.partition
            self._numbers[place] += 1
            items.append(
                OutboxItem(
                    stream=outgoing.stream,
                    partition=outgoing.partition,
                    sequence=self._numbers[place],
                    message=outgoing.message,
                )
            )
        return items

    async def unpublished(
        self, log: str, partition: int, *, limit: int = 1000
    ) -> Sequence[OutboxItem]:
        """See `Ledger.unpublished`."""
        waiting = [
            item
            for item in self._partitions[log, partition].outbox
            if item.sequence > self._published[item.stream, item.partition]
        ]
        return sorted(waiting, key=lambda i: (i.stream, i.partition, i.sequence))[:limit]

    async def mark_published(self, lease: Lease, items: Sequence[OutboxItem]) -> None:  # noqa: ARG002 - the port's
        """See `Ledger.mark_published`."""
        self._mark(items)

    def _mark(self, items: Sequence[OutboxItem]) -> None:
        for item in items:
            place = item.stream, item.partition
            self._published[place] = max(self._published[place], item.sequence)

    async def outbox_heads(self, log: str, partition: int) -> Sequence[OutboxHead]:
        """See `Ledger.outbox_heads`."""
        places = {(i.stream, i.partition) for i in self._partitions[log, partition].outbox}
        return [
            OutboxHead(
                stream=stream,
                partition=at,
                published=self._published[stream, at],
                needed_after=self._needed_after((stream, at)),
            )
            for stream, at in sorted(places)
        ]

    def _needed_after(self, place: tuple[Stream, int]) -> int:
        taken_in = (p.offsets[place] for p in self._partitions.values() if place in p.offsets)
        return min((int(offset.position.partition("-")[0]) for offset in taken_in), default=0)

    async def outbox(
        self, stream: Stream, partition: int, *, after: int, until: int, limit: int = 1000
    ) -> Sequence[OutboxItem]:
        """See `Ledger.outbox`."""
        found = [
            item
            for held in self._partitions.values()
            for item in held.outbox
            if (item.stream, item.partition) == (stream, partition)
            and after < item.sequence <= until
        ]
        return sorted(found, key=lambda item: item.sequence)[:limit]

    async def events(
        self, log: str, partition: int, *, after: int = 0, limit: int = 1000
    ) -> Sequence[Recorded]:
        """See `Ledger.events`."""
        return self._partitions[log, partition].events[after : after + limit]

    async def recorded(self, log: str, message_ids: Sequence[str]) -> frozenset[str]:
        """See `Ledger.recorded`."""
        return frozenset(self._ids[log].intersection(message_ids))

    async def offsets(self, log: str, partition: int) -> Sequence[Offset]:
        """See `Ledger.offsets`."""
        offsets = self._partitions[log, partition].offsets.values()
        return sorted(offsets, key=lambda o: (o.stream, o.partition))

    async def inputs(
        self, log: str, partition: int, *, after: int = 0, limit: int = 1000
    ) -> Sequence[Input]:
        """See `Ledger.inputs`."""
        return self._partitions[log, partition].inputs[after : after + limit]

    async def snapshot(self, log: str, partition: int) -> Snapshot | None:
        """See `Ledger.snapshot`."""
        return self._partitions[log, partition].snapshot

    async def reservations(self, log: str, partition: int) -> dict[str, Decimal]:
        """See `Ledger.reservations`."""
        held = self._partitions[log, partition].reserved
        return {order: amount for order, amount in sorted(held.items()) if amount}

    async def heads(self, log: str) -> Sequence[Head]:
        """See `Ledger.heads`."""
        return [
            Head(log=log, partition=partition, sequence=len(held.events), hash=held.hash)
            for (name, partition), held in sorted(self._partitions.items())
            if name == log and held.token
        ]

    async def software(self, log: str) -> Mapping[int, str]:
        """See `Ledger.software`; the processors of one process run one software."""
        return {head.partition: self._software for head in await self.heads(log)}

    async def record_letters(self, letters: Sequence[DeadLetter]) -> None:
        """See `Ledger.record_letters`."""
        for letter in letters:
            key = letter.by, letter.stream, letter.partition, letter.position
            self._dead_letters.setdefault(key, letter)

    async def dead_letters(
        self, *, stream: Stream | None = None, limit: int = 1000
    ) -> Sequence[DeadLetter]:
        """See `Ledger.dead_letters`."""
        letters = [d for d in self._dead_letters.values() if stream in (None, d.stream)]
        return letters[:limit]

    async def ignored(self, log: str, partition: int, *, limit: int = 1000) -> Sequence[Ignored]:
        """See `Ledger.ignored`."""
        return self._partitions[log, partition].ignored[:limit]

    async def close(self) -> None:
        """See `Ledger.close`."""
        for held in self._partitions.values():
            if held.lock.locked():
                held.lock.release()
