"""The live plane's processes on servers of their own, to be killed at will."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import SecretStr

from adapters.embedded import EmbeddedServers
from adapters.ledger import migrate
from adapters.processes.identity import ProcessIdentity
from adapters.processes.probe import ask
from adapters.processes.run_file import find_process
from domain.settings import PlatformSettings, Profile, Settings, as_environment
from domain.voting import AgentId
from tests.rabbitmq_server import RabbitServer

ROOT = Path(__file__).parents[2]
PROCESSES = ("consensus-a", "consensus-b", "gateway-a", "gateway-b", "voter")
#: What reads the record: the projector with its standby, and two doors for persons.
READERS = ("projections-a", "projections-b", "review-a", "review-b")
#: The agents' own processes, in place of the voter.
AGENTS = tuple(f"agent.{agent}" for agent in AgentId)
SERVERS = ("valkey", "postgres")
RABBITMQ = "rabbitmq"

_MODULES = {
    "consensus": "consensus.service",
    "gateway": "trading.service",
    "voter": "tests.faults.voter",
    "projections": "orchestration.projector",
    "review": "orchestration.reviews.service",
}
_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.02


def _module(name: str) -> tuple[str, ...]:
    kind = name.partition("-")[0]
    return ("serving", kind.removeprefix("agent.")) if name in AGENTS else (_MODULES[kind],)


def until(condition: Callable[[], object], what: str, seconds: float = _PATIENCE_SECONDS) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(_POLL_SECONDS)


class Plane:
    """Two consensus processes and two gateways (one of each a standby), and four agents.

    Parameters
    ----------
    home
        Its folder; the servers' account can reach it.
    servers
        Running servers.
    settings
        Connected to them.
    rabbitmq
        The bus, where it is not Valkey.
    """

    def __init__(
        self,
        home: Path,
        servers: EmbeddedServers,
        settings: Settings,
        rabbitmq: RabbitServer | None = None,
    ) -> None:
        self.home = home
        self.settings = settings
        self.kills: dict[str, int] = {}
        self._servers = servers
        self._rabbitmq = rabbitmq
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str, settings: Settings | None = None) -> None:
        """Start processes, under other settings where given."""
        for name in names:
            own = self.own_settings(name, settings)
            with self._output(name).open("ab") as output:
                self._running[name] = subprocess.Popen(
                    [sys.executable, "-m", *_module(name)],
                    cwd=ROOT,
                    env={**os.environ, "PYTHONPATH": str(ROOT), **as_environment(own)},
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )

    def kill(self, name: str) -> None:
        """End a process or a server as by SIGKILL, and start it again."""
        if self._rabbitmq is not None and name == RABBITMQ:
            self._rabbitmq.settle()  # a queue that it has not noted yet would not come back
            self._rabbitmq.kill()
            self._rabbitmq.start()
        elif name in SERVERS:
            self.kill_server(name)
            self._servers.ensure()
        else:
            self.end(name)
            self.start(name)
        self.kills[name] = self.kills.get(name, 0) + 1

    def kill_server(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End a server, and see that it is gone."""
        identity = ProcessIdentity.read(self.home / "servers" / f"{name}.json")
        assert identity is not None, f"{name} does not run"
        identity.signal(number)
        until(lambda: not identity.alive(), f"the end of {name}")

    def start_servers(self) -> None:
        """Start those that do not run."""
        self._servers.ensure()

    def end(self, name: str) -> None:
        """End a process as by SIGKILL."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Signal a process."""
        self._running[name].send_signal(number)

    def revive(self) -> None:
        """Start again what ended by itself (a process that was fenced)."""
        ended = [name for name, process in self._running.items() if process.poll() is not None]
        self.start(*ended)

    def problems(self, name: str) -> str | None:
        """Return what a process says that it lacks, or None while it says nothing."""
        found = find_process(self.folder(name), name.partition("-")[0])
        if found is None or found.pid != self._running[name].pid:
            return None
        answer = ask(f"{found.url}/readyz")
        return None if answer is None else answer.text

    def url(self, name: str) -> str | None:
        """Return where a process answers, or None while it does not run."""
        found = find_process(self.folder(name), name.partition("-")[0])
        return found.url if found is not None else None

    def ready(self, name: str) -> bool:
        """Whether a process works alone, on every partition."""
        told = self.problems(name)
        return told is not None and "recovering" not in told

    @property
    def works(self) -> bool:
        """Whether a gateway works, and each partition has a consensus process that does."""
        gateways = [self.problems(name) for name in self._running if name.startswith("gateway")]
        deciding = [self.problems(name) for name in self._running if name.startswith("consensus")]
        return any(told and "recovering" not in told for told in gateways) and all(
            any(told and f"partition {partition}:" not in told for told in deciding)
            for partition in range(self.settings.partitions)
        )

    def ended(self, name: str) -> int | None:
        """Return a process's exit code, if it ended."""
        return self._running[name].poll()

    def wait(self) -> None:
        """Wait until it works."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self.works:
            told = {name: self.problems(name) for name in self._running}
            assert time.monotonic() < deadline, f"it never worked: {told}\n{self.output()}"
            time.sleep(_POLL_SECONDS)

    def end_all(self) -> None:
        """End all processes; the servers end with their block."""
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()
        self._running.clear()

    def output(self, names: Sequence[str] = (*PROCESSES, *READERS, *AGENTS)) -> str:
        """Return the last words of each process, for a readable failure."""
        return "\n".join(
            f"--- {name}\n{self._output(name).read_text()[-1500:]}"
            for name in names
            if self._output(name).exists()
        )

    def own_settings(self, name: str, settings: Settings | None = None) -> Settings:
        """Return a process's settings; a desk gets a port of its own."""
        own = (settings or self.settings).model_copy(update={"home": self.folder(name)})
        if not name.startswith("review"):
            return own
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        return own.model_copy(
            update={
                "profile": Profile.SERVICES,  # the consensus runs in another folder
                "platform": PlatformSettings(review_port=port),
            }
        )

    def folder(self, name: str) -> Path:
        """Return a process's state folder; the agents share theirs, with history and models."""
        folder = self.home / ("agents" if name in AGENTS else name)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _output(self, name: str) -> Path:
        return self.folder(name) / f"{name}.output"


@contextmanager
def plane(folder: Path | None = None, *, rabbitmq: RabbitServer | None = None) -> Generator[Plane]:
    """Run servers of their own for the block; nothing of it is left afterwards."""
    folder = folder or Path(tempfile.mkdtemp(prefix="quorum-faults-", dir="/tmp"))
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        servers = EmbeddedServers(folder, SERVERS[1:] if rabbitmq else SERVERS)
        endpoints = stack.enter_context(servers)
        migrate(endpoints.ledger_url)
        connected = Settings(
            home=folder,
            bus_url=rabbitmq.url if rabbitmq else endpoints.bus_url,
            ledger_url=SecretStr(endpoints.ledger_url),
            keys_folder=folder / "keys",
            partitions=2,
        )
        made = Plane(folder, servers, connected, rabbitmq)
        stack.callback(made.end_all)
        yield made
