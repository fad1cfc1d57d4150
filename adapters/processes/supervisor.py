"""The supervisor of the live plane's child processes: start, wait until ready, stop."""

import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from adapters.locks import owned_lock
from adapters.processes.identity import ProcessIdentity
from adapters.processes.watched_process import (
    ProcessSpec,
    ProcessState,
    ProcessStatus,
    WatchedProcess,
)
from domain.errors import EnvironmentProblem
from domain.ports.metrics import Metrics

__all__ = ["ProcessSpec", "ProcessState", "ProcessStatus", "Supervisor"]

_ORPHAN_SECONDS = 10.0
_LOCK_SECONDS = 2.0


class Supervisor:
    """Runs children until `stop`, or until this process dies, whatever kills it.

    One supervisor a state folder. Children have a session of their own, so the terminal's Ctrl-C
    reaches only us; on Linux the kernel tells them when we die, and the next start ends those
    that stayed on.

    Parameters
    ----------
    home
        The state folder; logs are ``<home>/logs/<name>.log``.
    metrics
        Where restarts are counted.
    """

    def __init__(self, home: Path, metrics: Metrics | None = None) -> None:
        self._home = home.absolute()
        self._records = _records(self._home)
        self._metrics = metrics
        self._children: dict[str, WatchedProcess] = {}
        self._held = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def add(self, spec: ProcessSpec) -> None:
        """Add a child; `start` starts it."""
        self._children[spec.name] = WatchedProcess(spec, self._home, self._records, self._metrics)

    def start(self) -> None:
        """End what a killed run left behind, then start all children at once.

        Raises
        ------
        EnvironmentProblem
            If another supervisor runs in this state folder, or it is not writable.
        """
        try:
            self._records.mkdir(parents=True, exist_ok=True)
            (self._home / "logs").mkdir(exist_ok=True)
            self._held.enter_context(
                owned_lock(
                    self._records / "lock",
                    patience_seconds=_LOCK_SECONDS,
                    purpose="running Quorum here",
                )
            )
        except OSError as problem:
            raise EnvironmentProblem(
                f"The state folder {self._home} is not writable: {problem.strerror}.",
                next_step="Set QUORUM_HOME to a folder that you may write to.",
            ) from None
        self._end_orphans()
        for child in self._children.values():
            child.start()

    def wait_until_ready(self, timeout_seconds: float = 60.0) -> None:
        """Wait until every child is ready.

        Raises
        ------
        EnvironmentProblem
            If one gave up or the time is over; quotes the end of its log.
        """
        deadline = time.monotonic() + timeout_seconds
        for child in self._children.values():
            child.wait_until_ready(deadline)

    def stop(self, patience_seconds: float = 15.0) -> None:
        """Ask all children to end, wait, kill those that don't; again is without effect."""
        for child in self._children.values():
            child.ask_to_end()
        deadline = time.monotonic() + patience_seconds
        for child in self._children.values():
            child.see_it_end(deadline)
        self._held.close()

    def status(self) -> list[ProcessStatus]:
        """Return how each child does."""
        return [child.status() for child in self._children.values()]

    def _end_orphans(self) -> None:
        records = list(self._records.glob("*.json"))
        orphans = [o for record in records if (o := ProcessIdentity.read(record)) is not None]
        for orphan in orphans:
            orphan.signal(signal.SIGTERM)
        for orphan in orphans:
            orphan.end(signal.SIGTERM, _ORPHAN_SECONDS)
        for record in records:
            record.unlink(missing_ok=True)


def find_child(home: Path, name: str) -> ProcessIdentity | None:
    """Return the child that a supervisor keeps running in a state folder, or None."""
    identity = ProcessIdentity.read(_records(home) / f"{name}.json")
    return identity if identity is not None and identity.alive() else None


def _records(home: Path) -> Path:
    return home / "processes"
