"""A consensus process on real servers, and the commands that are given beside it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
import pytest
import redis
from msgspec.structs import replace

from adapters.bus import RedisBus
from adapters.embedded import Endpoints
from adapters.http_server import bind
from adapters.ledger import migrate
from adapters.processes.run_file import find_process
from domain.identity import derive_id
from domain.messages import Message
from domain.settings import Settings
from domain.streams import Stream
from orchestration.command_line.application import run
from tests.builders import proposal, votes
from tests.sealing import sealed_by_its_speaker

Answer = TypeVar("Answer")


class Desk:
    """What a person at the command line has before them.

    Parameters
    ----------
    environment
        The settings that the process and the commands share.
    process
        The consensus.
    """

    def __init__(self, environment: dict[str, str], process: subprocess.Popen[bytes]) -> None:
        self.environment = environment
        self.home = Path(environment["QUORUM_HOME"])
        self._process = process
        self.sealed = sealed_by_its_speaker(Settings(home=self.home))
        self.output: Callable[[], tuple[str, str]] = lambda: ("", "")

    def command(self, *words: str, code: int = 0) -> str:
        """Run a command and return what it printed, where it ends with `code`."""
        ended = run(list(words))
        out, err = self.output()
        assert ended == code, out + err
        return out + " ".join(err.replace("│", " ").split())  # wherever its lines are broken

    def asked(self, *words: str, code: int = 0):
        """Run a command with --json and return the document."""
        return msgspec.json.decode(self.command(*words, "--json", code=code))

    def on_bus(self, operation: Callable[[RedisBus], Awaitable[Answer]]) -> Answer:
        async def operate() -> Answer:
            bus = RedisBus(self.environment["QUORUM_BUS_URL"], encode=self.sealed)
            try:
                return await operation(bus)
            finally:
                await bus.close()

        return asyncio.run(operate())

    def publish(self, stream: Stream, *messages: Message) -> None:
        async def all_of_them(bus: RedisBus) -> None:
            for message in messages:
                await bus.publish(stream, 0, message)

        self.on_bus(all_of_them)

    def propose(
        self,
        name: str,
        scores: tuple[int, ...],
        *,
        symbol: str = "IBM",
        quantity: int = 10,
        rationale: str = "measured",
    ) -> str:
        """Send a proposal with its votes and return the decision's id."""
        now = datetime.now(UTC)
        cast = [
            replace(vote, occurred_at=now, rationale=rationale)
            for vote in votes(name, scores, symbol=symbol)
        ]
        self.publish(Stream.VOTES, *cast)
        proposed = replace(
            proposal(name, symbol=symbol), occurred_at=now, quantity=Decimal(quantity)
        )
        self.publish(Stream.PROPOSALS, proposed)
        return derive_id("decision", derive_id("proposal", name))

    def until(self, condition: Callable[[], Answer]) -> Answer:
        """Return what `condition` returns once it is true."""
        while not (found := condition()):
            time.sleep(0.02)
        return found

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the consensus for the block, like a process that hangs."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextmanager
def running_desk(
    servers: Endpoints, ledger_url: str, home: Path, **variables: str
) -> Iterator[Desk]:
    """Start a consensus on an empty bus and a new database; end it after the block."""
    client = redis.Redis.from_url(servers.bus_url)
    client.flushall()
    client.close()
    migrate(ledger_url)
    environment = {
        "QUORUM_HOME": str(home),
        "QUORUM_BUS_URL": servers.bus_url,
        "QUORUM_LEDGER_URL": ledger_url,
        "QUORUM_CONSENSUS__VOTE_DEADLINE_SECONDS": "60",
        **variables,
    }
    home.mkdir()
    with (home / "consensus.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "consensus.service"],
            env=os.environ | environment | {"PYTHONPATH": ":".join(sys.path)},
            stderr=log,
        )
    try:
        desk = Desk(environment, process)
        desk.until(lambda: _ready(desk, process))
        yield desk
    finally:
        process.kill()
        process.wait()


@contextmanager
def serving_desk(desk: Desk) -> Iterator[str]:
    """Start the review desk's process; yields its address, and ends it after the block."""
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    environment = os.environ | desk.environment | {"PYTHONPATH": ":".join(sys.path)}
    said = desk.home / "review.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration.reviews.service"],
            env=environment | {"QUORUM_PLATFORM__REVIEW_PORT": str(port)},
            stderr=log,
        )

    def address() -> str:
        assert process.poll() is None, said.read_text()
        found = find_process(desk.home, "review")
        return found.url if found else ""

    try:
        yield desk.until(address)
    finally:
        process.terminate()
        assert process.wait() == 0


def at_the_command_line(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    """Give the commands of one test the desk's settings."""
    for name, value in desk.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOGNAME", "ada")
    desk.output = capsys.readouterr
    return desk


def _ready(desk: Desk, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, (desk.home / "consensus.log").read_text()
    found = find_process(desk.home, "consensus")
    return found is not None and httpx.get(f"{found.url}/readyz").is_success
