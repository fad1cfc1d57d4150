"""Which process is meant: a pid alone may belong to somebody else by the time it is signalled."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec
import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CREATION_TOLERANCE_SECONDS = 1.0
_POLL_SECONDS = 0.02


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A pid with its process's creation time.

    Parameters
    ----------
    pid
        The process id.
    created_after_boot
        Seconds between the machine's start and the process's; a clock that is set does not move it.
    boot
        Which start of the machine, where the system tells.
    """

    pid: int
    created_after_boot: float
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return the identity of a living process, or None."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid, process.create_time() - psutil.boot_time(), _boot())
        except psutil.NoSuchProcess:
            return None

    @classmethod
    def own(cls) -> Self:
        """Return the identity of this process."""
        identity = cls.of(os.getpid())
        assert identity is not None  # noqa: S101 - the process that asks is alive
        return identity

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return what `write` kept, or None if the file is missing or cut short."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def write(self, path: Path) -> None:
        """Keep the identity in a file."""
        draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        draft.write_bytes(msgspec.json.encode(self))
        draft.replace(path)

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        present = ProcessIdentity.of(self.pid)
        return (
            present is not None
            and present.boot == self.boot
            and abs(present.created_after_boot - self.created_after_boot)
            < _CREATION_TOLERANCE_SECONDS
        )

    def signal(self, number: int) -> bool:
        """Send a signal if the process is alive; returns whether it was."""
        if not self.alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait_until_gone(self, seconds: float) -> bool:
        """Wait for its end, though it may not be our child; returns whether it ended."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def end(self, number: int, patience_seconds: float) -> None:
        """Ask it to end by a signal; kill it and its children when patience runs out."""
        if not self.signal(number) or self.wait_until_gone(patience_seconds):
            return
        try:
            children = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        self.signal(signal.SIGKILL)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.wait_until_gone(patience_seconds)


def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
