"""The supervisor with real children."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from adapters.processes import ProcessSpec, ProcessState, Supervisor
from adapters.processes import supervisor as processes
from adapters.processes.identity import ProcessIdentity
from domain.errors import EnvironmentProblem
from domain.metrics import Metric

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.serve_forever()
"""
STUBBORN = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(worker.pid))
time.sleep(60)
"""
SUPERVISING = """
import sys, time
from pathlib import Path
from adapters.processes import ProcessSpec, Supervisor
supervisor = Supervisor(Path(sys.argv[1]))
supervisor.add(ProcessSpec("sleeper", ["sleep", "60"]))
supervisor.add(ProcessSpec("deaf", ["sh", "-c", "trap '' TERM; echo deaf; sleep 60"],
    readiness=lambda: "deaf" in Path(sys.argv[1], "logs", "deaf.log").read_text()))
supervisor.start()
supervisor.wait_until_ready()
print(*(status.pid for status in supervisor.status()), flush=True)
time.sleep(60)
"""


class Counter:
    """Metrics that wake whoever waits for a restart."""

    def __init__(self) -> None:
        self.restarted = threading.Event()
        self.counted: list[tuple[Metric, dict[str, str]]] = []

    def count(self, metric: Metric, amount: float = 1, **labels: str) -> None:
        assert amount == 1
        self.counted.append((metric, labels))
        self.restarted.set()

    def gauge(self, metric: Metric, value: float, **labels: str) -> None: ...

    def observe(self, metric: Metric, value: float, **labels: str) -> None: ...


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path) as supervisor:
        yield supervisor


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_children_start_become_ready_and_stop(supervisor: Supervisor, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/readyz"
    supervisor.add(ProcessSpec("server", [sys.executable, "-c", SERVER, str(port)], readiness=url))
    supervisor.add(
        ProcessSpec("greeter", ["sh", "-c", 'echo "$GREETING"; sleep 60'], {"GREETING": "hello"})
    )
    supervisor.start()
    supervisor.wait_until_ready(30)
    assert httpx.get(url).status_code == 200
    server, greeter = supervisor.status()
    assert (server.name, server.state, server.restarts) == ("server", ProcessState.READY, 0)
    assert os.getsid(server.pid) == server.pid != greeter.pid
    assert server.uptime_seconds > 0
    identities = [ProcessIdentity.of(status.pid) for status in (server, greeter)]
    supervisor.stop()
    supervisor.stop()
    assert not any(identity.alive() for identity in identities)
    assert {status.state for status in supervisor.status()} == {ProcessState.ENDED}
    assert {status.pid for status in supervisor.status()} == {0}
    assert (tmp_path / "logs" / "greeter.log").read_text() == "hello\n"
    assert not list((tmp_path / "processes").glob("*.json"))


def test_a_child_that_dies_is_started_again_and_counted(tmp_path: Path) -> None:
    metrics = Counter()
    with Supervisor(tmp_path, metrics) as supervisor:
        supervisor.add(ProcessSpec("sleeper", ["sleep", "60"]))
        supervisor.start()
        supervisor.wait_until_ready(30)
        first = supervisor.status()[0].pid
        os.kill(first, signal.SIGKILL)
        assert metrics.restarted.wait(30)
        supervisor.wait_until_ready(30)
        status = supervisor.status()[0]
        assert status.restarts == 1
        assert status.pid != first
        assert metrics.counted == [(Metric.PROCESS_RESTARTS, {"process": "sleeper"})]


def test_a_child_that_never_gets_ready_is_an_error_that_quotes_its_log(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.add(
        ProcessSpec("broken", ["sh", "-c", "echo no such model; exit 3"], readiness=lambda: False)
    )
    supervisor.start()
    with pytest.raises(EnvironmentProblem, match=r"broken did not become ready \(failed\)") as told:
        supervisor.wait_until_ready(30)
    assert "no such model" in told.value.what
    assert str(tmp_path / "logs" / "broken.log") in told.value.what


def test_waiting_is_bounded(supervisor: Supervisor) -> None:
    supervisor.add(ProcessSpec("slow", ["sleep", "60"], readiness="http://127.0.0.1:1/readyz"))
    supervisor.start()
    with pytest.raises(EnvironmentProblem, match=r"slow did not become ready \(starting\)"):
        supervisor.wait_until_ready(0.3)


def test_a_missing_program_is_told(supervisor: Supervisor) -> None:
    supervisor.add(ProcessSpec("ghost", ["/no/such/program"], readiness=lambda: False))
    supervisor.start()
    with pytest.raises(EnvironmentProblem, match="No such file"):
        supervisor.wait_until_ready(30)


def test_a_child_without_restart_just_ends(supervisor: Supervisor) -> None:
    supervisor.add(ProcessSpec("once", ["true"], readiness=lambda: False, restart=False))
    supervisor.start()
    with pytest.raises(EnvironmentProblem, match="ended"):
        supervisor.wait_until_ready(30)
    assert supervisor.status()[0].restarts == 0


def test_a_child_that_ignores_sigterm_is_killed_with_its_workers(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    told = tmp_path / "worker"
    supervisor.add(
        ProcessSpec(
            "stubborn",
            [sys.executable, "-c", STUBBORN, str(told)],
            readiness=lambda: told.exists() and told.read_text() != "",
        )
    )
    supervisor.start()
    supervisor.wait_until_ready(30)
    worker = ProcessIdentity.of(int(told.read_text()))
    supervisor.stop(patience_seconds=0.2)
    assert worker.wait_until_gone(10)


def test_children_of_a_killed_supervisor_end_with_it_or_at_the_next_start(
    tmp_path: Path, monkeypatch
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISING, str(tmp_path)], stdout=subprocess.PIPE
    ) as killed:
        sleeper, deaf = (ProcessIdentity.of(int(p)) for p in killed.stdout.readline().split())
        killed.kill()
    assert sleeper.wait_until_gone(10)
    assert deaf.alive()
    monkeypatch.setattr(processes, "_ORPHAN_SECONDS", 0.2)
    with Supervisor(tmp_path) as supervisor:
        supervisor.start()
        assert deaf.wait_until_gone(10)


def test_one_supervisor_a_state_folder(supervisor: Supervisor, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(processes, "_LOCK_SECONDS", 0.1)
    supervisor.start()
    with pytest.raises(EnvironmentProblem, match=f"Process {os.getpid()} is running Quorum here"):
        Supervisor(tmp_path).start()


def test_a_folder_that_is_not_writable_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(EnvironmentProblem, match="not writable"):
        Supervisor(tmp_path / "home").start()
