"""A real RabbitMQ in a private folder, for tests and benchmarks: started, killed, started again."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
CONTROL = PROGRAM.with_name("rabbitmqctl")
MISSING = "RabbitMQ is not installed (apt-get install rabbitmq-server)"
_START_SECONDS = 90.0


def installed() -> bool:
    return PROGRAM.exists() and shutil.which("epmd") is not None


class RabbitServer:
    """One node with its own port mapper; nothing of it listens beyond loopback.

    The folder holds the node's data, so a server that was killed starts again with them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._node_port, self._mapper_port = _free_ports(3)
        self._mapper: subprocess.Popen[bytes] | None = None
        self._node: subprocess.Popen[bytes] | None = None

    @property
    def _name(self) -> str:
        return f"quorum{self._port}@localhost"

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Start, and return when clients are answered."""
        self._folder.joinpath("plugins").write_text("[].\n")
        environment = self._environment()
        if self._mapper is None:  # else the node starts one that outlives it
            self._mapper = subprocess.Popen(
                ["epmd", "-port", f"{self._mapper_port}"], env=environment
            )
        with self._folder.joinpath("output").open("ab") as output:
            self._node = subprocess.Popen(
                [PROGRAM],
                env=environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._wait_until_it_answers(self._node)

    def settle(self) -> None:
        """Write to the disk which queues there are.

        RabbitMQ 3.10 does so minutes after a queue was made, or when it is stopped (ra's directory
        of names is a dets file); if it is killed earlier, a quorum queue comes back without a
        leader, and no stream comes back.
        """
        answer = subprocess.run(
            [
                CONTROL,
                "--node",
                self._name,
                "--quiet",
                "eval",
                "[dets:sync(T) || T <- dets:all()].",
            ],
            env=self._environment(),
            check=False,
            capture_output=True,
            text=True,
        )
        if answer.returncode != 0:
            raise RuntimeError(f"RabbitMQ was asked to settle: {answer.stdout}{answer.stderr}")

    def kill(self) -> None:
        """SIGKILL."""
        assert self._node is not None
        self._node.kill()
        self._node.wait()

    def end(self) -> None:
        """End everything that was started."""
        for process in (self._node, self._mapper):
            if process is not None:
                process.kill()
                process.wait()

    def _environment(self) -> dict[str, str]:
        folder = self._folder
        return {
            "PATH": os.environ["PATH"],
            "HOME": f"{folder}",
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": f"{self._mapper_port}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": f"{self._port}",
            "RABBITMQ_DIST_PORT": f"{self._node_port}",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{folder}/none",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/none",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
            # An idle scheduler sleeps instead of spinning: the cores are the tests'.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
            "RUNNING_UNDER_SYSTEMD": "true",  # the start script becomes the node
        }

    def _wait_until_it_answers(self, node: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if node.poll() is not None or time.monotonic() > deadline:
                self.end()
                output = self._folder.joinpath("output").read_text(errors="replace")
                raise RuntimeError(f"RabbitMQ did not start:\n{output[-4000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self._port), timeout=5) as client,
        ):
            client.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(client.recv(1))
        return False


@contextmanager
def rabbitmq_running() -> Iterator[RabbitServer]:
    """Start a server in a folder of its own; end it and remove the folder behind the block."""
    folder = Path(tempfile.mkdtemp(prefix="quorum-rabbitmq-"))
    server = RabbitServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
