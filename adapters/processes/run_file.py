"""What every process of Quorum does: say where it listens, and stop when it is asked to.

A process that listens writes ``<home>/run/<process>.json`` once its port is bound, and removes it
when it ends. A file left behind by a killed process names a pid that is gone, or one that started
later: `find_process` tells, so a supervisor never takes another program for ours.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from adapters.processes.identity import ProcessIdentity
from domain.errors import EnvironmentProblem

#: Where a process that listens on every address is reached from its own machine.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """Where a process listens, and which process it is."""

    process: str
    identity: ProcessIdentity
    host: str
    port: int
    software_version: str = ""

    @property
    def pid(self) -> int:
        """The process id."""
        return self.identity.pid

    @property
    def url(self) -> str:
        """Base address of its HTTP endpoints."""
        host = _LOOPBACK.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@contextmanager
def announced(
    home: Path, process: str, host: str, port: int, software: str = ""
) -> Iterator[RunFile]:
    """Keep the run file of this process for as long as the block lasts.

    Parameters
    ----------
    software
        What it runs (`adapters.processes.software`); a process that has no part in trading says
        nothing.

    Raises
    ------
    EnvironmentProblem
        If the state folder is not writable.
    """
    run_file = RunFile(
        process=process,
        identity=ProcessIdentity.own(),
        host=host,
        port=port,
        software_version=software,
    )
    path = _path(home, process)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{run_file.pid}.tmp")
        draft.write_bytes(msgspec.json.encode(run_file))
        draft.replace(path)
    except OSError as problem:
        raise EnvironmentProblem(
            f"{path} can't be written: {problem.strerror}.",
            next_step="Make the folder writable, or set QUORUM_HOME to one that is.",
        ) from None
    try:
        yield run_file
    finally:
        if _read(path) == run_file:
            path.unlink(missing_ok=True)


def find_process(home: Path, process: str) -> RunFile | None:
    """Return where `process` listens, or None if it doesn't run."""
    run_file = _read(_path(home, process))
    return run_file if run_file is not None and run_file.identity.alive() else None


def software_versions(home: Path) -> frozenset[str]:
    """Return the versions of the software that the living processes of a state folder run."""
    found = (_read(path) for path in sorted((home / "run").glob("*.json")))
    return frozenset(
        run_file.software_version
        for run_file in found
        if run_file is not None and run_file.software_version and run_file.identity.alive()
    )


@contextmanager
def stop_requested() -> Iterator[asyncio.Event]:
    """Return (for the block) an event that SIGINT and SIGTERM set; needs a running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)


def _path(home: Path, process: str) -> Path:
    return home / "run" / f"{process}.json"


def _read(path: Path) -> RunFile | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunFile)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
