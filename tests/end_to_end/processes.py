"""The command line in processes of its own, and what of them is still there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
_PATIENCE_SECONDS = 240.0
_POLL_SECONDS = 0.05


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a user whose state folder is `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUORUM_")}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "PATH": programs, "QUORUM_HOME": str(home), **more}


def quorum(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, from a folder that is not the checkout."""
    return subprocess.run(
        ["quorum", *arguments],
        env=environment(home, **more),
        cwd=home.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def started(home: Path, command: Sequence[str], **more: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command; whatever the test makes of it, nothing of it is left afterwards."""
    with subprocess.Popen(
        command,
        env=environment(home, **more),
        cwd=home.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            end_all([process_of(process.pid), *processes_of(home)])


def process_of(pid: int) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid)
    return None


def processes_of(home: Path) -> list[psutil.Process]:
    """Return every living process that belongs to the state folder, ours excepted."""
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and _belongs(p, home)]


def _belongs(process: psutil.Process, home: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        named = " ".join(process.cmdline()), process.cwd()
        known = process.environ().get("QUORUM_HOME") == str(home)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return known or any(str(home) in text for text in named)


def commands(processes: Sequence[psutil.Process]) -> list[str]:
    """Return what runs, for a readable failure."""
    found: list[str] = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
    return found


def end_all(processes: Sequence[psutil.Process | None]) -> None:
    present = [p for p in processes if p is not None]
    for process in present:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(present, timeout=10)


def read_until(process: subprocess.Popen[str], beginning: str) -> None:
    """Read what it prints up to the line that begins so."""
    read: list[str] = []
    for line in process.stdout or ():
        read.append(line)
        if line.startswith(beginning):
            return
    raise AssertionError(f"It never printed {beginning!r}:\n{''.join(read)}")


def until(condition: Callable[[], object], what: str, process: subprocess.Popen[str] | None = None):
    """Wait until the condition holds; a process that ends meanwhile fails the test at once."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (found := condition()):
        if process is not None and process.poll() is not None:
            output = process.stdout.read() if process.stdout else ""
            raise AssertionError(f"It ended ({process.returncode}) before {what}:\n{output}")
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(_POLL_SECONDS)
    return found
