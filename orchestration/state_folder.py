"""Whose the state folder is: the demo empties only what a demo made and no platform took over."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from adapters.embedded import erase
from adapters.locks import owned_lock
from domain.errors import ConfigurationError

#: Marks a state folder as one that the demo made and may empty again.
MARKER = "demo.json"
_LOCK = "demo.lock"


def give_to_platform(home: Path) -> bool:
    """Keep the folder from the next demo; returns whether it was a demo's until now."""
    marker = home / MARKER
    was_the_demos = marker.exists()
    marker.unlink(missing_ok=True)
    return was_the_demos


@contextmanager
def prepared_for_demo(home: Path) -> Generator[None]:
    """Empty the state folder if the demo made it; for the block, no other demo can take it.

    Raises
    ------
    ConfigurationError
        If it holds what the demo did not make.
    EnvironmentProblem
        If another demo, or a platform, runs in it.
    """
    marker, lock = home / MARKER, home / _LOCK
    if home.exists() and any(home.iterdir()) and not marker.exists():
        raise ConfigurationError(
            f"{home} holds a platform's state that the demo did not make.",
            kept="Nothing in it was touched.",
            next_step="Give the demo a folder of its own: QUORUM_HOME=~/quorum-demo quorum demo.",
        )
    home.mkdir(parents=True, exist_ok=True)
    marker.write_text('{"made_by": "quorum demo"}\n')
    with owned_lock(lock, patience_seconds=0, purpose="running a demo in this folder"):
        erase(home)
        for path in home.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path not in (marker, lock):
                path.unlink()
        yield
