"""`quorum controls`: who may change a limit, and what its list tells of the record."""

import asyncio
import json
from decimal import Decimal

import pytest

from adapters.ledger import PostgresLedger
from adapters.ledger.memory import MemoryLedger
from adapters.limit_requests import FileLimitRequests
from adapters.persons import Persons
from domain.ports.ledger import Commit, Log
from domain.settings import Settings, TradingSettings
from orchestration.command_line.application import run
from orchestration.limits import folded
from tests.trading.conftest import bar
from trading.book import OrderBook
from trading.limits import Limits

VALUE = "maximum_order_value"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QUORUM_HOME", str(tmp_path))
    monkeypatch.delenv("QUORUM_REVIEW_TOKEN", raising=False)
    return tmp_path


@pytest.fixture
def persons(home):
    return {name: Persons(home).add(name) for name in ("ada", "bob")}


@pytest.fixture
def as_person(monkeypatch, persons):
    return lambda name: monkeypatch.setenv("QUORUM_REVIEW_TOKEN", persons[name])


def change(value, limit=VALUE):
    return run(["controls", "change", limit, value, "--reason", "a thin day"])


def confirm(value):
    return run(["controls", "confirm", VALUE, value, "--reason", "talked it over"])


def test_two_persons_ask_and_confirm(home, as_person, capsys):
    as_person("ada")
    assert change("300000") == 0
    assert confirm("300000") == 9
    as_person("bob")
    assert confirm("300001") == 2  # not what was asked for
    assert confirm("300000") == 0
    asked, confirmed = FileLimitRequests(home).requests()
    assert (asked.actor, asked.limit, asked.value) == ("ada", VALUE, Decimal(300_000))
    assert (confirmed.actor, confirmed.request_id) == ("bob", asked.message_id)
    assert "300000 is confirmed" in capsys.readouterr().out


@pytest.mark.parametrize("token", [None, "quorum_nobody"])
def test_nobody_changes_a_limit_without_a_persons_token(home, monkeypatch, token):
    if token:
        monkeypatch.setenv("QUORUM_REVIEW_TOKEN", token)
    assert change("1000") == 9
    FileLimitRequests(home).ask(VALUE, Decimal(300_000), "ada", "why")
    assert confirm("300000") == 9
    assert len(FileLimitRequests(home).requests()) == 1


@pytest.mark.parametrize(
    ("limit", "value"),
    [("maximum_order_valeu", "1"), (VALUE, "0"), (VALUE, "nan"), ("starting_cash", "1")],
)
def test_what_can_be_no_limit_is_refused_at_once(home, as_person, limit, value):
    as_person("ada")
    assert change(value, limit) == 2
    assert FileLimitRequests(home).requests() == ()


def a_record(home):
    """Events of a record: what the settings say, a lowering, a raise that waits."""
    limits, wishes, events = Limits(TradingSettings()), FileLimitRequests(home), []
    events.append(limits.declaration(bar(0)))
    limits.apply(events[-1])
    for limit, value in ((VALUE, 5_000), ("price_band", 1)):
        events.append(limits.answer(wishes.ask(limit, Decimal(value), "ada", "a thin day")))
        limits.apply(events[-1])
    return events, limits


def test_the_list_tells_what_is_on_record(home, servers, ledger_url, monkeypatch, capsys):
    monkeypatch.setenv("QUORUM_BUS_URL", servers.bus_url)
    monkeypatch.setenv("QUORUM_LEDGER_URL", ledger_url)
    events, _ = a_record(home)

    async def record():
        ledger = PostgresLedger(ledger_url)
        lease = await ledger.acquire(Log.ORDERS, 0)
        await ledger.commit(lease, Commit(expected_sequence=0, events=tuple(events)))
        await ledger.close()

    asyncio.run(record())
    assert run(["controls", "list", "--json"]) == 0
    told = {row["limit"]: row for row in json.loads(capsys.readouterr().out)}
    assert (told[VALUE]["in_force"], told[VALUE]["settings"]) == ("5000", "250000")
    assert told["price_band"]["in_force"] == "0.5"
    assert told["price_band"]["proposed"]["actor"] == "ada"
    assert run(["controls", "list"]) == 0
    assert "a thin day" in capsys.readouterr().out


@pytest.mark.parametrize("readable", [True, False])
async def test_a_snapshot_saves_the_log_before_it(home, readable):
    events, limits = a_record(home)
    book = OrderBook(TradingSettings())
    for event in events[:2]:
        book.apply(event)
    ledger = MemoryLedger()
    lease = await ledger.acquire(Log.ORDERS, 0)
    snapshot = book.to_bytes() if readable else b'{"limits":{"of_tomorrow":1}}'
    await ledger.commit(
        lease, Commit(expected_sequence=0, events=tuple(events[:2]), snapshot=snapshot)
    )
    await ledger.commit(lease, Commit(expected_sequence=2, events=tuple(events[2:])))
    assert (await folded(ledger, Settings(home=home))).state() == limits.state()
