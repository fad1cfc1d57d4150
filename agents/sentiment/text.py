"""A headline as the text models see it, and its n-grams, hashed for a whole batch at once."""

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Buckets = NDArray[np.int64]

#: Buckets that n-grams are hashed into; collisions are rare below a million distinct ones.
BUCKETS = 1 << 18
#: Longest text that is read; a post is shorter, and what is longer is no headline.
LONGEST_TEXT = 1000

_LINK = re.compile(r"https?://\S+|www\.\S+")
_NUMBER = re.compile(r"\d[\d,.]*")
_RETWEET = re.compile(r"^RT @\w+:\s*")
_SPACES = re.compile(r"\s+")
_CHARACTERS = (3, 4, 5)
_END_OF_TEXT = ord("\n")
#: An odd multiplier has an inverse modulo 2^64, so a word's hash is a difference of prefix sums.
_BASE = 0x9E37_79B9_7F4A_7C15
_BASE_INVERSE = pow(_BASE, -1, 1 << 64)
_IS_WORD = np.array(
    [chr(code).isalnum() or chr(code) in "$%'&" for code in range(128)] + [True] * 128
)


def cleaned(text: str) -> str:
    """Return the text without links, retweet marks and markup, on one line."""
    plain = _RETWEET.sub("", _LINK.sub(" ", html.unescape(text[:LONGEST_TEXT])))
    return _SPACES.sub(" ", plain).strip()


class Ngrams(NamedTuple):
    """The distinct n-grams of a batch of texts, in the order of the texts.

    Parameters
    ----------
    buckets
        What each n-gram is hashed to.
    starts
        Place of each text's first in `buckets`.
    """

    buckets: Buckets
    starts: Buckets


def hashed_ngrams(texts: Sequence[str]) -> Ngrams:
    """Return words, pairs of words, and runs of 3 to 5 characters of each text.

    Case is ignored and every number counts as the same. Weinberger et al. 2009, "Feature Hashing
    for Large Scale Multitask Learning".
    """
    lines = (f" {_NUMBER.sub('0', cleaned(text)).lower()} " for text in texts)
    signs = np.frombuffer("".join(f"{line}\n" for line in lines).encode(), np.uint8)
    number = np.cumsum(signs == _END_OF_TEXT) - (signs == _END_OF_TEXT)
    families = [_runs(signs, number, length) for length in _CHARACTERS]
    families += _words(signs, number)
    keys = [
        texts * BUCKETS + _bucket(hashes, family) for family, (texts, hashes) in enumerate(families)
    ]
    distinct = np.sort(np.concatenate(keys))
    distinct = distinct[np.diff(distinct, prepend=-1) > 0]
    starts = np.searchsorted(distinct, np.arange(len(texts)) * BUCKETS)
    return Ngrams(distinct & (BUCKETS - 1), starts)


def _runs(
    signs: NDArray[np.uint8], number: Buckets, length: int
) -> tuple[Buckets, NDArray[np.uint64]]:
    """Return text and hash of each run of `length` signs inside one text."""
    count = max(len(signs) - length, 0)
    hashes = np.zeros(count, np.uint64)
    for place in range(length):
        hashes = hashes * np.uint64(_BASE) + signs[place : place + count]
    inside = number[:count] == number[length : length + count]
    return number[:count][inside], hashes[inside]


def _words(signs: NDArray[np.uint8], number: Buckets) -> list[tuple[Buckets, NDArray[np.uint64]]]:
    """Return text and hash of each word, and of each pair of neighbours."""
    edges = np.diff(_IS_WORD[signs].astype(np.int8), prepend=0)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    powers = _powers(_BASE, len(signs))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(signs * powers, dtype=np.uint64)])
    words = (sums[ends] - sums[starts]) * _powers(_BASE_INVERSE, len(signs))[starts]
    texts = number[starts]
    same = texts[1:] == texts[:-1]
    pairs = (words[:-1] * np.uint64(_BASE) + words[1:])[same]
    return [(texts, words), (texts[:-1][same], pairs)]


def _powers(base: int, count: int) -> NDArray[np.uint64]:
    factors = np.full(count, base, np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)


def _bucket(hashes: NDArray[np.uint64], family: int) -> Buckets:
    """Spread hashes over the buckets, each family its own way (the finaliser of MurmurHash3)."""
    mixed = hashes + np.uint64(family * 0x632B_E59B_D9B4_E019 % (1 << 64))
    mixed ^= mixed >> np.uint64(33)
    mixed *= np.uint64(0xFF51_AFD7_ED55_8CCD)
    mixed ^= mixed >> np.uint64(33)
    return (mixed & np.uint64(BUCKETS - 1)).astype(np.int64)
