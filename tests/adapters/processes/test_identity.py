import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.processes.identity import ProcessIdentity

IGNORES_SIGTERM = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_an_identity_is_kept_and_read_again(tmp_path: Path) -> None:
    own = ProcessIdentity.own()
    assert own.pid == os.getpid()
    own.write(tmp_path / "own")
    again = ProcessIdentity.read(tmp_path / "own")
    assert again == own
    assert again.alive()
    assert [file.name for file in tmp_path.iterdir()] == ["own"]


@pytest.mark.parametrize("content", [None, b"", b'{"pid": 1', b'{"pid": "x"}'])
def test_a_file_that_is_missing_or_cut_short_names_nobody(tmp_path: Path, content) -> None:
    if content is not None:
        (tmp_path / "record").write_bytes(content)
    assert ProcessIdentity.read(tmp_path / "record") is None


def test_a_pid_that_went_to_another_process_is_not_signalled(sleeper) -> None:
    present = ProcessIdentity.of(sleeper.pid)
    earlier = ProcessIdentity(present.pid, present.created_after_boot - 5, present.boot)
    other_boot = ProcessIdentity(present.pid, present.created_after_boot, "another")
    for stale in (earlier, other_boot):
        assert not stale.alive()
        assert not stale.signal(signal.SIGKILL)
        stale.end(signal.SIGKILL, 1)
    assert sleeper.poll() is None


def test_a_zombie_is_dead(sleeper) -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.alive()
    assert ProcessIdentity.of(sleeper.pid) is None


def test_what_does_not_end_is_killed_with_its_children() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", IGNORES_SIGTERM], stdout=subprocess.PIPE
    ) as process:
        child = ProcessIdentity.of(int(process.stdout.readline()))
        ProcessIdentity.of(process.pid).end(signal.SIGTERM, 0.1)
        assert process.wait() == -signal.SIGKILL
        assert child.wait_until_gone(10)
