"""Order intents and the capital they hold, in two databases: both or neither, whatever ends."""

import asyncio
import signal
import subprocess
import sys
from decimal import Decimal

import psycopg
import pytest

from adapters.ledger import PostgresLedger, migrate
from adapters.ledger.portfolio_database import PortfolioDatabase, Transaction
from domain.errors import Fenced, RecordUnavailable
from domain.ports.ledger import Commit, Log, Reservation
from tests.adapters.two_phase_writer import STEPS, commit_of

_DECIDED = ("when it is decided", "when it is committed")


@pytest.fixture(scope="module")
def _portfolio(new_database):
    url = new_database()
    migrate(url)
    return url


@pytest.fixture
def portfolio_url(_portfolio):
    for gid in prepared(_portfolio):
        with connect(_portfolio) as connection:
            connection.execute(f"ROLLBACK PREPARED '{gid}'")
    with connect(_portfolio) as connection:
        connection.execute("TRUNCATE ledger.reservations")
    return _portfolio


def connect(url):
    return psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)


def prepared(url):
    """Names of the transactions that are prepared in a database."""
    with connect(url) as connection:
        query = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        return [gid for (gid,) in connection.execute(query).fetchall()]


async def intents(ledger):
    return {r.message.message_id for r in await ledger.events(Log.ORDERS, 0)}


@pytest.mark.parametrize("step", STEPS)
async def test_a_kill_between_two_steps_leaves_both_or_neither(ledger_url, portfolio_url, step):
    command = [sys.executable, "-m", "tests.adapters.two_phase_writer"]
    died = await asyncio.to_thread(
        subprocess.run, [*command, ledger_url, portfolio_url, step], capture_output=True, timeout=60
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert bool(prepared(portfolio_url)) is (step in ("when it is prepared", "when it is decided"))
    again = PostgresLedger(ledger_url, portfolio_url=portfolio_url)
    lease = await again.acquire(Log.ORDERS, 0)
    assert prepared(portfolio_url) == []
    held = await again.reservations(Log.ORDERS, 0)
    assert set(held) == await intents(again)
    assert len(held) == (2 if step in _DECIDED else 1)
    if step not in _DECIDED:  # what was undone is done again
        await again.commit(lease, commit_of(2, lease.sequence))
    assert len(await again.reservations(Log.ORDERS, 0)) == len(await intents(again)) == 2
    await again.close()


async def test_what_is_released_is_gone_and_finished_decisions_are_forgotten(
    ledger_url, portfolio_url
):
    ledger = PostgresLedger(ledger_url, portfolio_url=portfolio_url)
    lease = await ledger.acquire(Log.ORDERS, 0)
    sequence = 0
    for number in range(4):
        sequence = (await ledger.commit(lease, commit_of(number, sequence))).sequence
    first = commit_of(0, 0).reservations[0].client_order_id
    over = Reservation(client_order_id=first, amount=Decimal(0))
    await ledger.commit(lease, Commit(expected_sequence=sequence, reservations=(over,)))
    assert len(await ledger.reservations(Log.ORDERS, 0)) == 3
    with connect(ledger_url) as connection:
        query = "SELECT count(*) FROM ledger.two_phase_commits"
        assert connection.execute(query).fetchone() == (1,)
    await ledger.close()


async def test_in_one_database_it_is_one_transaction(ledger_url):
    ledger = PostgresLedger(ledger_url)
    lease = await ledger.acquire(Log.ORDERS, 0)
    await ledger.commit(lease, commit_of(1, 0))
    assert set(await ledger.reservations(Log.ORDERS, 0)) == await intents(ledger)
    with connect(ledger_url) as connection:
        query = "SELECT count(*) FROM ledger.two_phase_commits"
        assert connection.execute(query).fetchone() == (0,)
    await ledger.close()


@pytest.mark.parametrize("step", ["prepare", "commit"])
async def test_a_portfolio_that_is_away_is_waited_for(ledger_url, portfolio_url, step, monkeypatch):
    ledger = PostgresLedger(ledger_url, portfolio_url=portfolio_url)
    lease = await ledger.acquire(Log.ORDERS, 0)
    original = getattr(PortfolioDatabase, step)

    async def away(self, *_):
        await self.close()
        raise psycopg.OperationalError("gone")

    monkeypatch.setattr(PortfolioDatabase, step, away)
    with pytest.raises(RecordUnavailable):
        await ledger.commit(lease, commit_of(1, 0))
    monkeypatch.setattr(PortfolioDatabase, step, original)
    committed = await ledger.commit(lease, commit_of(1, 0))  # the same again
    assert committed.sequence == 1
    assert set(await ledger.reservations(Log.ORDERS, 0)) == await intents(ledger)
    assert prepared(portfolio_url) == []
    await ledger.close()


async def test_a_writer_that_was_fenced_leaves_nothing(ledger_url, portfolio_url):
    old = PostgresLedger(ledger_url, portfolio_url=portfolio_url)
    lease = await old.acquire(Log.ORDERS, 0)
    with connect(ledger_url) as connection:
        connection.execute("UPDATE ledger.heads SET token = token + 1")
    with pytest.raises(Fenced):
        await old.commit(lease, commit_of(1, 0))
    assert prepared(portfolio_url) == []
    assert await old.reservations(Log.ORDERS, 0) == {}
    await old.close()


async def test_another_writers_or_partitions_transaction_is_left_alone(portfolio_url):
    held = commit_of(1, 0).reservations
    mine, later, other = (
        Transaction("orders", 0, 3, 7),
        Transaction("orders", 0, 4, 7),
        Transaction("orders", 1, 1, 1),
    )
    database = PortfolioDatabase(portfolio_url)
    for number, which in enumerate((mine, later, other)):
        named = Reservation(client_order_id=f"order-{number}", amount=held[0].amount)
        await database.prepare(which, (named,))
    await database.resolve(mine, decided=())
    assert len(prepared(portfolio_url)) == 2
    await database.resolve(later, decided=(str(later),))
    await database.resolve(other, decided=())
    assert prepared(portfolio_url) == []
    assert list(await database.reservations("orders", 0)) == ["order-1"]
    await database.close()
