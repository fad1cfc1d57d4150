"""Retweets and reprints: texts that say nearly the same, found by MinHash."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.sentiment.text import hashed_ngrams

Signatures = NDArray[np.uint64]

#: Hashes in a signature; the share that agrees estimates the n-grams shared, to about ± 0.06.
_HASHES = 64
#: Share of n-grams from which two texts are one.
SAME_FROM = 0.6
_SEEDS = np.random.default_rng(20).integers(1, 1 << 62, size=_HASHES, dtype=np.uint64) | np.uint64(
    1
)


def signatures(texts: Sequence[str]) -> Signatures:
    """Return each text's MinHash signature, (texts, 64).

    Broder 1997, "On the Resemblance and Containment of Documents".
    """
    ngrams = hashed_ngrams(texts)
    found = np.full((len(texts), _HASHES), np.iinfo(np.uint64).max, np.uint64)
    some = np.flatnonzero(np.diff(ngrams.starts, append=len(ngrams.buckets)))
    if len(some):
        mixed = (ngrams.buckets.astype(np.uint64)[:, None] + np.uint64(1)) * _SEEDS
        mixed ^= mixed >> np.uint64(31)
        mixed *= np.uint64(0x9E37_79B9_7F4A_7C15)
        found[some] = np.minimum.reduceat(mixed, ngrams.starts[some], axis=0)
    return found


def first_like(signature: Signatures, known: Signatures) -> int | None:
    """Return the place of the first signature in `known` that is nearly the same, or None."""
    alike = np.flatnonzero((known == signature).mean(axis=1) >= SAME_FROM)
    return int(alike[0]) if len(alike) else None
