"""A ledger whose disk is full; `make faults` runs it, since it takes the right to mount one."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.load import Load
from tests.faults.plane import PROCESSES, plane, until
from tests.faults.test_servers import finished, more_decided

pytestmark = pytest.mark.timeout(600)
_RATE = 30.0


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of our own that can be filled, where this machine lets us mount one."""
    folder = Path(tempfile.mkdtemp(prefix="quorum-small-disk-", dir="/tmp"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=450m,mode=0711", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        folder.rmdir()
        pytest.skip("it takes the right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def test_a_full_disk_halts_and_room_lets_it_go_on(small_disk):
    with plane(folder=small_disk / "home") as running:
        running.start(*PROCESSES)
        running.wait()
        load = Load(running.settings, "full disk", rate=_RATE)
        load.start()
        more_decided(running)
        ballast = small_disk / "ballast"
        for _ in range(3):
            fill(ballast)
            until(lambda: not running.works, "a plane that says that it halts", seconds=120)
            ballast.unlink()
            running.start_servers()
            more_decided(running)
        finished(running, load)


def fill(ballast: Path) -> None:
    """Leave no room on the ballast's disk."""
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(1 << 16))
            except OSError:
                return
