"""Checking a log: each kind of tampering at any place, with and without a head kept elsewhere."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.audit import export_line, read_export, verify
from domain.chain import link
from domain.errors import MessageRefused
from domain.merkle import CompactRange, leaf_hash
from domain.messages import encode
from domain.ports.ledger import GENESIS, Anchor, Head, Recorded, TreeHead
from tests.builders import tick


def chained(data: Sequence[bytes], *, log: str = "decisions", partition: int = 0, after=None):
    """Return events as a log holds them, their chain and sequences in order."""
    entries: list[Recorded] = []
    sequence, digest = (after.sequence, after.hash) if after else (0, GENESIS)
    for number, entry in enumerate(data, sequence + 1):
        digest = link(digest, entry)
        entries.append(
            Recorded(log=log, partition=partition, sequence=number, data=entry, hash=digest)
        )
    return entries


def ticks(count: int) -> list[bytes]:
    return [encode(tick(second)) for second in range(count)]


def tree_head(entries: Sequence[Recorded]) -> TreeHead:
    tree = CompactRange()
    for entry in entries:
        tree.append(leaf_hash(entry.data))
    last = entries[-1]
    return TreeHead(
        log=last.log,
        partition=last.partition,
        sequence=last.sequence,
        hash=last.hash,
        root=tree.root(),
    )


def test_a_sound_log_has_its_hashes_and_fits_its_heads():
    entries = chained(ticks(9)) + chained(ticks(3), partition=1)
    heads = [tree_head(entries[:5]), tree_head(entries[:9]), tree_head(entries[9:])]
    audit = verify(entries, heads, ends=heads[1:])
    assert audit.sound
    assert (audit.events, audit.known) == (12, 5)
    assert audit.heads == (heads[1], heads[2])


@pytest.mark.parametrize(
    ("tampered", "fault", "sequence"),
    [
        (lambda e: [*e[:3], *e[4:]], "deleted", 4),
        (lambda e: e[1:], "deleted", 1),
        (lambda e: e[:-1], "truncated", 8),
        (list, "truncated", 9),
        (lambda e: [*e[:3], e[4], e[3], *e[5:]], "reordered", 4),
        (lambda e: [*e[:3], e[2], *e[3:]], "inserted", 4),
        (lambda e: [*e, *chained(ticks(10))[8:9]], "inserted", 9),
        (lambda _: [], "truncated", 1),
    ],
)
def test_the_first_bad_position_is_named(tampered, fault: str, sequence: int):
    entries = chained(ticks(8))
    end = tree_head(chained(ticks(9))) if tampered is list else tree_head(entries)
    [finding] = verify(tampered(entries), ends=[end]).findings
    assert (finding.fault, finding.sequence) == (fault, sequence)


def test_events_of_a_partition_stand_together():
    first, second = chained(ticks(4)), chained(ticks(2), partition=1)
    [finding] = verify([*first[:2], *second, *first[2:]]).findings
    assert (finding.partition, finding.fault, finding.sequence) == (0, "reordered", 3)


def test_bytes_that_are_not_canonical_are_found_even_when_the_chain_fits():
    data = ticks(3)
    data[1] = data[1].replace(b":", b": ", 1)
    [finding] = verify(chained(data)).findings
    assert (finding.sequence, finding.fault) == (2, "changed")
    assert "canonical" in finding.explanation


def test_a_log_that_nobody_had_a_head_of_is_found():
    [finding] = verify(chained(ticks(2), log="other"), ends=[]).findings
    assert (finding.fault, finding.sequence) == ("inserted", 1)


KINDS = st.sampled_from(["changed", "deleted", "reordered", "inserted", "truncated"])


def tamper(data: Sequence[bytes], kind: str, at: int) -> list[bytes]:
    """Do one thing to a log's events, at a place."""
    match kind:
        case "changed":
            return [*data[:at], encode(tick(777)), *data[at + 1 :]]
        case "deleted":
            return [*data[:at], *data[at + 1 :]]
        case "reordered":
            return [*data[:at], data[at + 1], data[at], *data[at + 2 :]]
        case "inserted":
            return [*data[:at], encode(tick(777)), *data[at:]]
        case _:
            return [*data[:at]]


@given(KINDS, st.data(), st.integers(2, 40))
def test_what_is_carried_through_to_the_end_is_found_by_a_kept_head(
    kind: str, source: st.DataObject, size: int
):
    data = ticks(size)
    at = source.draw(st.integers(0, size - 2), label="at")
    middle = source.draw(st.integers(1, size), label="an older head")
    kept = [tree_head(chained(data[:middle])), tree_head(chained(data))]
    forged = chained(tamper(data, kind, at))
    assert verify(forged).sound  # the chain alone can't tell
    [finding] = verify(forged, kept).findings
    vouched = middle if at >= middle else 0
    assert vouched < finding.sequence <= max(at, len(forged)) + 1


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_log_whose_beginning_was_archived_goes_on_from_its_anchor(gone: int, more: int):
    entries = chained(ticks(gone + more))
    tree = CompactRange()
    for entry in entries[:gone]:
        tree.append(leaf_hash(entry.data))
    anchor = Anchor(
        log="decisions",
        partition=0,
        sequence=gone,
        hash=entries[gone - 1].hash,
        subtrees=tree.subtrees,
    )
    kept = [tree_head(entries[:n]) for n in (gone, gone + 1, gone + more)]
    audit = verify(entries[gone:], kept, ends=[kept[-1]], anchors=[anchor])
    assert audit.sound
    assert (audit.events, audit.heads) == (more, (kept[-1],))
    [finding] = verify(entries[gone + 1 :], kept, anchors=[anchor]).findings
    assert (finding.sequence, finding.fault) == (
        gone + 1,
        "deleted" if more > 1 else "truncated",
    )
    forged = chained([encode(tick(777)), *ticks(more - 1)], after=entries[gone - 1])
    [finding] = verify(forged, kept, anchors=[anchor]).findings
    assert (finding.sequence, finding.fault) == (gone + 1, "changed")


def test_an_old_head_of_the_table_counts_without_a_tree():
    entries = chained(ticks(4))
    head = Head(log="decisions", partition=0, sequence=4, hash=bytes(32))
    [finding] = verify(entries, [head]).findings
    assert finding.fault == "changed"


def test_an_export_is_read_back_as_it_was_written():
    entries = chained(ticks(5))
    assert list(read_export(map(export_line, entries))) == entries


@given(st.data())
def test_any_change_of_an_exports_bytes_is_refused_or_found(source: st.DataObject):
    entries = chained(ticks(6))
    data = bytearray(b"".join(map(export_line, entries)))
    at = source.draw(st.integers(0, len(data) - 1), label="byte")
    data[at] ^= 1 << source.draw(st.integers(0, 7), label="bit")
    try:
        audit = verify(read_export(bytes(data).splitlines(keepends=True)), [tree_head(entries)])
    except MessageRefused:
        return
    assert not audit.sound
