"""`quorum reconcile` on a real record."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from adapters.ledger import PostgresLedger
from domain.market import NewsItem
from domain.ports.ledger import Commit, Log
from domain.reconciliation import Discrepancy, DiscrepancyKind, Reconciled
from orchestration.command_line.application import run

AT = datetime(2012, 9, 4, 20, tzinfo=UTC)


def report(number, *kinds):
    return Reconciled(
        message_id=f"reconciled-{number}",
        correlation_id="reconciliation",
        occurred_at=AT,
        venue="paper",
        orders=number,
        symbols=1,
        discrepancies=tuple(
            Discrepancy(kind=kind, subject="IBM", recorded="100", venue="90") for kind in kinds
        ),
    )


def other(number):
    return NewsItem(
        message_id=f"other-{number}",
        correlation_id="other",
        occurred_at=AT,
        symbol="IBM",
        published_at=AT,
        headline="nothing",
        source="test",
    )


async def record(url, *events):
    ledger = PostgresLedger(url)
    try:
        lease = await ledger.acquire(Log.ORDERS, 0)
        heads = await ledger.heads(Log.ORDERS)
        last = heads[0].sequence if heads else 0
        await ledger.commit(lease, Commit(expected_sequence=last, events=events))
        await ledger.release(lease)
    finally:
        await ledger.close()


@pytest.fixture
def ask(servers, ledger_url, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("QUORUM_HOME", str(tmp_path))
    monkeypatch.setenv("QUORUM_BUS_URL", servers.bus_url)
    monkeypatch.setenv("QUORUM_LEDGER_URL", ledger_url)

    def asked(*options):
        code = run(["reconcile", *options])
        return code, capsys.readouterr().out

    return asked


def test_the_newest_comparison_is_walked_through(ask, ledger_url):
    code, said = ask()
    assert code == 0
    assert "never disagreed" in said
    asyncio.run(record(ledger_url, report(1, DiscrepancyKind.FILL), other(1)))
    found = report(2, DiscrepancyKind.POSITION, DiscrepancyKind.UNKNOWN_ORDER)
    asyncio.run(record(ledger_url, found, *map(other, range(2, 1200))))
    code, said = ask("--json")
    assert code == 1
    told = json.loads(said)["discrepancies"]
    assert [each["kind"] for each in told] == ["POSITION", "UNKNOWN_ORDER"]
    code, said = ask()
    assert code == 1
    assert "Trade the difference at the venue" in said
    assert "quorum resume" in said
