"""The servers' life: shared, outlived, killed, recovered, ended."""

import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from adapters.embedded import EmbeddedServers, Endpoints, postgres, server, servers
from adapters.locks import owned_lock
from adapters.processes.identity import ProcessIdentity
from domain.errors import EnvironmentProblem

HOLDER = """
import signal, sys
from pathlib import Path
from adapters.embedded import EmbeddedServers
signal.pthread_sigmask(signal.SIG_SETMASK, [])  # whatever the test run was started with:
signal.signal(signal.SIGTERM, signal.SIG_DFL)   # one in the background ignores SIGINT
signal.signal(signal.SIGINT, signal.default_int_handler)
with EmbeddedServers(Path(sys.argv[1])):
    print("held", flush=True)
    try:
        sys.stdin.read()
    finally:
        print("leaving", flush=True)
"""


class Holder:
    """Another process that holds the servers until it is told to leave, or killed."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "held\n"

    def end(self, number: int | None = None) -> int:
        """Let it leave, or signal it; returns its exit status."""
        if number is not None:
            self.process.send_signal(number)
            self.process.wait()  # before its input ends, which lets it leave by itself
        self.process.communicate()
        return self.process.returncode


def identities(home: Path) -> dict[str, ProcessIdentity | None]:
    return {
        name: ProcessIdentity.read(home / "servers" / f"{name}.json")
        for name in ("postgres", "valkey")
    }


def connect(endpoints: Endpoints) -> psycopg.Connection:
    return psycopg.connect(endpoints.ledger_url.replace("+psycopg", ""), autocommit=True)


def address(endpoints: Endpoints) -> str:
    """Return where Valkey listens, without the password, which is new with each start."""
    return endpoints.bus_url.rpartition("@")[2]


def leave_a_mark(endpoints: Endpoints) -> None:
    with connect(endpoints) as connection:
        connection.execute("CREATE TABLE marks (mark int)")
        connection.execute("INSERT INTO marks VALUES (7)")
    with redis.Redis.from_url(endpoints.bus_url) as client:
        client.set("mark", "7")


def ledger_mark(endpoints: Endpoints) -> int:
    with connect(endpoints) as connection:
        return connection.execute("SELECT mark FROM marks").fetchone()[0]


def bus_mark(endpoints: Endpoints) -> bytes | None:
    with redis.Redis.from_url(endpoints.bus_url) as client:
        return client.get("mark")


def test_servers_are_durable_private_and_end_with_the_block(home: Path) -> None:
    with EmbeddedServers(home) as endpoints:
        started = identities(home)
        assert all(identity.alive() for identity in started.values())
        with connect(endpoints) as connection:
            asked = ["fsync", "synchronous_commit", "full_page_writes", "data_checksums"]
            values = [connection.execute(f"SHOW {name}").fetchone()[0] for name in asked]
            assert values == ["on"] * 4
            assert connection.execute("SHOW max_prepared_transactions").fetchone()[0] != "0"
        for identity in started.values():
            process = psutil.Process(identity.pid)
            assert process.uids().effective != 0
            assert not [c for c in process.net_connections() if c.laddr]
            assert os.getsid(identity.pid) == identity.pid != os.getsid(0)
        folder = (home / "servers" / "state").stat()
        assert folder.st_mode & 0o077 == 0
        leave_a_mark(endpoints)
    assert not any(identity.alive() for identity in started.values())
    assert not list((home / "servers" / "holders").iterdir())
    with EmbeddedServers(home) as endpoints:
        assert (ledger_mark(endpoints), bus_mark(endpoints)) == (7, b"7")


def test_only_what_is_asked_for_is_started(home: Path) -> None:
    with EmbeddedServers(home, ["valkey"]) as endpoints:
        assert endpoints.ledger_url == ""
        assert identities(home)["postgres"] is None


def test_the_last_holder_ends_the_servers(home: Path) -> None:
    other = Holder(home)
    started = identities(home)
    with EmbeddedServers(home) as endpoints:
        assert identities(home) == started
        assert other.end() == 0
        assert bus_mark(endpoints) is None
        with EmbeddedServers(home):
            pass
        assert all(identity.alive() for identity in started.values())
    assert not any(identity.alive() for identity in started.values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signalled_holder_leaves_cleanly(home: Path, number: int) -> None:
    holder = Holder(home)
    started = identities(home)
    assert holder.end(number) in {128 + number, -number}
    assert not any(identity.alive() for identity in started.values())
    assert not list((home / "servers" / "holders").iterdir())


def test_a_killed_holder_leaves_servers_that_are_adopted_and_ended(home: Path) -> None:
    holder = Holder(home)
    started = identities(home)
    holder.end(signal.SIGKILL)
    with EmbeddedServers(home):
        assert identities(home) == started
    assert not any(identity.alive() for identity in started.values())


def test_killed_servers_are_restarted_and_recover(home: Path) -> None:
    holder = Holder(home)
    with EmbeddedServers(home) as endpoints:
        leave_a_mark(endpoints)
        started = identities(home)
        holder.end(signal.SIGKILL)
        for identity in started.values():
            identity.signal(signal.SIGKILL)
        with EmbeddedServers(home) as again:
            assert again == endpoints
            assert ledger_mark(again) == 7
            present = identities(home)
            assert all(present[name] != started[name] for name in started)


def test_a_server_that_hangs_is_replaced(home: Path, monkeypatch) -> None:
    monkeypatch.setattr(server, "_ADOPTION_SECONDS", 0.5)
    with EmbeddedServers(home, ["valkey"]) as endpoints:
        hanging = identities(home)["valkey"]
        hanging.signal(signal.SIGSTOP)
        with EmbeddedServers(home, ["valkey"]):
            assert bus_mark(endpoints) is None
        assert not hanging.alive()


def test_a_server_too_busy_to_answer_is_asked_again(home: Path, monkeypatch, caplog) -> None:
    connect_to_server, calls = psycopg.connect, count()

    def every_other_one_times_out(**options) -> psycopg.Connection:
        if next(calls) % 2 == 0:
            raise psycopg.errors.ConnectionTimeout("connection timeout expired")
        return connect_to_server(**options)

    monkeypatch.setattr(postgres.psycopg, "connect", every_other_one_times_out)
    monkeypatch.setattr(server, "_SLOW_SECONDS", 0.0)
    with EmbeddedServers(home, ["postgres"]) as endpoints:
        monkeypatch.undo()
        connect(endpoints).close()
    assert "postgres" in caplog.text
    assert next(calls) > 1


def test_ensure_starts_again_what_died(home: Path) -> None:
    embedded = EmbeddedServers(home, ["valkey"])
    with embedded as endpoints:
        identities(home)["valkey"].end(signal.SIGKILL, 10)
        embedded.ensure()
        assert bus_mark(endpoints) is None
    embedded.ensure()
    assert identities(home)["valkey"] is None


def test_a_pid_file_that_names_another_program_is_stale(home: Path) -> None:
    with EmbeddedServers(home, ["postgres"]):
        pass
    pid_file = home / "servers" / "state" / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{pid_file.parent}\n")
    with EmbeddedServers(home, ["postgres"]):
        pass


def test_a_postgres_of_somebody_else_on_the_data_is_left_alone(home: Path) -> None:
    with EmbeddedServers(home, ["postgres"]):
        present = identities(home)["postgres"]
        (home / "servers" / "postgres.json").unlink()
        with (
            pytest.raises(EnvironmentProblem, match=f"did not start \\(pid {present.pid}\\)"),
            EmbeddedServers(home, ["postgres"]),
        ):
            pass
        assert present.alive()
        present.write(home / "servers" / "postgres.json")


def test_a_damaged_bus_file_is_set_aside(home: Path, caplog) -> None:
    with (
        EmbeddedServers(home, ["valkey"]) as endpoints,
        redis.Redis.from_url(endpoints.bus_url) as client,
    ):
        client.set("mark", "7")
    (file,) = (home / "servers" / "state" / "valkey").rglob("*.incr.aof")
    file.write_bytes(b"*3\r\n$3\r\nSET\r\ngarbage" + file.read_bytes())
    with EmbeddedServers(home, ["valkey"]) as endpoints:
        assert bus_mark(endpoints) is None
    assert "damaged" in caplog.text
    assert (home / "servers" / "state" / "valkey.damaged-1").is_dir()


def test_a_server_that_does_not_start_quotes_its_log(home: Path) -> None:
    with EmbeddedServers(home, ["postgres"]):
        pass
    (home / "servers" / "state" / "postgres" / "postgresql.conf").write_text("nonsense = 1\n")
    with (
        pytest.raises(EnvironmentProblem, match="unrecognized configuration parameter") as told,
        EmbeddedServers(home, ["postgres"]),
    ):
        pass
    assert str(home / "logs" / "postgres.log") in told.value.what
    assert not list((home / "servers" / "holders").iterdir())


def test_a_lock_that_is_kept_is_one_clear_error(home: Path, monkeypatch) -> None:
    with EmbeddedServers(home, ["valkey"]):
        pass
    monkeypatch.setattr(servers, "_LOCK_SECONDS", 0.1)
    with (
        owned_lock(home / "servers" / "lock", patience_seconds=0, purpose="testing"),
        pytest.raises(EnvironmentProblem, match=f"Process {os.getpid()} is starting or ending"),
        EmbeddedServers(home, ["valkey"]),
    ):
        pass


def test_a_path_too_long_for_a_socket_gets_a_short_one(home: Path) -> None:
    deep = home / ("long" * 25)
    with EmbeddedServers(deep) as endpoints:
        sockets = (deep / "servers" / "sockets").readlink()
        assert str(sockets) in endpoints.bus_url
        assert bus_mark(endpoints) is None
    with EmbeddedServers(deep, ["valkey"]) as again:
        assert address(again) == address(endpoints)
    sockets.rmdir()
