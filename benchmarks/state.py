"""State folders for benchmarks: a demo's, shared by those that need models, or new ones."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.settings import Settings, load_settings

#: Trading days that the benchmarks' demo replays.
DAYS = 20
#: The command line of this checkout.
QUORUM = (sys.executable, "-c", "from orchestration.command_line import main; main()")


def demo_home() -> Path:
    """Where the demo's state is kept between benchmarks."""
    return Path(tempfile.gettempdir()) / f"quorum-benchmarks-{os.geteuid()}"


def demo_settings() -> Settings:
    """Return settings of a state folder that holds models and a record; made if need be."""
    home = demo_home()
    if not (home / "reports").exists():
        environment = {**os.environ, "QUORUM_HOME": str(home)}
        command = (*QUORUM, "demo", f"--days={DAYS}")
        subprocess.run(command, env=environment, check=True, stdout=sys.stderr)
    return load_settings(home=home, clock="event")


@contextmanager
def new_home() -> Iterator[Path]:
    """A state folder that the servers' account can reach, removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="quorum-benchmark-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
