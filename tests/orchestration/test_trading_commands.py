"""`quorum halt`, `resume`, `trading`, `reconcile` in a state folder without any server."""

import json

import pytest

from adapters.kill_switch import FileKillSwitch
from adapters.persons import Persons
from domain.orders import TradingState
from orchestration.command_line.application import run


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QUORUM_HOME", str(tmp_path))
    monkeypatch.delenv("QUORUM_REVIEW_TOKEN", raising=False)
    return tmp_path


def states(home):
    return {str(r.scope): r.state for r in FileKillSwitch(home).requests()}


def test_a_halt_needs_nothing_but_the_state_folder(home, capsys):
    assert run(["halt", "--reason", "looks wrong", "--actor", "ada", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["state"], said["actor"], said["reason"]) == ("HALTED", "ada", "looks wrong")
    assert states(home) == {"all trading": TradingState.HALTED}
    assert run(["trading", "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)) == 1


@pytest.mark.parametrize("kind", ["strategy", "symbol", "venue"])
def test_one_of_each_can_be_halted(home, kind):
    assert run(["halt", f"--{kind}", "X", "--reducing", "--reason", "r", "--actor", "ada"]) == 0
    assert states(home) == {f"{kind} X": TradingState.REDUCING}


def test_two_scopes_at_once_are_refused(home):
    assert run(["halt", "--symbol", "X", "--venue", "Y", "--reason", "r", "--actor", "ada"]) == 2
    assert states(home) == {}


@pytest.mark.parametrize("token", [None, "quorum_nobody"])
def test_nobody_resumes_without_a_persons_token(home, monkeypatch, token):
    run(["halt", "--reason", "looks wrong", "--actor", "ada"])
    if token:
        monkeypatch.setenv("QUORUM_REVIEW_TOKEN", token)
    assert run(["resume", "--reason", "go on"]) == 9
    assert states(home) == {"all trading": TradingState.HALTED}


def test_resuming_takes_a_person_and_a_reason(home, monkeypatch, capsys):
    run(["halt", "--reason", "looks wrong", "--actor", "ada"])
    monkeypatch.setenv("QUORUM_REVIEW_TOKEN", Persons(home).add("bob"))
    assert run(["resume", "--reason", " "]) == 2
    assert states(home) == {"all trading": TradingState.HALTED}
    assert run(["resume", "--reason", "was nothing"]) == 0
    (request,) = FileKillSwitch(home).requests()
    assert (request.state, request.actor) == (TradingState.ACTIVE, "bob")
    assert run(["trading"]) == 0
    assert "was nothing" in capsys.readouterr().out
