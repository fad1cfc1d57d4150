"""One child process: started, probed until ready, watched, started again when it dies."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from adapters.processes.log_files import last_lines
from adapters.processes.probe import ask
from adapters.processes.spawn import spawn_child
from domain.errors import EnvironmentProblem, QuorumError
from domain.metrics import Metric
from domain.ports.metrics import Metrics

_POLL_SECONDS = 0.1
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_STABLE_SECONDS = 60.0
_STARTS_BEFORE_GIVING_UP = 3


class ProcessState(StrEnum):
    """Where a child stands."""

    STARTING = "starting"
    READY = "ready"
    PAUSING = "pausing"  # it died; it is started again after a pause
    FAILED = "failed"  # it died before it was ever ready, too often
    ENDED = "ended"


@dataclass(frozen=True)
class ProcessSpec:
    """What to run.

    Parameters
    ----------
    name
        Names its log and its metric.
    command
        Program and arguments.
    environment
        Variables beside this process's own.
    readiness
        A URL that answers 200, or a call that returns True, once it is ready; none: at once.
    restart
        Whether it is started again when it dies.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    readiness: str | Callable[[], bool] | None = None
    restart: bool = True


class ProcessStatus(NamedTuple):
    """How a child does; `pid` and `uptime_seconds` are 0 while it does not run."""

    name: str
    state: ProcessState
    pid: int
    uptime_seconds: float
    restarts: int


class WatchedProcess:
    """A child with a thread of its own, which lives as long as the child is wanted.

    The thread starts the child itself: the kernel's death signal follows the starting thread.

    Parameters
    ----------
    spec
        What to run.
    home
        The state folder.
    records
        Where its identity is kept while it runs.
    metrics
        Where restarts are counted.
    """

    def __init__(
        self, spec: ProcessSpec, home: Path, records: Path, metrics: Metrics | None
    ) -> None:
        self._spec = spec
        self._home = home
        self._log = home / "logs" / f"{spec.name}.log"
        self._record = records / f"{spec.name}.json"
        self._metrics = metrics
        self._changed = threading.Condition()
        self._wanted = True
        self._state = ProcessState.STARTING
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._starts = 0
        self._was_ready = False
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name=f"watch {spec.name}", daemon=True)

    def start(self) -> None:
        """Start the child and its watch."""
        self._thread.start()

    def wait_until_ready(self, deadline: float) -> None:
        """Wait until it is ready or `deadline` (monotonic clock) has passed.

        Raises
        ------
        EnvironmentProblem
            If it is not ready then, or gave up; quotes the end of its log.
        """
        settled = {ProcessState.READY, ProcessState.FAILED, ProcessState.ENDED}
        with self._changed:
            self._changed.wait_for(
                lambda: self._state in settled, max(0.0, deadline - time.monotonic())
            )
            state = self._state
        if state is not ProcessState.READY:
            raise EnvironmentProblem(
                f"{self._spec.name} did not become ready ({self._failure or state}). "
                f"Its log {self._log} ends with:\n{last_lines(self._log) or '(nothing)'}\n",
                kept="Recorded decisions and orders are safe.",
                next_step="Mend what the log names, then start again.",
            )

    def ask_to_end(self) -> None:
        """Send SIGTERM and start it no more."""
        with self._changed:
            self._wanted = False
            self._changed.notify_all()
            self._signal(signal.SIGTERM)

    def see_it_end(self, deadline: float) -> None:
        """Wait for its end after `ask_to_end`; kill its process group at `deadline`."""
        if self._thread.ident is None:
            return
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            with self._changed:
                self._signal(signal.SIGKILL)
            self._thread.join()

    def status(self) -> ProcessStatus:
        """Return how it does."""
        with self._changed:
            alive = self._process is not None
            return ProcessStatus(
                name=self._spec.name,
                state=self._state,
                pid=self._process.pid if self._process is not None else 0,
                uptime_seconds=time.monotonic() - self._started_at if alive else 0.0,
                restarts=max(0, self._starts - 1),
            )

    def _run(self) -> None:
        try:
            self._keep_running()
        except OSError as problem:
            self._failure = str(problem)
            self._become(ProcessState.FAILED)

    def _keep_running(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while self._start_one():
            self._watch()
            if not self._was_ready and self._starts >= _STARTS_BEFORE_GIVING_UP:
                self._become(ProcessState.FAILED)
                return
            if not self._spec.restart:
                break
            if time.monotonic() - self._started_at > _STABLE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            self._become(ProcessState.PAUSING)
            with self._changed:
                self._changed.wait_for(lambda: not self._wanted, pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        self._become(ProcessState.ENDED)

    def _start_one(self) -> bool:
        """Start the child unless it is no longer wanted; returns whether it was."""
        with self._changed:
            if not self._wanted:
                return False
            self._process = spawn_child(
                self._spec.command,
                record=self._record,
                log=self._log,
                environment={**os.environ, **self._spec.environment},
            )
            self._started_at = time.monotonic()
            self._starts += 1
            if self._starts > 1 and self._metrics is not None:
                self._metrics.count(Metric.PROCESS_RESTARTS, process=self._spec.name)
        self._become(ProcessState.STARTING)
        return True

    def _watch(self) -> None:
        """Return when the child is dead and nothing of its process group is left."""
        process = self._process
        assert process is not None  # noqa: S101 - only called after a start
        while not _is_dead(process.pid, block=False):
            if self._is_ready():
                self._was_ready = True
                self._become(ProcessState.READY)
                _is_dead(process.pid, block=True)
            else:
                time.sleep(_POLL_SECONDS)
        with self._changed:
            # Not reaped yet, so its number can't have gone to another process group.
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()
            self._process = None
            self._record.unlink(missing_ok=True)

    def _is_ready(self) -> bool:
        readiness = self._spec.readiness
        if readiness is None:
            return True
        try:
            if callable(readiness):
                return readiness()
            answer = ask(readiness)
        except QuorumError:
            return False
        return answer is not None and answer.is_success

    def _signal(self, number: int) -> None:
        """Signal the child; the caller holds the condition, so it is not reaped meanwhile."""
        if self._process is None:
            return
        if number == signal.SIGKILL:
            _signal_group(self._process.pid, number)
        else:
            os.kill(self._process.pid, number)

    def _become(self, state: ProcessState) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()


def _is_dead(pid: int, *, block: bool) -> bool:
    """Whether our child has ended; it is not reaped by asking."""
    options = os.WEXITED | os.WNOWAIT | (0 if block else os.WNOHANG)
    return os.waitid(os.P_PID, pid, options) is not None


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return
