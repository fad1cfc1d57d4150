"""Identifiers that derive from what they name, so that the same input gives the same id."""

from hashlib import sha1
from uuid import UUID

_NAMESPACE = UUID("6d1a2f0e-7f5c-5b3e-9a54-3c1d8f0b7e21").bytes
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_SEPARATOR = "\x1f"


def derive_id(kind: str, *parts: object) -> str:
    """Return the name-based UUID (RFC 9562, version 5) of `kind` and `parts`.

    Redelivered or replayed work derives the same id again, which is what makes effects
    happen once.
    """
    name = _SEPARATOR.join((kind, *map(str, parts)))
    digest = sha1(_NAMESPACE + name.encode(), usedforsecurity=False).hexdigest()
    # Version 5 and the RFC's variant in their places; `uuid.uuid5` takes three times as long.
    variant = _VARIANT[digest[16]]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def client_order_id(decision_id: str, child: int | str = 0) -> str:
    """Return the client order id of a decision's order; brokers dedupe on it.

    `child` tells apart what follows from one decision: a number, or what the order is for.
    """
    return f"q-{derive_id('order', decision_id, child)}"
