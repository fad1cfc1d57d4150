"""The producers' keys, one file each in a folder that only their owner reads.

A file holds one line a key, ``<id> <secret in base64>``; the last is the one to seal with, all are
accepted. So a key is changed without a gap: add one, start the producer again, remove the old one.
"""

import os
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import structlog

from domain.errors import ConfigurationError, EnvironmentProblem, QuorumError
from domain.messages import Message, encode
from domain.ports.keys import Key
from domain.producers import Producer
from domain.seals import SECRET_BYTES, key_id, seal
from domain.settings import Settings

_SECONDS_BETWEEN_LOOKS = 1.0
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600
_OF_OTHERS = 0o077

_log = structlog.get_logger(__name__)


class KeyFolder:
    """The folder with the producers' keys.

    Parameters
    ----------
    folder
        Made, with a key, when a producer first needs one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, settings: Settings) -> "KeyFolder":
        """Return the folder that the settings name."""
        return cls(settings.keys_folder or settings.home / "keys")

    def file(self, producer: Producer) -> Path:
        """Return where a producer's keys are kept."""
        return self._folder / f"{producer}.keys"

    def keys(self, producer: Producer) -> list[bytes]:
        """Return a producer's secrets, the oldest first; none where it never had one.

        Raises
        ------
        ConfigurationError
            If the file is not one of keys, or others may read it.
        """
        path = self.file(producer)
        try:
            if path.stat().st_mode & _OF_OTHERS:
                raise _bad(path, "others than its owner may read it", f"chmod 600 {path}")
            lines = path.read_text().splitlines()
            found = [b64decode(line.split()[1], validate=True) for line in lines]
        except FileNotFoundError:
            return []
        except OSError as problem:
            raise _bad(path, problem.strerror or "it can't be read", "Make it readable.") from None
        except (ValueError, IndexError):
            raise _bad(path, "it does not hold keys", "Restore it, or remove it.") from None
        if any(len(secret) != SECRET_BYTES for secret in found):
            raise _bad(path, "it holds a key of a wrong length", "Restore it, or remove it.")
        return found

    def own(self, producer: Producer) -> bytes:
        """Return the secret that a producer seals with; its first one is made here."""
        return (self.keys(producer) or [self.add(producer)])[-1]

    def add(self, producer: Producer) -> bytes:
        """Make a key with which the producer seals from its next start on, and return it."""
        added = secrets.token_bytes(SECRET_BYTES)
        before = self.keys(producer)
        self._write(producer, [*before, added], new=not before)
        return self.keys(producer)[-1]

    def remove(self, producer: Producer, name: str) -> bool:
        """Accept a key no more; returns whether there was one of that id.

        Raises
        ------
        ConfigurationError
            If it is the only one: the producer could not be heard any more.
        """
        before = self.keys(producer)
        left = [secret for secret in before if key_id(secret) != name.encode()]
        if before and not left:
            raise ConfigurationError(
                f"{name} is the only key of {producer}.",
                next_step="Add another one first (`quorum keys rotate`), and start it again.",
            )
        if len(left) == len(before):
            return False
        self._write(producer, left, new=False)
        return True

    def _write(self, producer: Producer, keys: list[bytes], *, new: bool) -> None:
        path = self.file(producer)
        draft = path.with_name(f".{producer}.{os.getpid()}.{secrets.token_hex(4)}")
        text = "".join(f"{key_id(k).decode()} {b64encode(k).decode()}\n" for k in keys)
        try:
            self._folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if new:
                # Of two processes that make the first key at once, one wins, for both.
                try:
                    os.link(draft, path)
                except FileExistsError:
                    _log.info("another process made the key", producer=producer)
                draft.unlink()
            else:
                draft.replace(path)
        except OSError as problem:
            raise EnvironmentProblem(
                f"The key of {producer} can't be kept in {path}: {problem.strerror}.",
                next_step="Make the folder writable, put the key there yourself, or name another "
                "folder by QUORUM_KEYS_FOLDER.",
            ) from None


class FolderKeyRing:
    """All keys of a folder; what is added or removed there counts from then on.

    Raises
    ------
    ConfigurationError
        If a file there is not one of keys. Later that is logged, and what was known stays.
    """

    def __init__(self, folder: KeyFolder) -> None:
        self._folder = folder
        self._look_again = 0.0
        self._seen = self._versions()
        self._keys = self._read()

    def find(self, key_id: bytes) -> Key | None:
        """See `KeyRing.find`; a removed key is forgotten within a second."""
        if time.monotonic() >= self._look_again or key_id not in self._keys:
            self._look()
        return self._keys.get(key_id)

    def _look(self) -> None:
        self._look_again = time.monotonic() + _SECONDS_BETWEEN_LOOKS
        seen = self._versions()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keys = self._read()
        except QuorumError as problem:
            _log.error("keys not read; those known before stay", exc_info=problem)

    def _versions(self) -> list[tuple[int, int]]:
        return [_version(self._folder.file(producer)) for producer in Producer]

    def _read(self) -> dict[bytes, Key]:
        return {
            key_id(secret): Key(producer, secret)
            for producer in Producer
            for secret in self._folder.keys(producer)
        }


def sealing(settings: Settings, producer: Producer) -> Callable[[Message], bytes]:
    """Return what encodes and seals a producer's messages; its key is made if it has none."""
    secret = KeyFolder.of(settings).own(producer)
    return lambda message: seal(encode(message), secret)


def _version(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def _bad(path: Path, why: str, next_step: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} can't be used: {why}.", kept="The file is untouched.", next_step=next_step
    )
