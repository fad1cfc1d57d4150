"""Signed heads and proofs: they hold as they were made, and in no other form."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.signatures import public_key_of
from consensus.tree_heads import (
    Consistency,
    Growth,
    Inclusion,
    Proof,
    SignedHead,
    Statement,
    digest,
    heads_problems,
    is_signed_by,
    proof_problems,
    sign,
)
from domain.merkle import CompactRange, consistency_ranges, inclusion_ranges, leaf_hash
from domain.ports.ledger import TreeHead
from tests.consensus.test_audit import chained, ticks

PRIVATE, OTHER = bytes(range(32)), bytes(range(1, 33))
PUBLIC = public_key_of(PRIVATE)
WHEN = datetime(2026, 11, 1, tzinfo=UTC)
DATA = ticks(40)


@dataclass
class Trees:
    """The tree over `DATA`, by brute force."""

    def root(self, start: int, end: int) -> bytes:
        tree = CompactRange()
        for data in DATA[start:end]:
            tree.append(leaf_hash(data))
        return tree.root()

    def head(self, size: int) -> TreeHead:
        digest = chained(DATA[:size])[-1].hash
        return TreeHead(
            log="decisions", partition=0, sequence=size, hash=digest, root=self.root(0, size)
        )


TREES = Trees()


def series(*sizes: int, key: bytes = PRIVATE) -> list[SignedHead]:
    heads: list[SignedHead] = []
    for number, size in enumerate(sizes, 1):
        statement = Statement(
            number=number,
            previous=digest(heads[-1].statement) if heads else "",
            signed_at=WHEN + timedelta(hours=number),
            trees=(TREES.head(size),),
        )
        heads.append(sign(statement, key))
    return heads


def inclusion(index: int, size: int) -> Inclusion:
    return Inclusion(
        log="decisions",
        partition=0,
        sequence=index + 1,
        data=DATA[index].decode(),
        proof=tuple(TREES.root(*leaves) for leaves in inclusion_ranges(index, size)),
        head=series(size)[0],
    )


def consistency(first: int, second: int) -> Consistency:
    older, newer = series(first, second)
    proof = tuple(TREES.root(*leaves) for leaves in consistency_ranges(first, second))
    growth = Growth(log="decisions", partition=0, proof=proof)
    return Consistency(older=older, newer=newer, growths=(growth,))


def test_a_signature_is_of_one_key_and_one_statement():
    head = series(5)[0]
    assert is_signed_by(head, PUBLIC)
    assert not is_signed_by(head, public_key_of(OTHER))
    assert not is_signed_by(head, b"no key")
    later = msgspec.structs.replace(head.statement, number=2)
    assert not is_signed_by(msgspec.structs.replace(head, statement=later), PUBLIC)
    forged = msgspec.structs.replace(series(5, key=OTHER)[0], public_key=PUBLIC)
    assert not is_signed_by(forged, PUBLIC)


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (lambda h: [*h], None),
        (lambda h: h[:2], None),
        (lambda h: h[1:], "before number 2 are gone"),
        (lambda h: [h[0], h[2]], "head 3 follows head 1"),
        (lambda h: [*h[:2], series(3, 5, 9)[2]], "does not follow the head 2"),
        (lambda h: [*h[:2], series(3, 4, 9, key=OTHER)[2]], "not signed by the record's key"),
    ],
)
def test_a_series_of_heads_lacks_none(kept, says: str | None):
    problems = heads_problems(kept(series(3, 4, 9)), PUBLIC)
    assert (says is None) == (not problems)
    assert says is None or says in "; ".join(problems)


@given(st.data(), st.integers(1, len(DATA)))
def test_an_inclusion_proof_holds_after_a_journey_as_json(source: st.DataObject, size: int):
    proof = inclusion(source.draw(st.integers(0, size - 1)), size)
    read = msgspec.json.decode(msgspec.json.encode(proof), type=Proof)
    assert proof_problems(read, PUBLIC) == []


@given(st.data(), st.integers(1, len(DATA)))
def test_a_consistency_proof_holds_after_a_journey_as_json(source: st.DataObject, second: int):
    proof = consistency(source.draw(st.integers(1, second)), second)
    read = msgspec.json.decode(msgspec.json.encode(proof), type=Proof)
    assert proof_problems(read, PUBLIC) == []


@pytest.mark.parametrize(
    "change",
    [
        {"data": DATA[3].decode().replace("Tick", "Tock")},
        {"sequence": 5},
        {"partition": 1},
        {"proof": ()},
        {"head": series(21)[0]},
        {"head": series(20, key=OTHER)[0]},
    ],
)
def test_an_inclusion_proof_with_anything_changed_is_refused(change):
    assert proof_problems(msgspec.structs.replace(inclusion(3, 20), **change), PUBLIC)


@pytest.mark.parametrize(
    "change",
    [
        {"growths": ()},
        {"older": series(12)[0]},
        {"newer": series(11, 21)[1]},
        {"newer": series(11, 20, key=OTHER)[1]},
        {"older": series(11, key=OTHER)[0]},
    ],
)
def test_a_consistency_proof_with_anything_changed_is_refused(change):
    assert proof_problems(msgspec.structs.replace(consistency(11, 20), **change), PUBLIC)
