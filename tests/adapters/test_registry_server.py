"""The registry on a real MLflow server that dies, and whose disk has no room."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from adapters.model_registry import open_model_registry
from domain.errors import RegistryUnavailable
from domain.settings import Settings
from tests.adapters.test_model_registry import AGENT, model, register

pytestmark = pytest.mark.timeout(180)


class Server:
    """MLflow's own server on a free port, its database and files below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, largest_file: int | None = None) -> None:
        """Start it; no file of it grows beyond `largest_file` bytes, as on a full disk."""
        limit = [] if largest_file is None else ["prlimit", f"--fsize={largest_file}"]
        self._process = subprocess.Popen(
            [
                *limit,
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
                *("--port", str(self.port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{self._folder / 'mlflow.db'}"),
                *("--artifacts-destination", str(self._folder / "artifacts")),
            ],
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for attempt in Retrying(
            stop=stop_after_delay(90),
            wait=wait_fixed(0.1),
            retry=retry_if_exception_type(OSError),
            reraise=True,
        ):
            with attempt, urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    found = Server(tmp_path / "server")
    (tmp_path / "server").mkdir()
    yield found
    found.kill()


@pytest.fixture
def registry(server, tmp_path):
    return open_model_registry(Settings(home=tmp_path / "home", mlflow_tracking_uri=server.uri))


def test_no_room_and_no_server_are_told_and_the_same_registration_succeeds_later(
    server, registry, tmp_path
):
    server.start(largest_file=4_000_000)
    first = register(registry, model(tmp_path / "a", "one"))
    second = model(tmp_path / "b", "2" * 6_000_000)
    with pytest.raises(RegistryUnavailable, match="can't be asked to register") as told:
        register(registry, second)
    assert told.value.kept
    assert told.value.next_step
    assert [v.version for v in registry.versions(AGENT)] == [1]
    server.kill()
    for question in (
        lambda: register(registry, second),
        lambda: registry.fetch(first, tmp_path / "into"),
    ):
        with pytest.raises(RegistryUnavailable):
            question()
    server.start()
    made = register(registry, second)
    assert [v.version for v in registry.versions(AGENT)] == [1, 2]
    there = registry.fetch(made, tmp_path / "into") / "model.safetensors"
    assert there.read_bytes() == (second / "model.safetensors").read_bytes()
