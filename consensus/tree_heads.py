"""Signed tree heads, and proofs that anybody can check who has the public key.

There is one Merkle tree for each partition of each log, its leaves the canonical bytes of the
events in order of their sequence. So partitions grow without waiting for each other, and each
tree only ever grows at its end. A head names the trees of all partitions and is signed as one.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256

from consensus.signatures import is_signature, public_key_of, signature
from domain.merkle import leaf_hash, proves_consistency, proves_inclusion
from domain.messages import Value, encode
from domain.ports.ledger import Anchor, TreeHead

_PURPOSE = "quorum tree head 1"
_Place = tuple[str, int]


class Statement(Value, frozen=True, kw_only=True):
    """What is signed.

    Parameters
    ----------
    number
        Heads count from 1.
    previous
        SHA-256 of the statement before, in hexadecimal; empty for the first.
    signed_at
        When, by the signing machine's clock.
    trees
        Every partition of every log, by log and partition.
    """

    number: int
    previous: str
    signed_at: datetime
    trees: tuple[TreeHead, ...]


class SignedHead(Value, frozen=True, kw_only=True):
    """A statement, the Ed25519 key that signed it, and the signature."""

    statement: Statement
    public_key: bytes
    signature: bytes


class Inclusion(Value, frozen=True, kw_only=True, tag="inclusion"):
    """Shows that an event is on record: its canonical bytes, and the way up to a signed root."""

    log: str
    partition: int
    sequence: int
    data: str
    proof: tuple[bytes, ...]
    head: SignedHead


class Growth(Value, frozen=True, kw_only=True):
    """The consistency proof of one tree."""

    log: str
    partition: int
    proof: tuple[bytes, ...]


class Export(Value, frozen=True, kw_only=True):
    """What stands beside an export, so that it can be checked anywhere.

    Parameters
    ----------
    log
        The exported log.
    anchors
        Where partitions begin whose older events are in another archive.
    ends
        Where each partition ends in the export.
    growths
        Show that these ends are beginnings of the trees that the head names.
    head
        Signed then, or later.
    """

    log: str
    anchors: tuple[Anchor, ...]
    ends: tuple[TreeHead, ...]
    growths: tuple[Growth, ...]
    head: SignedHead


class Consistency(Value, frozen=True, kw_only=True, tag="consistency"):
    """Shows that the record at the older head is the beginning of that at the newer one."""

    older: SignedHead
    newer: SignedHead
    growths: tuple[Growth, ...]


Proof = Inclusion | Consistency


def digest(statement: Statement) -> str:
    """Return the hash by which the next statement names this one."""
    return sha256(encode(statement)).hexdigest()


def sign(statement: Statement, private_key: bytes) -> SignedHead:
    """Return the statement, signed.

    Parameters
    ----------
    private_key
        The 32 bytes of an Ed25519 private key (RFC 8032).
    """
    return SignedHead(
        statement=statement,
        public_key=public_key_of(private_key),
        signature=signature(_PURPOSE, encode(statement), private_key),
    )


def is_signed_by(head: SignedHead, public_key: bytes) -> bool:
    """Whether the owner of that key signed the head."""
    data = encode(head.statement)
    return head.public_key == public_key and is_signature(
        _PURPOSE, data, head.signature, public_key
    )


def heads_problems(heads: Sequence[SignedHead], public_key: bytes) -> list[str]:
    """Return what is wrong with a series of heads, oldest first; empty when it is whole."""
    problems: list[str] = []
    before: Statement | None = None
    for head in heads:
        statement = head.statement
        if not is_signed_by(head, public_key):
            problems.append(f"head {statement.number} is not signed by the record's key")
        if before is None:
            if statement.number != 1:
                problems.append(f"the heads before number {statement.number} are gone")
        elif statement.number != before.number + 1:
            problems.append(f"head {statement.number} follows head {before.number}")
        elif statement.previous != digest(before):
            problems.append(f"head {statement.number} does not follow the head {before.number}")
        before = statement
    return problems


def proof_problems(proof: Proof, public_key: bytes) -> list[str]:
    """Return why a proof does not hold; empty when it does."""
    if isinstance(proof, Inclusion):
        return list(_inclusion_problems(proof, public_key))
    return list(_consistency_problems(proof, public_key))


def _inclusion_problems(proof: Inclusion, public_key: bytes) -> Iterable[str]:
    if not is_signed_by(proof.head, public_key):
        yield "the head is not signed by that key"
    tree = _trees(proof.head).get((proof.log, proof.partition))
    if tree is None:
        yield f"the head names no tree of {proof.log}/{proof.partition}"
    elif not proves_inclusion(
        leaf_hash(proof.data.encode()),
        proof.sequence - 1,
        tree.sequence,
        proof.proof,
        tree.root,
    ):
        yield f"the event is not number {proof.sequence} of the signed tree"


def export_problems(export: Export, public_key: bytes) -> list[str]:
    """Return why what stands beside an export does not vouch for it; empty when it does."""
    problems: list[str] = []
    if not is_signed_by(export.head, public_key):
        problems.append("the head is not signed by that key")
    signed = {place: tree for place, tree in _trees(export.head).items() if place[0] == export.log}
    ends = {(end.log, end.partition): end for end in export.ends}
    if not ends.keys() <= signed.keys():
        problems.append("it names partitions that the head does not")
    problems += _growth_problems(ends, signed, export.growths)
    return problems


def _consistency_problems(proof: Consistency, public_key: bytes) -> Iterable[str]:
    for name, head in (("older", proof.older), ("newer", proof.newer)):
        if not is_signed_by(head, public_key):
            yield f"the {name} head is not signed by that key"
    yield from _growth_problems(_trees(proof.older), _trees(proof.newer), proof.growths)


def _growth_problems(
    older: Mapping[_Place, TreeHead], newer: Mapping[_Place, TreeHead], growths: Iterable[Growth]
) -> Iterable[str]:
    proofs = {(growth.log, growth.partition): growth.proof for growth in growths}
    for place, old in older.items():
        new = newer.get(place)
        if new is None or not proves_consistency(
            old.sequence, new.sequence, proofs.get(place, ()), old.root, new.root
        ):
            yield f"the tree of {old.log}/{old.partition} is not the beginning of the signed one"


def _trees(head: SignedHead) -> dict[_Place, TreeHead]:
    return {(tree.log, tree.partition): tree for tree in head.statement.trees}
