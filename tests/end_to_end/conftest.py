"""One whole demo, run once, for all tests that only look at what it left."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser, sync_playwright

from adapters.projections.queries import Queries
from consensus.audit import read_log
from domain.messages import Message
from domain.ports.ledger import Ledger, Log, Recorded
from domain.settings import Settings
from orchestration.record import ask, read_side
from tests.end_to_end.processes import commands, end_all, processes_of, quorum

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DAYS = 20
SEED = 7


@dataclass(frozen=True)
class Demo:
    """A finished demo: where it lived, and what it printed."""

    home: Path
    returncode: int
    output: str
    errors: str

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, seed=SEED, clock="event")

    def printed(self, label: str) -> str:
        """Return what stands behind a label that begins a line."""
        (line,) = [text for text in self.output.splitlines() if text.startswith(label)]
        return line.removeprefix(label).strip()

    @property
    def next_commands(self) -> list[str]:
        _, _, listed = self.output.partition("Try next:\n")
        return [line.strip() for line in listed.splitlines()]


@dataclass(frozen=True)
class Record:
    """Both logs and the read side of a demo."""

    decisions: list[Message]
    orders: list[Message]
    entries: list[Recorded]
    frames: dict[str, pl.DataFrame]


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder that the servers' account can reach, with a space in its path."""
    folder = Path(tempfile.mkdtemp(prefix="quorum e2e "))
    folder.chmod(0o711)
    yield folder
    left = processes_of(folder)
    told = commands(left)
    end_all(left)
    shutil.rmtree(folder, ignore_errors=True)
    assert not told


@pytest.fixture(scope="session")
def demo(place: Path) -> Demo:
    home = place / "demo"
    run = quorum(home, "demo", "--days", str(DAYS), "--seed", str(SEED))
    return Demo(home, run.returncode, run.stdout, run.stderr)


@pytest.fixture(scope="session")
def record(demo: Demo) -> Record:
    async def read(ledger: Ledger) -> tuple[list[Recorded], list[Recorded]]:
        return (
            [entry async for entry in read_log(ledger, Log.DECISIONS)],
            [entry async for entry in read_log(ledger, Log.ORDERS)],
        )

    decisions, orders = ask(demo.settings, read)
    with read_side(demo.settings) as queries:
        frames = _frames(queries)
    return Record([e.message for e in decisions], [e.message for e in orders], decisions, frames)


def _frames(queries: Queries) -> dict[str, pl.DataFrame]:
    names = ("decisions", "votes", "orders", "executions", "equity", "experiences")
    return {name: getattr(queries, name)() for name in names}


@pytest.fixture
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()
