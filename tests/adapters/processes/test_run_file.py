import asyncio
import os
import signal
import subprocess
import sys

import msgspec
import pytest

from adapters.processes.identity import ProcessIdentity
from adapters.processes.run_file import RunFile, announced, find_process, stop_requested
from domain.errors import EnvironmentProblem


def _gone(pid: int) -> ProcessIdentity:
    """Return the identity of an earlier process of that pid."""
    return ProcessIdentity(pid, -1.0, "")


def test_a_process_is_found_while_it_runs_and_not_after(tmp_path):
    with announced(tmp_path, "consensus", "127.0.0.1", 4711) as run_file:
        assert run_file.pid == os.getpid()
        assert find_process(tmp_path, "consensus") == run_file
        assert run_file.url == "http://127.0.0.1:4711"
    assert find_process(tmp_path, "consensus") is None
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("10.0.0.1", "http://10.0.0.1:1"),
    ],
)
def test_the_url_is_one_that_can_be_called(host, url):
    assert RunFile(process="x", identity=_gone(1), host=host, port=1).url == url


def test_a_file_left_by_a_killed_process_is_not_believed(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    write(tmp_path, RunFile(process="gateway", identity=_gone(child.pid), host="h", port=1))
    assert find_process(tmp_path, "gateway") is None


def test_a_reused_pid_is_not_taken_for_ours(tmp_path):
    write(tmp_path, RunFile(process="gateway", identity=_gone(os.getpid()), host="h", port=1))
    assert find_process(tmp_path, "gateway") is None


def test_a_half_written_file_is_not_believed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "gateway.json").write_text('{"process": "gate')
    assert find_process(tmp_path, "gateway") is None


def test_a_successor_keeps_its_file_when_the_predecessor_ends(tmp_path):
    with announced(tmp_path, "gateway", "127.0.0.1", 1):
        successor = RunFile(process="gateway", identity=_gone(1), host="h", port=2)
        write(tmp_path, successor)
    assert (tmp_path / "run" / "gateway.json").exists()


def test_an_unusable_state_folder_is_said_clearly(tmp_path):
    (tmp_path / "run").write_text("in the way")
    with (
        pytest.raises(EnvironmentProblem, match="can't be written"),
        announced(tmp_path, "gateway", "127.0.0.1", 1),
    ):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_ask_to_stop(number):
    with stop_requested() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 10)


def write(home, run_file):
    (home / "run").mkdir(exist_ok=True)
    (home / "run" / f"{run_file.process}.json").write_bytes(msgspec.json.encode(run_file))
