"""Checking a log: chain, sequences, canonical bytes, and its Merkle tree against kept heads.

A change that is carried through to the log's end, and a cut at its end, can only be seen against
a head that was kept elsewhere: give it as a known head.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from domain.chain import link, log_hash
from domain.errors import MessageRefused
from domain.merkle import CompactRange, leaf_hash
from domain.messages import Value, is_canonical
from domain.ports.ledger import GENESIS, Anchor, Head, Ledger, Recorded, TreeHead

_PAGE = 1000

Fault = Literal["changed", "deleted", "reordered", "inserted", "truncated"]
_Place = tuple[str, int]


class Finding(Value, frozen=True, kw_only=True):
    """The first bad position of one partition of a log, and what is wrong there."""

    log: str
    partition: int
    sequence: int
    fault: Fault
    explanation: str


class Audit(Value, frozen=True, kw_only=True):
    """What an audit found.

    Parameters
    ----------
    events
        Events whose hash was computed again and fits.
    heads
        Where each partition's sound part ends.
    log_hash
        One hash over these heads.
    known
        Known tree heads that were reached and fit.
    findings
        At most one a partition: behind the first bad position nothing can be vouched for.
    """

    events: int
    heads: tuple[TreeHead, ...]
    log_hash: str
    known: int
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    log: str
    partition: int
    sequence: int
    hash: str
    data: str


def export_line(entry: Recorded) -> bytes:
    """Return one event as a line of an export (JSON, newline included)."""
    line = _Line(entry.log, entry.partition, entry.sequence, entry.hash.hex(), entry.data.decode())
    return msgspec.json.encode(line) + b"\n"


def read_export(lines: Iterable[bytes]) -> Iterator[Recorded]:
    """Yield the events of an export, in the order of its lines.

    Raises
    ------
    MessageRefused
        If a line is not, byte for byte, what `export_line` writes.
    """
    for number, raw in enumerate(lines, 1):
        try:
            line = msgspec.json.decode(raw, type=_Line)
            entry = Recorded(
                log=line.log,
                partition=line.partition,
                sequence=line.sequence,
                data=line.data.encode(),
                hash=bytes.fromhex(line.hash),
            )
        except (msgspec.DecodeError, ValueError) as problem:
            raise _refused(number, str(problem)) from None
        if export_line(entry) != raw:
            raise _refused(number, "it was written otherwise")
        yield entry


def verify(
    entries: Iterable[Recorded],
    known: Iterable[Head] = (),
    *,
    ends: Sequence[Head] | None = None,
    anchors: Iterable[Anchor] = (),
) -> Audit:
    """Check the chain and the tree of every partition; entries of one partition stand together.

    Parameters
    ----------
    known
        Heads that were kept elsewhere: the log must reach each and have its hashes there. Those
        before a partition's anchor are passed over: its archive answers them.
    ends
        Where every partition must end exactly; None where that is not known.
    anchors
        Where partitions begin whose older events were archived.
    """
    starts = {(anchor.log, anchor.partition): anchor for anchor in anchors}
    marks: dict[_Place, list[Head]] = {}
    for head in sorted((*known, *(ends or ())), key=lambda head: head.sequence):
        marks.setdefault((head.log, head.partition), []).append(head)
    exact = None if ends is None else {(end.log, end.partition): end.sequence for end in ends}
    partitions: dict[_Place, _Partition] = {}

    def partition_of(place: _Place) -> _Partition:
        if place not in partitions:
            end = None if exact is None else exact.get(place, 0)
            partitions[place] = _Partition(place, starts.get(place), marks.get(place, ()), end)
        return partitions[place]

    current = None
    for entry in entries:
        place = entry.log, entry.partition
        if current is None or current.place != place:
            is_back = place in partitions
            current = partition_of(place)
            if is_back:
                current.found("reordered", "events of another partition stand before it")
        current.add(entry)
    for place in (*marks, *starts):
        partition_of(place)
    checked = [partitions[place] for place in sorted(partitions)]
    for partition in checked:
        partition.end()
    heads = tuple(partition.head for partition in checked)
    return Audit(
        events=sum(partition.events for partition in checked),
        heads=heads,
        log_hash=log_hash(heads),
        known=sum(partition.fitting for partition in checked),
        findings=tuple(p.finding for p in checked if p.finding is not None),
    )


async def verify_ledger(ledger: Ledger, log: str, known: Sequence[Head] = ()) -> Audit:
    """Check a log through the port, against its own heads and `known` ones."""
    own = await ledger.heads(log)
    return verify([entry async for entry in read_log(ledger, log)], [*own, *known])


async def read_log(ledger: Ledger, log: str) -> AsyncIterator[Recorded]:
    """Yield every event of a log, partition by partition, in order."""
    for head in await ledger.heads(log):
        after = 0
        while page := await ledger.events(log, head.partition, after=after, limit=_PAGE):
            for entry in page:
                yield entry
            after = page[-1].sequence


class _Partition:
    """The check of one partition, event by event."""

    def __init__(
        self, place: _Place, anchor: Anchor | None, marks: Sequence[Head], end: int | None
    ) -> None:
        self.place = place
        self.finding: Finding | None = None
        self.fitting = 0
        self._first = self._sequence = anchor.sequence if anchor else 0
        self._hash = anchor.hash if anchor else GENESIS
        self._tree = CompactRange(anchor.subtrees if anchor else ())
        self._vouched = self._sequence
        self._end = end
        self._marks = [mark for mark in marks if mark.sequence >= self._sequence][::-1]
        self._compare()

    @property
    def events(self) -> int:
        return self._sequence - self._first

    @property
    def head(self) -> TreeHead:
        log, partition = self.place
        return TreeHead(
            log=log,
            partition=partition,
            sequence=self._sequence,
            hash=self._hash,
            root=self._tree.root(),
        )

    def add(self, entry: Recorded) -> None:
        """Check the next event; behind a fault, only look whether the missing one comes late."""
        expected = self._sequence + 1
        if self.finding is not None:
            if self.finding.fault == "deleted" and entry.sequence == expected:
                self.finding = None
                self.found("reordered", "later events stand before it")
        elif entry.sequence < expected:
            self.found("inserted", f"a second event {entry.sequence} stands here")
        elif entry.sequence > expected:
            self.found("deleted", f"event {entry.sequence} follows in its place")
        elif self._end is not None and expected > self._end:
            self.found("inserted", f"the log's head stands at {self._end}")
        elif link(self._hash, entry.data) != entry.hash:
            self.found("changed", "its bytes do not give its hash after the event before it")
        elif not is_canonical(entry.data):
            self.found("changed", "its bytes are not canonical JSON")
        else:
            self._sequence, self._hash = expected, entry.hash
            self._tree.append(leaf_hash(entry.data))
            self._compare()

    def end(self) -> None:
        """Look whether every known head was reached."""
        if self._marks and self.finding is None:
            known, vouched = self._marks[0].sequence, self._vouched
            explanation = f"the log ends here, a known head stands at {known}"
            if vouched:
                explanation += f"; a signed head vouches for the first {vouched} events"
            self.found("truncated", explanation)

    def found(self, fault: Fault, explanation: str, sequence: int = 0) -> None:
        """Keep the first finding."""
        if self.finding is None:
            self.finding = Finding(
                log=self.place[0],
                partition=self.place[1],
                sequence=sequence or self._sequence + 1,
                fault=fault,
                explanation=explanation,
            )

    def _compare(self) -> None:
        while self._marks and self._marks[-1].sequence == self._sequence:
            mark = self._marks.pop()
            fits = mark.hash == self._hash
            if fits and isinstance(mark, TreeHead):
                fits = mark.root == self._tree.root()
            if not fits:
                first, last = self._vouched + 1, self._sequence
                explanation = (
                    f"it, or one up to {last}, is not what the known head was made from"
                    if last > first
                    else "it is not what the known head was made from"
                )
                self.found("changed", explanation, first)
                return
            if isinstance(mark, TreeHead):
                self.fitting += 1
                self._vouched = self._sequence


def _refused(line: int, why: str) -> MessageRefused:
    return MessageRefused(
        f"Line {line} is not of an exported log: {why}.",
        kept="The lines before it were read.",
        next_step="Export the log again, or restore the line from a copy.",
    )
