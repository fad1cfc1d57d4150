"""Servers and state folders for tests of the outside."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.embedded import EmbeddedServers, Endpoints


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a state folder's name below a folder that everybody may search.

    Pytest's own folders are closed to the account that servers run as when we are root, and
    their paths are too long for sockets.
    """
    folder = Path(tempfile.mkdtemp(prefix="quorum-test-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder / "home"
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def home() -> Iterator[Path]:
    """A state folder that does not exist yet."""
    with _folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def valkey() -> Iterator[Endpoints]:
    """One Valkey for all tests of the session."""
    with _folder() as folder, EmbeddedServers(folder, ["valkey"]) as endpoints:
        yield endpoints
