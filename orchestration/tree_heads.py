"""Signing tree heads, keeping them outside the database, and proving with them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg

from adapters.files import write_atomically
from adapters.ledger import migrate
from adapters.ledger.reading import Record, Trees, snapshot
from adapters.locks import owned_lock
from adapters.profile import connected
from adapters.record_key import private_key
from consensus.signatures import public_key_of
from consensus.tree_heads import (
    Consistency,
    Growth,
    Inclusion,
    SignedHead,
    Statement,
    digest,
    heads_problems,
    sign,
)
from domain.errors import InvalidValue, RecordDamaged
from domain.identity import derive_id
from domain.merkle import Range, consistency_ranges, inclusion_ranges
from domain.ports.ledger import Log, Recorded, TreeHead
from domain.settings import Settings

_PATIENCE_SECONDS = 60.0
_decoder = msgspec.json.Decoder(SignedHead)


def heads_folder(settings: Settings) -> Path:
    """Return where signed heads are kept."""
    return settings.record.heads_folder or settings.home / "tree-heads"


def head_file(settings: Settings, head: SignedHead) -> Path:
    """Return where a signed head is kept."""
    return heads_folder(settings) / f"head-{head.statement.number:08}.json"


def kept_heads(folder: Path) -> list[SignedHead]:
    """Return the heads of a folder, oldest first.

    Raises
    ------
    RecordDamaged
        If a file of it is no signed head.
    """
    heads = [read_head(path) for path in folder.glob("head-*.json")]
    return sorted(heads, key=lambda head: head.statement.number)


def read_head(path: Path) -> SignedHead:
    """Return the signed head that a file holds.

    Raises
    ------
    RecordDamaged
        If it holds none.
    """
    try:
        return _decoder.decode(path.read_bytes())
    except msgspec.DecodeError as problem:
        raise RecordDamaged(
            f"{path} is no signed head: {problem}.",
            kept="The file is untouched.",
            next_step="Restore it from a copy of that folder.",
        ) from None


def checked_heads(settings: Settings, key: bytes | None = None) -> list[SignedHead]:
    """Return the kept heads, once they are known to be a whole series signed by one key.

    Parameters
    ----------
    key
        The public key; without it, that of the state folder.

    Raises
    ------
    RecordDamaged
        If one is missing, changed, or signed by somebody else.
    """
    folder = heads_folder(settings)
    heads = kept_heads(folder)
    if not heads:
        return []
    if problems := heads_problems(heads, key or public_key_of(private_key(settings.home))):
        raise RecordDamaged(
            f"The signed heads in {folder} are not as they were kept: {'; '.join(problems)}.",
            kept="Nothing was changed.",
            next_step="Restore that folder, or the key, from a copy.",
        )
    return heads


@contextmanager
def record_snapshot(settings: Settings) -> Iterator[psycopg.Connection]:
    """Yield a transaction that sees the record as it stands now."""
    with connected(settings, servers=("postgres",)) as ready:
        url = ready.ledger_url.get_secret_value()
        migrate(url)
        with snapshot(url) as connection:
            yield connection


def sign_head(settings: Settings) -> SignedHead:
    """Sign where every partition of every log stands, and keep that; see `signed_head`."""
    with record_snapshot(settings) as connection:
        return signed_head(settings, connection)


def signed_head(settings: Settings, connection: psycopg.Connection) -> SignedHead:
    """Return a kept head of the record as the transaction sees it; the last one if it still fits.

    Raises
    ------
    RecordDamaged
        If the record does not go on from the last head: nothing is signed then.
    """
    folder = heads_folder(settings)
    with owned_lock(
        folder / ".lock", patience_seconds=_PATIENCE_SECONDS, purpose="signing a tree head"
    ):
        kept = checked_heads(settings)
        last = kept[-1] if kept else None
        trees = _tree_heads(connection)
        if last is not None:
            _demand_growth(last, connection)
            if last.statement.trees == trees:
                return last
        number = last.statement.number + 1 if last else 1
        statement = Statement(
            number=number,
            previous=digest(last.statement) if last else "",
            signed_at=datetime.now(UTC),
            trees=trees,
        )
        head = sign(statement, private_key(settings.home))
        write_atomically(head_file(settings, head), msgspec.json.encode(head))
        return head


def prove(settings: Settings, identifier: str) -> Inclusion:
    """Return the proof that a decision is on record under the newest kept head.

    Parameters
    ----------
    identifier
        Of the decision, its proposal, or any event of the decisions log.

    Raises
    ------
    InvalidValue
        If it is not on record, or no head covers it yet.
    """
    heads = checked_heads(settings)
    with record_snapshot(settings) as connection:
        entry = _find(Record(connection), identifier)
        place = entry.log, entry.partition
        tree = _trees(heads[-1]).get(place) if heads else None
        if tree is None or tree.sequence < entry.sequence:
            raise InvalidValue(
                f"No signed head covers event {entry.sequence} of {entry.log}/{entry.partition}.",
                next_step="Sign one: `quorum audit sign`.",
            )
        ranges = inclusion_ranges(entry.sequence - 1, tree.sequence)
        return Inclusion(
            log=entry.log,
            partition=entry.partition,
            sequence=entry.sequence,
            data=entry.data.decode(),
            proof=_hashes(connection, place, ranges),
            head=heads[-1],
        )


def prove_growth(settings: Settings, older: int, newer: int | None = None) -> Consistency:
    """Return the proof that the record at one kept head is the beginning of that at another.

    Parameters
    ----------
    older, newer
        Numbers of kept heads; without `newer`, the newest.

    Raises
    ------
    InvalidValue
        If there is no head of that number.
    """
    heads = {head.statement.number: head for head in checked_heads(settings)}
    newer = newer or max(heads, default=0)
    for number in (older, newer):
        if number not in heads or older > newer:
            raise InvalidValue(
                f"There is no head {number} to prove with (older: {older}, newer: {newer}).",
                next_step=f"Heads are kept in {heads_folder(settings)}.",
            )
    with record_snapshot(settings) as connection:
        return Consistency(
            older=heads[older],
            newer=heads[newer],
            growths=growths(connection, heads[older].statement.trees, heads[newer]),
        )


def growths(
    connection: psycopg.Connection, older: Iterable[TreeHead], newer: SignedHead
) -> tuple[Growth, ...]:
    """Return the proofs that each older tree is the beginning of one that the head names."""
    ends = _trees(newer)
    return tuple(
        Growth(
            log=tree.log,
            partition=tree.partition,
            proof=_hashes(
                connection,
                (tree.log, tree.partition),
                consistency_ranges(tree.sequence, ends[tree.log, tree.partition].sequence),
            ),
        )
        for tree in older
    )


def _tree_heads(connection: psycopg.Connection) -> tuple[TreeHead, ...]:
    heads, trees = Record(connection).heads(), Trees(connection)
    for head in heads:
        trees.keep_blocks(head)
    return tuple(trees.head(head) for head in heads)


def _demand_growth(last: SignedHead, connection: psycopg.Connection) -> None:
    """Refuse to sign what is not a continuation of what was signed before."""
    trees = Trees(connection)
    ends = {(head.log, head.partition): head.sequence for head in Record(connection).heads()}
    for place, tree in _trees(last).items():
        is_there = ends.get(place, 0) >= tree.sequence
        if not is_there or trees.tree(*place, Range(0, tree.sequence)).root() != tree.root:
            raise RecordDamaged(
                f"The record does not go on from head {last.statement.number}: "
                f"{tree.log}/{tree.partition} was {tree.sequence} events long and is not any more, "
                "or they are others.",
                kept="Nothing was signed.",
                next_step="`quorum audit verify` names the place.",
            )


def _find(record: Record, identifier: str) -> Recorded:
    for message_id in (identifier, derive_id("decision", identifier)):
        if (entry := record.find(Log.DECISIONS, message_id)) is not None:
            return entry
    raise InvalidValue(
        f"No decision on record has the id {identifier}.",
        next_step="`quorum decisions` lists their ids; those of archived months are in their "
        "archives.",
    )


def _hashes(
    connection: psycopg.Connection, place: tuple[str, int], ranges: list[Range]
) -> tuple[bytes, ...]:
    trees = Trees(connection)
    return tuple(trees.tree(*place, leaves).root() for leaves in ranges)


def _trees(head: SignedHead) -> dict[tuple[str, int], TreeHead]:
    return {(tree.log, tree.partition): tree for tree in head.statement.trees}
