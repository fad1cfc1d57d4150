"""`quorum live` against a server that answers as Alpaca does."""

import asyncio
import json
import threading

import pytest

from adapters.http_server import bind, http_server
from adapters.kill_switch import FileKillSwitch
from adapters.live_switch import LiveSwitch
from adapters.persons import Persons
from domain.orders import TradingState
from domain.settings import load_settings
from orchestration.command_line.application import run
from tests.adapters.brokers.alpaca_server import KEY, SECRET, AlpacaServer


@pytest.fixture(scope="module")
def venue():
    """The address of a server, in a thread of its own; its account is PA123."""
    bound, ended = threading.Event(), threading.Event()
    address = []

    async def serve():
        async with http_server(AlpacaServer().app, bind("127.0.0.1", 0)) as port:
            address.append(f"http://127.0.0.1:{port}")
            bound.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert bound.wait(30)
    yield address[0]
    ended.set()
    thread.join()


@pytest.fixture
def home(tmp_path, monkeypatch, venue):
    for name, value in {
        "HOME": str(tmp_path),
        "VENUE__NAME": "alpaca",
        "VENUE__LIVE": "true",
        "VENUE__URL": venue,
        "VENUE__KEY": KEY,
        "VENUE__SECRET": SECRET,
        "REVIEW_TOKEN": Persons(tmp_path).add("ada"),
    }.items():
        monkeypatch.setenv(f"QUORUM_{name}", value)
    return tmp_path


def measured(**changes):
    facts = {"decisions": 50, "trades": 30, "unexplained": 0, **changes}
    LiveSwitch(load_settings()).keep("first", **facts)


def enable(*options):
    return run(["live", "enable", "--reason", "a week on paper", *options])


def test_the_way_to_real_money_and_back(home, capsys):
    assert run(["live", "status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["switch"] == "off"
    assert enable("--account", "PA123") == 2  # no paper run
    measured()
    assert enable() == 2  # nothing typed
    assert enable("--account", "PA124") == 9
    assert LiveSwitch(load_settings()).enabled() is None
    assert enable("--account", "PA123", "--json") == 0
    enabled = LiveSwitch(load_settings()).enabled()
    assert (enabled.actor, enabled.account, enabled.reason) == ("ada", "PA123", "a week on paper")
    capsys.readouterr()
    assert run(["live", "status"]) == 0
    assert "PA123" in capsys.readouterr().out
    assert run(["live", "disable", "--reason", "back to paper", "--actor", "bob"]) == 0
    (halted,) = FileKillSwitch(home).requests()
    assert (str(halted.scope), halted.state) == ("venue paper", TradingState.HALTED)
    assert run(["live", "status"]) == 1


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("REVIEW_TOKEN", "quorum_nobody", 9),
        ("VENUE__LIVE", "false", 2),
        ("VENUE__NAME", "paper", 2),
        ("VENUE__URL", "https://paper-api.alpaca.markets", 2),
    ],
)
def test_nothing_less_will_do(home, monkeypatch, name, value, code):
    measured()
    monkeypatch.setenv(f"QUORUM_{name}", value)
    assert enable("--account", "PA123") == code
    assert LiveSwitch(load_settings()).enabled() is None


def test_a_run_with_an_unexplained_difference_turns_nothing_on(home, capsys):
    measured(unexplained=1)
    assert enable("--account", "PA123") == 2
    assert "1 differences unexplained" in capsys.readouterr().err
