"""From nothing to ready: the embedded servers, and the live plane."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import redis

from adapters.embedded import EmbeddedServers
from adapters.embedded.account import server_account
from adapters.embedded.programs import find_postgres, find_valkey, within_reach
from adapters.ledger import migrate
from adapters.profile import connected
from benchmarks.measure import Row, alternately, median, run, stopwatch
from benchmarks.state import demo_settings, new_home
from domain.voting import AgentId
from orchestration.live_plane import running_live_plane

_BARE_AGENT = "import sys; sys.modules['pandas'] = None; import torch, polars, talib\n"
_BARE_AGENT += "import os, bentoml; bentoml.service, bentoml.api; os._exit(0)"  # no tidying up


def measure() -> list[Row]:
    return [*_servers(), _live_plane()]


def _servers() -> list[Row]:
    with new_home() as ours, new_home() as bare:
        account = server_account()
        postgres = within_reach(find_postgres().folder / "postgres", account, bare)
        valkey = within_reach(find_valkey(), account, bare)
        programs = _Bare(bare, postgres.parent, valkey, account)
        cold = alternately({"ours": lambda: _embedded(ours), "theirs": programs.cold}, rounds=1)
        warm = alternately({"ours": lambda: _embedded(ours), "theirs": programs.warm}, rounds=3)
    return [
        Row(
            figure=f"embedded servers, {name}",
            unit="s",
            ours=median(found["ours"]),
            beside=beside,
            theirs=median(found["theirs"]),
        )
        for name, beside, found in (
            ("cold", "bare initdb, postgres, valkey-server", cold),
            ("warm", "bare postgres, valkey-server", warm),
        )
    ]


def _embedded(home: Path) -> float:
    servers = EmbeddedServers(home)
    with stopwatch() as seconds:
        servers.__enter__()
    servers.__exit__(None, None, None)
    return seconds[0]


class _Bare:
    """The same programs, started by hand, at once, with the settings that they need."""

    def __init__(self, folder: Path, postgres: Path, valkey: Path, account) -> None:
        self._postgres, self._valkey = postgres, valkey
        self._data, self._sockets = folder / "data", Path(tempfile.mkdtemp(dir=folder))
        self._as = {"cwd": "/", "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._data.mkdir()
        if account is not None:
            self._as |= {"user": account.user, "group": account.group, "extra_groups": []}
            for path in (self._data, self._sockets):
                path.chmod(0o700)
                os.chown(path, account.user, account.group)

    def cold(self) -> float:
        command = ("-D", str(self._data), "-U", "quorum", "--auth=trust", "--data-checksums")
        with stopwatch() as seconds:
            subprocess.run([self._postgres / "initdb", *command], check=True, **self._as)
        return seconds[0] + self.warm()

    def warm(self) -> float:
        place = str(self._sockets)
        commands = (
            [self._postgres / "postgres", "-D", self._data, "-k", place, "-c", "listen_addresses="],
            [self._valkey, "--port", "0", "--unixsocket", f"{place}/v", "--dir", place],
        )
        with stopwatch() as seconds:
            started = [subprocess.Popen(command, **self._as) for command in commands]
            _until(lambda: psycopg.connect(host=place, user="quorum", dbname="postgres").close())
            _until(lambda: redis.Redis(unix_socket_path=f"{place}/v").ping())
        for process, signal in zip(started, (2, 15), strict=True):
            process.send_signal(signal)
            process.wait()
        return seconds[0]


def _until(answers) -> None:
    while True:
        try:
            answers()
        except (psycopg.OperationalError, redis.ConnectionError):
            time.sleep(0.005)
        else:
            return


def _live_plane() -> Row:
    settings = demo_settings()
    with connected(settings) as ready:
        migrate(ready.ledger_url.get_secret_value())

        def ours() -> float:
            with stopwatch() as seconds:
                plane = running_live_plane(ready)
                plane.__enter__()
            plane.__exit__(None, None, None)
            return seconds[0]

        found = alternately({"ours": ours, "theirs": _bare_imports}, rounds=3)
    return Row(
        figure="live plane until ready",
        unit="s",
        ours=median(found["ours"]),
        beside="four processes that only import torch, polars, TA-Lib, BentoML",
        theirs=median(found["theirs"]),
    )


def _bare_imports() -> float:
    with stopwatch() as seconds:
        started = [subprocess.Popen([sys.executable, "-c", _BARE_AGENT]) for _ in AgentId]
        for process in started:
            process.wait()
    return seconds[0]


if __name__ == "__main__":
    run(measure)
