"""Checking and exporting the record: where it is kept, and anywhere from an export."""

import gzip
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, Literal, cast

import msgspec
import psycopg

from adapters.files import write_atomically
from adapters.ledger.reading import Record
from consensus.audit import Audit, export_line, read_export, verify
from consensus.tree_heads import Export, SignedHead, export_problems
from domain.errors import RecordDamaged
from domain.ports.ledger import Log, Recorded, TreeHead
from domain.settings import Settings
from orchestration.tree_heads import checked_heads, growths, record_snapshot, signed_head


def export_log(settings: Settings, log: Log, file: Path) -> int:
    """Write a log's events to a file, one a line, and return how many.

    A head is written beside it, signed and kept as every other: by it a cut at the end shows.
    """
    with record_snapshot(settings) as connection:
        record = Record(connection)
        head = signed_head(settings, connection)
        ends = [tree for tree in head.statement.trees if tree.log == log]
        return write_export(connection, head, file, record.entries(log), ends)


def write_export(
    connection: psycopg.Connection,
    head: SignedHead,
    file: Path,
    entries: Iterable[Recorded],
    ends: Sequence[TreeHead],
) -> int:
    """Write events of one log, and beside them what they are checked by; return how many.

    Parameters
    ----------
    file
        Compressed if its name ends with ``.gz``.
    ends
        Where each of the log's partitions ends among `entries`.
    """
    count = 0
    with _opened(file, "wb") as lines:
        for entry in entries:
            lines.write(export_line(entry))
            count += 1
    places = {(end.log, end.partition) for end in ends}
    export = Export(
        log=ends[0].log if ends else "",
        anchors=tuple(a for a in Record(connection).anchors() if (a.log, a.partition) in places),
        ends=tuple(ends),
        growths=growths(connection, ends, head),
        head=head,
    )
    write_atomically(head_beside(file), msgspec.json.encode(export))
    return count


def head_beside(file: Path) -> Path:
    """Return the file that stands beside an export."""
    return file.with_name(f"{file.name}.head.json")


def audit_record(settings: Settings) -> dict[str, Audit]:
    """Return log → what checking it found, also against every signed head that was kept.

    Raises
    ------
    RecordDamaged
        If a kept head itself is missing or changed.
    """
    known = [tree for head in checked_heads(settings) for tree in head.statement.trees]
    with record_snapshot(settings) as connection:
        record = Record(connection)
        heads, anchors = record.heads(), record.anchors()

        def audited(log: str, entries: Iterable[Recorded]) -> Audit:
            return verify(
                entries,
                [tree for tree in known if tree.log == log],
                ends=[head for head in heads if head.log == log],
                anchors=[anchor for anchor in anchors if anchor.log == log],
            )

        by_log = groupby(record.entries(), key=attrgetter("log"))
        audits = {log: audited(log, entries) for log, entries in by_log}
    for log in {*Log, *(head.log for head in (*heads, *known))} - audits.keys():
        audits[str(log)] = audited(log, ())
    return dict(sorted(audits.items()))


def audit_export(file: Path, key: bytes | None, kept: Sequence[SignedHead] = ()) -> Audit:
    """Return what checking an export found: with a key, also against the head beside it.

    Parameters
    ----------
    key
        The public key of the record; without it no signed head counts, and a cut at the end, or a
        change carried through to it, can't be seen.
    kept
        Heads kept elsewhere; those that are newer than the export are passed over.

    Raises
    ------
    RecordDamaged
        If what stands beside the export is missing, or not signed by that key.
    MessageRefused
        If a line is not of an export.
    """
    export = None if key is None else _export_beside(file, key)
    with _opened(file, "rb") as lines:
        entries = read_export(lines)
        if export is None:
            return verify(entries)
        statement = export.head.statement
        known = [head.statement for head in kept if head.statement.number <= statement.number]
        return verify(
            entries,
            [tree for before in known for tree in before.trees if _covers(export, tree)],
            ends=export.ends,
            anchors=export.anchors,
        )


def _export_beside(file: Path, key: bytes) -> Export:
    beside = head_beside(file)
    try:
        export = msgspec.json.decode(beside.read_bytes(), type=Export)
    except (FileNotFoundError, msgspec.DecodeError) as problem:
        raise RecordDamaged(
            f"{beside}, by which the export is checked, can't be read: {problem}.",
            next_step="Restore it from a copy, or export the log again.",
        ) from None
    if problems := export_problems(export, key):
        raise RecordDamaged(
            f"{beside} does not vouch for the export: {'; '.join(problems)}.",
            next_step="Ask for the right public key, or for the export that it belongs to.",
        )
    return export


def _covers(export: Export, tree: TreeHead) -> bool:
    """Whether a tree that was signed before ends within the export."""
    ends = {(end.log, end.partition): end.sequence for end in export.ends}
    return tree.sequence <= ends.get((tree.log, tree.partition), -1)


def _opened(file: Path, mode: Literal["rb", "wb"]) -> BinaryIO:
    if file.suffix == ".gz":
        return cast("BinaryIO", gzip.open(file, mode))
    return file.open(mode)
