"""Eight writers of decisions on a real record, one of them on old code."""

import psycopg
import pytest

from adapters.ledger import PostgresLedger
from adapters.processes.fleet import Fleet
from adapters.processes.run_file import announced
from domain.ports.ledger import Log

NEW, OLD, WORKERS = "2.0 code b settings c", "1.0 code a settings c", 8


@pytest.fixture
async def worker(ledger_url):
    """Make the newest writer of a partition a process of some software."""
    ledgers = {}

    async def take(partition, software):
        if partition in ledgers:
            await ledgers[partition].close()
        ledgers[partition] = PostgresLedger(ledger_url, software=software)
        await ledgers[partition].acquire(Log.DECISIONS, partition)
        return ledgers[partition]

    yield take
    for ledger in ledgers.values():
        await ledger.close()


@pytest.fixture
async def reader(ledger_url):
    ledger = PostgresLedger(ledger_url)
    yield ledger
    await ledger.close()


async def test_one_old_worker_of_eight_is_seen_until_all_are_equal(tmp_path, worker, reader):
    fleet = Fleet(tmp_path, NEW, WORKERS)
    for partition in range(WORKERS):
        await worker(partition, OLD if partition == 7 else NEW)
    await fleet.look(reader)
    assert fleet.versions() == {NEW, OLD}
    await worker(7, NEW)
    await fleet.look(reader)
    assert fleet.versions() == {NEW}


async def test_a_worker_that_says_nothing_is_none_of_ours(tmp_path, ledger_url, worker, reader):
    fleet = Fleet(tmp_path, NEW, WORKERS)
    await worker(3, NEW)
    with psycopg.connect(ledger_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        # As a release does that knows no such table.
        connection.execute("UPDATE ledger.heads SET token = token + 1")
    await fleet.look(reader)
    assert fleet.versions() == {NEW, "partition 3 says nothing"}


async def test_a_partition_that_is_no_more_does_not_count(tmp_path, worker, reader):
    await worker(5, OLD)
    fleet = Fleet(tmp_path, NEW, 5)
    await fleet.look(reader)
    assert fleet.versions() == {NEW}


async def test_what_was_known_stays_while_the_record_is_away(tmp_path, worker, reader):
    fleet = Fleet(tmp_path, NEW, WORKERS)
    await worker(0, OLD)
    await fleet.look(reader)
    away = PostgresLedger("postgresql+psycopg://nobody@127.0.0.1:1/none")
    await fleet.look(away)
    assert fleet.versions() == {NEW, OLD}


def test_processes_of_the_state_folder_say_it_in_their_run_files(tmp_path):
    with announced(tmp_path, "agent.execution", "127.0.0.1", 1, OLD):
        assert Fleet(tmp_path, NEW, 1).versions() == {NEW, OLD}
    with announced(tmp_path, "review", "127.0.0.1", 1):  # has no part in trading
        assert Fleet(tmp_path, NEW, 1).versions() == {NEW}
