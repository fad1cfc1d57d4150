"""Start a program that is on record before it runs (see `adapters.processes.launch`)."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.processes.identity import ProcessIdentity
from adapters.processes.log_files import last_lines, open_log
from domain.errors import EnvironmentProblem

_LAUNCHER = Path(__file__).with_name("launch.py")


def spawn_child(
    command: Sequence[str],
    *,
    record: Path,
    log: Path,
    environment: Mapping[str, str],
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in its own session, which the terminal's Ctrl-C does not reach.

    On Linux it gets SIGTERM when the thread that called this ends, whatever ends it.
    """
    plan = {"command": list(command), "dies_with": os.getpid()}
    child = _launch(plan, log, environment, folder, stdout=None)
    _release(child, child.pid, record)
    return child


def spawn_detached(
    command: Sequence[str],
    *,
    record: Path,
    log: Path,
    environment: Mapping[str, str],
    account: tuple[int, int] | None = None,
) -> ProcessIdentity:
    """Start a program that outlives us, as `account` (uid, gid) if one is given.

    Raises
    ------
    EnvironmentProblem
        If it ended before it could be recorded.
    """
    plan = {"command": list(command), "account": account, "detach": True}
    launcher = _launch(plan, log, environment, Path("/"), stdout=subprocess.PIPE)
    assert launcher.stdout is not None  # noqa: S101 - a pipe was asked for
    with launcher.stdout as answer:
        pid = int(answer.readline() or 0)
    launcher.wait()
    identity = _release(launcher, pid, record) if pid else None
    if identity is None:
        raise EnvironmentProblem(
            f"{command[0]} could not be started: {last_lines(log)}",
            next_step="Mend what the message names, then try again.",
        )
    return identity


def _launch(
    plan: Mapping[str, object],
    log: Path,
    environment: Mapping[str, str],
    folder: Path | None,
    stdout: int | None,
) -> subprocess.Popen[bytes]:
    with open_log(log) as errors:
        return subprocess.Popen(  # noqa: S603 - no shell; the command is the caller's own
            [sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=errors if stdout is None else stdout,
            stderr=errors,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )


def _release(launcher: subprocess.Popen[bytes], pid: int, record: Path) -> ProcessIdentity | None:
    """Write down who the process is, then let it go on."""
    assert launcher.stdin is not None  # noqa: S101 - a pipe was asked for
    identity = ProcessIdentity.of(pid)
    try:
        with launcher.stdin as gate:
            if identity is not None:
                identity.write(record)
                gate.write(b"!")
    except BrokenPipeError:
        pass
    return identity
