"""What is missing or wrong on this machine, and how to mend it."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import psutil

from adapters.embedded.programs import find_postgres, find_valkey
from adapters.processes.run_file import find_process
from domain.errors import QuorumError
from domain.settings import Profile, Settings
from orchestration.live_plane import CONSENSUS, PROCESSES
from orchestration.ports import is_free, platform_ports

_GIB = 1024**3
_DISK_BYTES = 2 * _GIB
_MEMORY_BYTES = 3 * _GIB
_PYTHON = ((3, 11), (3, 13))


class Finding(NamedTuple):
    """One thing that was looked at: `remedy` is empty where all is well."""

    subject: str
    found: str
    remedy: str = ""

    @property
    def well(self) -> bool:
        """Whether nothing has to be mended."""
        return not self.remedy


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for everything that Quorum needs of the machine."""
    yield _python()
    yield _torch()
    yield from _state_folder(settings.home)
    yield _memory()
    if settings.profile is Profile.EMBEDDED:
        yield _program("PostgreSQL", lambda: str(find_postgres().major))
        yield _program("Valkey", lambda: find_valkey().name)
    yield from _ports(settings)
    yield _processes(settings)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    lowest, highest = _PYTHON
    if lowest <= sys.version_info[:2] <= highest:
        return Finding("Python", found)
    return Finding("Python", found, "Use Python 3.11, 3.12 or 3.13: `make clean setup PYTHON=…`.")


def _torch() -> Finding:
    try:
        return Finding("PyTorch", version("torch"))
    except PackageNotFoundError:
        return Finding("PyTorch", "not installed", "Run `make setup`.")


def _state_folder(home: Path) -> Iterator[Finding]:
    folder = home
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            "State folder", str(home), "Set QUORUM_HOME to a folder that you may write to."
        )
        return
    yield Finding("State folder", str(home))
    free = shutil.disk_usage(folder).free
    short = "" if free >= _DISK_BYTES else "Free disk space, or set QUORUM_HOME elsewhere."
    yield Finding("Disk", f"{free / _GIB:.1f} GiB free", short)


def _memory() -> Finding:
    available = psutil.virtual_memory().available
    short = "" if available >= _MEMORY_BYTES else "Free memory: the live plane takes about 2 GiB."
    return Finding("Memory", f"{available / _GIB:.1f} GiB available", short)


def _program(name: str, find: Callable[[], str]) -> Finding:
    try:
        return Finding(name, find())
    except QuorumError as problem:
        return Finding(name, problem.what, problem.next_step)


def _ports(settings: Settings) -> Iterator[Finding]:
    if find_process(settings.home, CONSENSUS):
        return  # The platform runs, and holds them itself.
    for process, (setting, port) in platform_ports(settings).items():
        if is_free(settings.serving.host, port):
            yield Finding(f"Port of {process}", f"{port} is free")
        else:
            remedy = f"End the program that holds it, or set {setting} to another port."
            yield Finding(f"Port of {process}", f"{port} is in use", remedy)


def _processes(settings: Settings) -> Finding:
    running = [name for name in PROCESSES if find_process(settings.home, name)]
    return Finding("Processes", ", ".join(running) or "none running")
