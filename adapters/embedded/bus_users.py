"""The users of the embedded bus: random passwords, kept for as long as the server is wanted."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import quote

import msgspec

from adapters.bus.redis_access import OWNER
from domain.producers import Producer

_PRIVATE = 0o600


class BusUsers(msgspec.Struct, frozen=True):
    """Where the bus is, and the password of each of its users.

    They outlive a server that crashed, so that its clients find it again.
    """

    socket: str
    passwords: Mapping[str, str]

    @classmethod
    def read(cls, control: Path) -> Self | None:
        """Return the users of the server that runs, or None."""
        try:
            return msgspec.json.decode((control / _FILE).read_bytes(), type=cls)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    @classmethod
    def made(cls, control: Path, socket: Path) -> Self:
        """Return the users that are there, or new ones; only their file's owner reads it."""
        present = cls.read(control)
        if present is not None and present.socket == str(socket):
            return present
        new = cls(
            str(socket), {name: secrets.token_urlsafe(32) for name in (OWNER, *map(str, Producer))}
        )
        draft = control / f".{_FILE}.{os.getpid()}"
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(new))
        draft.replace(control / _FILE)
        return new

    @staticmethod
    def forget(control: Path) -> None:
        """Let the next server have new passwords."""
        (control / _FILE).unlink(missing_ok=True)

    def url(self, name: str = OWNER) -> str:
        """Return the address by which one user reaches the bus; it holds the password."""
        return f"unix://{name}:{self.passwords[name]}@{quote(self.socket)}?db=0"


_FILE = "bus-users.json"
