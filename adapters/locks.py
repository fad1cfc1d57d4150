"""A lock between processes and threads of one machine; it names its owner and dies with it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.errors import EnvironmentProblem

_POLL_SECONDS = 0.05


@contextmanager
def owned_lock(path: Path, *, patience_seconds: float, purpose: str) -> Iterator[None]:
    """Hold an exclusive lock on `path`, which then contains our pid.

    The file may stay behind: what counts is the kernel's lock, and that ends with its owner.

    Raises
    ------
    EnvironmentProblem
        If another living process keeps it for longer than `patience_seconds`.
    """
    deadline = time.monotonic() + patience_seconds
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        while not _try(file.fileno()):
            if time.monotonic() >= deadline:
                file.seek(0)
                owner = file.read().strip() or "unknown"
                raise EnvironmentProblem(
                    f"Process {owner} is {purpose} and holds {path}.",
                    next_step=f"Wait for it or end it (`kill {owner}`), then try again.",
                )
            time.sleep(_POLL_SECONDS)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
