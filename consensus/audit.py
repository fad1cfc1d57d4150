"""Checking a log's hash chain: on the live database, or on an export anybody may hold.

A change that is carried through to the log's end, and a cut at its end, can only be seen against
a head that was kept elsewhere: give it as a known head.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Literal

import msgspec

from domain.chain import link, log_hash
from domain.errors import MessageRefused
from domain.messages import Value
from domain.ports.ledger import GENESIS, Head, Ledger, Recorded

_PAGE = 1000

Fault = Literal["changed", "deleted", "reordered", "inserted", "truncated"]


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
    findings
        At most one a partition: behind the first bad position nothing can be vouched for.
    """

    events: int
    heads: tuple[Head, ...]
    log_hash: str
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
        If a line is not of an export.
    """
    for number, raw in enumerate(lines, 1):
        try:
            line = msgspec.json.decode(raw, type=_Line)
            digest = bytes.fromhex(line.hash)
        except (msgspec.DecodeError, ValueError) as problem:
            raise MessageRefused(
                f"Line {number} is not of an exported log: {problem}.",
                kept="The lines before it were read.",
                next_step="Export the log again, or restore the line from a copy.",
            ) from None
        yield Recorded(
            log=line.log,
            partition=line.partition,
            sequence=line.sequence,
            data=line.data.encode(),
            hash=digest,
        )


def verify(entries: Iterable[Recorded], known: Sequence[Head] = ()) -> Audit:
    """Check the chain of every partition; entries of one partition stand together.

    Parameters
    ----------
    known
        Heads that were kept elsewhere; the log must reach each and have its hash there.
    """
    kept = {(head.log, head.partition): head for head in known}
    heads: list[Head] = []
    findings: list[Finding] = []
    for place, group in groupby(entries, key=lambda e: (e.log, e.partition)):
        head, finding = _verify_partition(place, group, kept.pop(place, None))
        heads.append(head)
        findings += [finding] if finding else []
    for place, head in kept.items():
        if head.sequence:
            findings.append(_finding(place, 1, "truncated", f"all {head.sequence} events are gone"))
    return Audit(
        events=sum(head.sequence for head in heads),
        heads=tuple(heads),
        log_hash=log_hash(heads),
        findings=tuple(findings),
    )


async def verify_ledger(ledger: Ledger, log: str, known: Sequence[Head] = ()) -> Audit:
    """Check a log where it is kept, against its own heads and `known` ones."""
    own = await ledger.heads(log)
    entries = [entry async for entry in read_log(ledger, log)]
    audits = [verify(entries, own)]
    if known:
        audits.append(verify(entries, known))
    return next((audit for audit in audits if not audit.sound), audits[0])


async def read_log(ledger: Ledger, log: str) -> AsyncIterator[Recorded]:
    """Yield every event of a log, partition by partition, in order."""
    for head in await ledger.heads(log):
        after = 0
        while page := await ledger.events(log, head.partition, after=after, limit=_PAGE):
            for entry in page:
                yield entry
            after = page[-1].sequence


def _verify_partition(
    place: tuple[str, int], entries: Iterator[Recorded], known: Head | None
) -> tuple[Head, Finding | None]:
    sequence, digest = 0, GENESIS
    finding = None
    for entry in entries:
        expected = sequence + 1
        if entry.sequence != expected:
            finding = _misplaced(place, expected, entry, entries)
            break
        if link(digest, entry.data) != entry.hash:
            explanation = "its bytes do not give its hash after the event before it"
            finding = _finding(place, expected, "changed", explanation)
            break
        sequence, digest = expected, entry.hash
        if known is not None and known.sequence == sequence and known.hash != digest:
            explanation = "it, or one before it, is not what the known head was made from"
            finding = _finding(place, sequence, "changed", explanation)
            break
    if finding is None and known is not None and known.sequence > sequence:
        explanation = f"the log ends here, the known head stands at {known.sequence}"
        finding = _finding(place, sequence + 1, "truncated", explanation)
    return Head(log=place[0], partition=place[1], sequence=sequence, hash=digest), finding


def _misplaced(
    place: tuple[str, int], expected: int, found: Recorded, rest: Iterator[Recorded]
) -> Finding:
    if found.sequence < expected:
        explanation = f"a second event {found.sequence} stands here"
        return _finding(place, expected, "inserted", explanation)
    if any(entry.sequence == expected for entry in islice(rest, 10 * _PAGE)):
        explanation = f"event {found.sequence} stands before it"
        return _finding(place, expected, "reordered", explanation)
    return _finding(place, expected, "deleted", f"event {found.sequence} follows in its place")


def _finding(place: tuple[str, int], sequence: int, fault: Fault, explanation: str) -> Finding:
    return Finding(
        log=place[0], partition=place[1], sequence=sequence, fault=fault, explanation=explanation
    )
