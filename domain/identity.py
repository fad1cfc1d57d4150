"""Identifiers that derive from what they name, so that the same input gives the same id."""

from uuid import UUID, uuid5

_NAMESPACE = UUID("6d1a2f0e-7f5c-5b3e-9a54-3c1d8f0b7e21")
_SEPARATOR = "\x1f"


def derive_id(kind: str, *parts: object) -> str:
    """Return the name-based UUID (RFC 9562, version 5) of `kind` and `parts`.

    Redelivered or replayed work derives the same id again, which is what makes effects
    happen once.
    """
    return str(uuid5(_NAMESPACE, _SEPARATOR.join((kind, *map(str, parts)))))


def client_order_id(decision_id: str, child: int = 0) -> str:
    """Return the client order id of a decision's `child`-th order; brokers dedupe on it."""
    return f"q-{derive_id('order', decision_id, child)}"
