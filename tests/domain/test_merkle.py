"""Merkle trees against RFC 6962's own recursive definitions and against published vectors.

The vectors are those of the certificate-transparency reference implementation
(google/certificate-transparency-go, merkletree/merkle_verifier_test.go and
transparency-dev/merkle, testonly/constants.go): eight leaves, the root after each, and proofs.
"""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.merkle import (
    EMPTY_ROOT,
    CompactRange,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    proves_consistency,
    proves_inclusion,
)

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
CONSISTENCY = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def leaves(size: int) -> list[bytes]:
    return [b"leaf %d" % number for number in range(size)]


def grown(data: list[bytes]) -> CompactRange:
    tree = CompactRange()
    for entry in data:
        tree.append(leaf_hash(entry))
    return tree


# RFC 6962, section 2.1, word for word.


def naive_root(data: list[bytes]) -> bytes:
    if not data:
        return sha256(b"").digest()
    if len(data) == 1:
        return sha256(b"\x00" + data[0]).digest()
    k = naive_split(len(data))
    return sha256(b"\x01" + naive_root(data[:k]) + naive_root(data[k:])).digest()


def naive_split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def naive_path(m: int, data: list[bytes]) -> list[bytes]:
    if len(data) == 1:
        return []
    k = naive_split(len(data))
    if m < k:
        return [*naive_path(m, data[:k]), naive_root(data[k:])]
    return [*naive_path(m - k, data[k:]), naive_root(data[:k])]


def naive_subproof(m: int, data: list[bytes], *, whole: bool) -> list[bytes]:
    if m == len(data):
        return [] if whole else [naive_root(data)]
    k = naive_split(len(data))
    if m <= k:
        return [*naive_subproof(m, data[:k], whole=whole), naive_root(data[k:])]
    return [*naive_subproof(m - k, data[k:], whole=False), naive_root(data[:k])]


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_published_vectors(size: int):
    assert grown(LEAVES[:size]).root().hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_proofs_of_the_published_vectors(index: int, size: int):
    proof = [naive_root(LEAVES[s:e]) for s, e in inclusion_ranges(index, size)]
    assert [digest.hex() for digest in proof] == INCLUSION[index, size]


@pytest.mark.parametrize(("first", "second"), CONSISTENCY)
def test_consistency_proofs_of_the_published_vectors(first: int, second: int):
    proof = [naive_root(LEAVES[s:e]) for s, e in consistency_ranges(first, second)]
    assert [digest.hex() for digest in proof] == CONSISTENCY[first, second]


@pytest.mark.parametrize("size", range(65))
def test_a_grown_tree_has_the_root_that_the_definition_says(size: int):
    assert grown(leaves(size)).root() == naive_root(leaves(size))


@pytest.mark.parametrize("size", range(1, 34))
def test_every_inclusion_proof_is_the_definitions_and_is_accepted(size: int):
    data = leaves(size)
    for index in range(size):
        proof = [naive_root(data[s:e]) for s, e in inclusion_ranges(index, size)]
        assert proof == naive_path(index, data)
        assert proves_inclusion(leaf_hash(data[index]), index, size, proof, naive_root(data))


@pytest.mark.parametrize("second", range(34))
def test_every_consistency_proof_is_the_definitions_and_is_accepted(second: int):
    data = leaves(second)
    for first in range(second + 1):
        proof = [naive_root(data[s:e]) for s, e in consistency_ranges(first, second)]
        assert proof == (naive_subproof(first, data, whole=True) if first else [])
        assert proves_consistency(first, second, proof, naive_root(data[:first]), naive_root(data))


@given(st.data(), st.integers(2, 200))
def test_a_proof_with_anything_changed_is_refused(source: st.DataObject, size: int):
    data = leaves(size)
    root, index = naive_root(data), source.draw(st.integers(0, size - 1))
    leaf, proof = leaf_hash(data[index]), naive_path(index, data)
    assert proves_inclusion(leaf, index, size, proof, root)
    assert not proves_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not proves_inclusion(leaf, index, size, proof, EMPTY_ROOT)
    assert not proves_inclusion(leaf, index ^ 1, size, proof, root)
    assert not proves_inclusion(leaf, index - size, size, proof, root)
    assert not proves_inclusion(leaf, index, size, proof[:-1], root)
    assert not proves_inclusion(leaf, index, size, [*proof, root], root)
    at = source.draw(st.integers(0, len(proof) - 1))
    changed = [*proof[:at], sha256(proof[at]).digest(), *proof[at + 1 :]]
    assert not proves_inclusion(leaf, index, size, changed, root)


@given(st.data(), st.integers(2, 200))
def test_no_proof_makes_another_tree_the_beginning(source: st.DataObject, second: int):
    data = leaves(second)
    first = source.draw(st.integers(1, second - 1))
    old, new, proof = (
        naive_root(data[:first]),
        naive_root(data),
        naive_subproof(first, data, whole=True),
    )
    changed = [*data]
    changed[source.draw(st.integers(0, first - 1))] = b"rewritten"
    assert proves_consistency(first, second, proof, old, new)
    assert not proves_consistency(first, second, proof, naive_root(changed[:first]), new)
    assert not proves_consistency(
        first, second, naive_subproof(first, changed, whole=True), old, naive_root(changed)
    )
    assert not proves_consistency(second, first, proof, new, old)
    assert not proves_consistency(first, second, proof[:-1], old, new)
    assert not proves_consistency(first, second, [*proof, new], old, new)
    assert not proves_consistency(first, second, [], old, new)


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_tree_goes_on_from_its_kept_subtrees(first: int, more: int):
    data = leaves(first + more)
    tree = CompactRange(grown(data[:first]).subtrees)
    assert tree.size == first
    for entry in data[first:]:
        tree.append(leaf_hash(entry))
    assert tree.root() == grown(data).root()
    assert tree.size == first + more


@given(st.integers(0, 300), st.integers(0, 5))
def test_a_tree_of_whole_subtrees_is_the_tree_of_their_leaves(size: int, level: int):
    data, width = leaves(size), 1 << level
    tree, whole = CompactRange(), size - size % width
    for start in range(0, whole, width):
        tree.append(grown(data[start : start + width]).root(), level)
    for entry in data[whole:]:
        tree.append(leaf_hash(entry))
    assert tree.root() == naive_root(data)


def test_leaves_and_nodes_can_not_stand_for_each_other():
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)
