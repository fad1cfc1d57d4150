"""The hash chain that makes a log tamper evident."""

from collections.abc import Iterable
from hashlib import sha256

from domain.ports.ledger import Head


def link(previous: bytes, data: bytes) -> bytes:
    """Return the chain's hash after an event's canonical bytes, given the hash before them."""
    return sha256(previous + data).digest()


def log_hash(heads: Iterable[Head]) -> str:
    """Return one hash for a whole log: over the number of events and the hash of each partition.

    Partitions that hold no event count for nothing.
    """
    lines = [f"{h.log} {h.partition} {h.sequence} {h.hash.hex()}\n" for h in heads if h.sequence]
    return sha256("".join(sorted(lines)).encode()).hexdigest()
