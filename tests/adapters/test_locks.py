import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.locks import owned_lock
from domain.errors import EnvironmentProblem

HOLDER = """
import sys
from pathlib import Path
from adapters.locks import owned_lock
with owned_lock(Path(sys.argv[1]), patience_seconds=0, purpose="holding"):
    print(flush=True)
    sys.stdin.read()
"""


def test_the_lock_names_its_owner_and_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        with (
            pytest.raises(EnvironmentProblem, match=f"Process {holder.pid} is holding"),
            owned_lock(path, patience_seconds=0.1, purpose="holding"),
        ):
            pass
        holder.kill()
    with owned_lock(path, patience_seconds=5, purpose="holding"):
        assert path.read_text() == str(os.getpid())


def test_a_file_that_a_dead_owner_left_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("123456789")
    with owned_lock(tmp_path / "lock", patience_seconds=0, purpose="holding"):
        assert (tmp_path / "lock").read_text() == str(os.getpid())
