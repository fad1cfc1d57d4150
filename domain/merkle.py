"""Merkle trees as RFC 6962 (section 2.1) defines them: hashes, proofs, and checking proofs.

A proof is first a list of ranges of leaves (`inclusion_ranges`, `consistency_ranges`); the proof
itself is the tree hash of each, in that order. So it can be made from stored hashes of subtrees
without reading the leaves below them. Checking follows RFC 9162, sections 2.1.3.2 and 2.1.4.2.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

EMPTY_ROOT = sha256().digest()
"""The hash of a tree without leaves."""


class Range(NamedTuple):
    """Leaves from `start` up to, not including, `end`."""

    start: int
    end: int


class Subtree(NamedTuple):
    """The hash of a complete subtree of 2 ** `level` leaves."""

    level: int
    hash: bytes


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two others."""
    return sha256(b"\x01" + left + right).digest()


class CompactRange:
    """A growing tree, of which only the largest complete subtrees are kept: O(log n) hashes.

    Parameters
    ----------
    subtrees
        Those that it begins with, from left to right, each smaller than the one before.
    """

    def __init__(self, subtrees: Iterable[Subtree] = ()) -> None:
        self._subtrees = list(subtrees)
        self.size = sum(1 << subtree.level for subtree in self._subtrees)
        """Leaves so far."""

    @property
    def subtrees(self) -> tuple[Subtree, ...]:
        """The largest complete subtrees, from left to right."""
        return tuple(self._subtrees)

    def append(self, digest: bytes, level: int = 0) -> None:
        """Add a leaf, or a complete subtree that is no larger than the last one here."""
        self.size += 1 << level
        while self._subtrees and self._subtrees[-1].level == level:
            digest = node_hash(self._subtrees.pop().hash, digest)
            level += 1
        self._subtrees.append(Subtree(level, digest))

    def root(self) -> bytes:
        """Return the tree's hash."""
        if not self._subtrees:
            return EMPTY_ROOT
        *left, last = self._subtrees
        digest = last.hash
        for subtree in reversed(left):
            digest = node_hash(subtree.hash, digest)
        return digest


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the ranges whose hashes prove that leaf `index` is in the tree of `size` leaves."""
    ranges: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append(Range(middle, end))
            end = middle
        else:
            ranges.append(Range(start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(first: int, second: int) -> list[Range]:
    """Return the ranges whose hashes prove that a tree of `first` leaves begins that of `second`.

    Parameters
    ----------
    first, second
        Sizes, 0 ≤ first ≤ second. Every tree begins with the empty one; no proof is needed.
    """
    if first in (0, second):
        return []
    ranges: list[Range] = []
    start, end, is_whole = 0, second, True
    while end > first:
        middle = start + _split(end - start)
        if first <= middle:
            ranges.append(Range(middle, end))
            end = middle
        else:
            ranges.append(Range(start, middle))
            start, is_whole = middle, False
    if not is_whole:
        ranges.append(Range(start, end))
    return ranges[::-1]


def proves_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether `proof` shows that the leaf of that hash stands at `index` (from 0) in the tree."""
    if not 0 <= index < size:
        return False
    place, last, digest = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            digest = node_hash(sibling, digest)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and digest == root


def proves_consistency(
    first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> bool:
    """Whether `proof` shows that the first tree is the beginning of the second."""
    if not 0 <= first <= second:
        return False
    if first in (0, second):
        expected = EMPTY_ROOT if first == 0 else second_root
        return not proof and first_root == expected
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and (old, new) == (first_root, second_root)


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
