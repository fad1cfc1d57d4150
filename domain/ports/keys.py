"""The keys that messages are sealed with."""

from typing import NamedTuple, Protocol

from domain.producers import Producer


class Key(NamedTuple):
    """A secret, and whose it is."""

    producer: Producer
    secret: bytes


class KeyRing(Protocol):
    """The keys of those whose messages are verified."""

    def find(self, key_id: bytes) -> Key | None:
        """Return the key of that id; None for one that is unknown, or was removed."""
        ...
