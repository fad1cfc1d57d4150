"""Several processes share one set of servers; the last one to leave ends them."""

import atexit
import os
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Literal, NamedTuple

from adapters.embedded.account import server_account
from adapters.embedded.bus_users import BusUsers
from adapters.embedded.places import Places, prepare_places
from adapters.embedded.postgres import Postgres
from adapters.embedded.server import Server, ServerProcess
from adapters.embedded.valkey import Valkey
from adapters.locks import owned_lock
from adapters.processes.identity import ProcessIdentity
from domain.errors import EnvironmentProblem

ServerName = Literal["postgres", "valkey"]
ALL_SERVERS: tuple[ServerName, ...] = ("postgres", "valkey")

_LOCK_SECONDS = 180.0
_tokens = count(1)


class Endpoints(NamedTuple):
    """Where the servers are reached; empty for one that was not asked for."""

    bus_url: str
    ledger_url: str


class EmbeddedServers:
    """The servers of one state folder, held for as long as the context lasts.

    Entering starts them, or adopts those that another process started or a killed one left
    behind; leaving ends them unless another living process holds them. A holder is a file with
    a pid and its creation time, so one that was killed does not count. SIGTERM ends the block
    like Ctrl-C does, unless the program handles it itself.

    Parameters
    ----------
    home
        The state folder.
    servers
        Which to start.
    """

    def __init__(self, home: Path, servers: Sequence[ServerName] = ALL_SERVERS) -> None:
        self._home = home
        self._names = servers
        self._hold: _Hold | None = None

    def __enter__(self) -> Endpoints:
        places = prepare_places(self._home, server_account())
        kinds = _kinds(places)
        self._hold = _Hold(places, os.getpid(), places.holders / f"{os.getpid()}-{next(_tokens)}")
        atexit.register(self._leave)
        _end_cleanly_on_sigterm()
        try:
            with _lock(places):
                ProcessIdentity.own().write(self._hold.file)
                for name in self._names:
                    ServerProcess(kinds[name], places).ensure()
        except BaseException:
            self._leave()
            raise
        return Endpoints(
            bus_url=kinds["valkey"].url if "valkey" in self._names else "",
            ledger_url=kinds["postgres"].url if "postgres" in self._names else "",
        )

    def __exit__(self, *_: object) -> None:
        self._leave()

    def ensure(self) -> None:
        """Start again what has died meanwhile."""
        if self._hold is None:
            return
        places = self._hold.places
        with _lock(places):
            for name in self._names:
                ServerProcess(_kinds(places)[name], places).ensure()

    def _leave(self) -> None:
        hold, self._hold = self._hold, None
        atexit.unregister(self._leave)
        # A forked child inherits this object but holds nothing.
        if hold is None or hold.pid != os.getpid() or not hold.file.exists():
            return
        with _lock(hold.places):
            hold.file.unlink(missing_ok=True)
            if not _living_holders(hold.places):
                _end_all(hold.places)


def erase(home: Path) -> None:
    """End what a killed run left running below `home`, and remove the servers' data for good.

    Raises
    ------
    EnvironmentProblem
        If a living process holds the servers.
    """
    if not (home / "servers").exists():
        return
    places = prepare_places(home, server_account())
    with _lock(places):
        if _living_holders(places):
            raise EnvironmentProblem(
                f"Another process uses the databases in {home}.",
                next_step="Stop it first (`quorum down`), or set QUORUM_HOME to another folder.",
            )
        _end_all(places)
        for folder in (places.state, places.sockets):
            shutil.rmtree(folder, ignore_errors=True)


class _Hold(NamedTuple):
    places: Places
    pid: int
    file: Path


def _kinds(places: Places) -> dict[ServerName, Server]:
    return {"postgres": Postgres(places), "valkey": Valkey(places)}


def _lock(places: Places) -> AbstractContextManager[None]:
    return owned_lock(
        places.control / "lock",
        patience_seconds=_LOCK_SECONDS,
        purpose="starting or ending the servers",
    )


def _living_holders(places: Places) -> int:
    """Count the holders that live, and forget the others."""
    living = 0
    for file in places.holders.iterdir():
        identity = ProcessIdentity.read(file)
        if identity is not None and identity.alive():
            living += 1
        else:
            file.unlink(missing_ok=True)
    return living


def _end_all(places: Places) -> None:
    """Ask all servers at once, then wait for each."""
    asked = [
        (p, p.ask_to_end()) for p in (ServerProcess(k, places) for k in _kinds(places).values())
    ]
    for process, identity in asked:
        process.see_it_end(identity)
    BusUsers.forget(places.control)


def _end_cleanly_on_sigterm() -> None:
    """Turn SIGTERM into SystemExit, so that contexts unwind, unless somebody handles it."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
