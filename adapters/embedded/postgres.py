"""A PostgreSQL cluster of our own: durable, reached by a Unix socket only."""

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from adapters.embedded.places import Places
from adapters.embedded.programs import find_postgres, within_reach
from domain.errors import EnvironmentProblem

_PORT = 5432
_NAME = "quorum"
_SETTINGS = {
    "listen_addresses": "",
    "port": str(_PORT),
    # Whoever may open the socket is trusted: the servers' account and root.
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_prepared_transactions": "16",
    "jit": "off",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}
_OLD_SERVER_IS_ENDING = ("pre-existing shared memory block", "could not bind Unix address")
_CONNECT_SECONDS = 2
_NO_PID = 2**31 - 1  # above any system's largest


class Postgres:
    """The ledger's server; a `Server`.

    Its data folder appears whole or not at all: it is initialised under another name. The
    user and the database are named ``quorum``.
    """

    name: str = "postgres"
    end_signal: int = signal.SIGINT  # "fast": open transactions are rolled back, then a checkpoint

    def __init__(self, places: Places) -> None:
        self._places = places
        self._data = places.state / "postgres"
        self.url = (
            f"postgresql+psycopg://{_NAME}@/{_NAME}"
            f"?host={quote(str(places.sockets), safe='')}&port={_PORT}"
        )

    def prepare(self) -> list[str]:
        """Initialise the data folder if there is none and return the server's command."""
        folder = self._programs()
        if self._data.exists():
            self._disown_stale_pid_file()
            # Its lock names the same pid; in a folder that is only ours, the data's lock decides.
            (self._places.sockets / f".s.PGSQL.{_PORT}.lock").unlink(missing_ok=True)
        else:
            self._initialise(folder)
        settings = {**_SETTINGS, "unix_socket_directories": f'"{self._places.sockets}"'}
        flags = [part for item in settings.items() for part in ("-c", "=".join(item))]
        return [str(folder / "postgres"), "-D", str(self._data), *flags]

    def answers(self) -> bool:
        """Whether a query succeeds and our database is there, which is made where it is not.

        A server that recovers from a crash does not answer, nor one whose machine is too busy.
        """
        try:
            with self._connect() as connection:
                _make_database(connection)
                return True
        except psycopg.Error:
            return False

    def mend(self, log: str) -> bool:
        """Wait for what a killed server left: its children end within moments."""
        if any(sign in log for sign in _OLD_SERVER_IS_ENDING):
            time.sleep(0.5)
            return True
        return False

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self._places.sockets),
            port=_PORT,
            user=_NAME,
            dbname="postgres",
            connect_timeout=_CONNECT_SECONDS,
            autocommit=True,
        )

    def _programs(self) -> Path:
        version_file = self._data / "PG_VERSION"
        version = int(version_file.read_text()) if version_file.exists() else None
        folder = find_postgres(version).folder
        copies = self._places.state / "programs"
        self._places.give_to_account(copies)
        return within_reach(folder / "postgres", self._places.account, copies).parent

    def _initialise(self, folder: Path) -> None:
        for draft in self._places.state.glob("initdb-*"):
            shutil.rmtree(draft, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix="initdb-", dir=self._places.state))
        self._places.give_to_account(draft)
        account = self._places.account
        options = ("--no-locale", "--encoding=UTF8", "--auth=trust", "--data-checksums")
        answer = subprocess.run(  # noqa: S603 - no shell, our own arguments
            [folder / "initdb", "-D", draft, f"--username={_NAME}", "--no-instructions", *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            user=account.user if account else None,
            group=account.group if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
        )
        if answer.returncode != 0:
            shutil.rmtree(draft, ignore_errors=True)
            raise EnvironmentProblem(
                f"PostgreSQL could not set up its data folder: {answer.stderr.strip()}",
                next_step="Mend what it names, then start again.",
            )
        draft.rename(self._data)

    def _disown_stale_pid_file(self) -> None:
        """Take a killed server's pid out of its file when PostgreSQL would think it is alive.

        That is so when the pid went to another program, or to a zombie that nobody reaps. The
        rest of the file stays: by it PostgreSQL notices children of the killed server that are
        still writing.
        """
        pid_file = self._data / "postmaster.pid"
        try:
            pid, *rest = pid_file.read_text().splitlines()
            process = psutil.Process(int(pid))
        except (FileNotFoundError, psutil.NoSuchProcess, ValueError):
            return
        if _serves(process, self._data):
            raise EnvironmentProblem(
                f"A PostgreSQL server that Quorum did not start (pid {pid}) uses {self._data}.",
                kept="The data is untouched.",
                next_step=f"End it (`kill -INT {pid}`), then start again.",
            )
        pid_file.write_text("\n".join((str(_NO_PID), *rest, "")))


def _make_database(connection: psycopg.Connection) -> None:
    query = "SELECT 1 FROM pg_database WHERE datname = %s"
    if connection.execute(query, (_NAME,)).fetchone() is None:
        connection.execute(f"CREATE DATABASE {_NAME}")


def _serves(process: psutil.Process, data: Path) -> bool:
    try:
        return str(data) in process.cmdline()
    except psutil.ZombieProcess:
        return False
