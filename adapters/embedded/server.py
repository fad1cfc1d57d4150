"""One server's life: adopted or started, on record before it runs, ended."""

import logging
import os
import time
from contextlib import suppress
from typing import Protocol

from adapters.embedded.places import Places
from adapters.processes.identity import ProcessIdentity
from adapters.processes.log_files import last_lines
from adapters.processes.spawn import spawn_detached
from domain.errors import EnvironmentProblem

_START_SECONDS = 120.0
_ADOPTION_SECONDS = 30.0  # a busy machine's server is slow to answer, and not to be restarted
_SLOW_SECONDS = 5.0
_END_SECONDS = 30.0
_POLL_SECONDS = 0.02
_STARTS = 5
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

_logger = logging.getLogger(__name__)


class Server(Protocol):
    """What differs between the servers."""

    name: str
    end_signal: int

    @property
    def url(self) -> str:
        """Where it is reached."""
        ...

    def prepare(self) -> list[str]:
        """Make its folders and return the command that starts it."""
        ...

    def answers(self) -> bool:
        """Whether it serves requests now; finishes the set-up that needs a running server."""
        ...

    def mend(self, log: str) -> bool:
        """Mend what kept it from starting, as its log tells; returns whether to try again."""
        ...


class ServerProcess:
    """The one process of a server, whoever started it."""

    def __init__(self, server: Server, places: Places) -> None:
        self._server = server
        self._account = places.account
        self._record = places.control / f"{server.name}.json"
        self._log = places.logs / f"{server.name}.log"

    def ensure(self) -> None:
        """Adopt it if it runs and answers; else end what is left of it and start it.

        Raises
        ------
        EnvironmentProblem
            If it does not start; quotes the end of its log.
        """
        left = ProcessIdentity.read(self._record)
        if left is None or not left.alive() or not self._adopt(left):
            self._start()

    def ask_to_end(self) -> ProcessIdentity | None:
        """Signal it; returns the process to wait for, if one was running."""
        identity = ProcessIdentity.read(self._record)
        return identity if identity and identity.signal(self._server.end_signal) else None

    def see_it_end(self, identity: ProcessIdentity | None) -> None:
        """Wait until it is gone after `ask_to_end`; kill it when it takes too long."""
        if identity is not None:
            identity.end(self._server.end_signal, _END_SECONDS)
            # Where we are process 1 of a container, it has become our child.
            with suppress(ChildProcessError):
                os.waitpid(identity.pid, os.WNOHANG)
        self._record.unlink(missing_ok=True)

    def _adopt(self, left: ProcessIdentity) -> bool:
        if self._wait_for_answer(left, _ADOPTION_SECONDS):
            return True
        _logger.warning("%s (pid %d) does not answer; restarting it.", self._server.name, left.pid)
        left.end(self._server.end_signal, _ADOPTION_SECONDS)
        return False

    def _start(self) -> None:
        quoted = ""
        for _ in range(_STARTS):
            command = self._server.prepare()
            before = self._log.stat().st_size if self._log.exists() else 0
            identity = spawn_detached(
                command,
                record=self._record,
                log=self._log,
                environment=_ENVIRONMENT,
                account=self._account,
            )
            if self._wait_for_answer(identity, _START_SECONDS):
                return
            identity.end(self._server.end_signal, _ADOPTION_SECONDS)
            self._record.unlink(missing_ok=True)
            quoted = last_lines(self._log, since=before)
            if not self._server.mend(quoted):
                break
        raise EnvironmentProblem(
            f"{self._server.name} does not start; its log {self._log} ends with:\n{quoted}\n",
            kept="Existing data is untouched.",
            next_step="Mend what the log names, then start again.",
        )

    def _wait_for_answer(self, identity: ProcessIdentity, seconds: float) -> bool:
        began, attempts = time.monotonic(), 0
        while identity.alive() and (waited := time.monotonic() - began) < seconds:
            attempts += 1
            if self._server.answers():
                if waited > _SLOW_SECONDS:
                    _logger.warning(
                        "%s (pid %d) answered after %.0f s, at attempt %d.",
                        self._server.name,
                        identity.pid,
                        waited,
                        attempts,
                    )
                return True
            time.sleep(_POLL_SECONDS)
        return False
