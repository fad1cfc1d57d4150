"""Servers that lose, refuse, fill up, stall or are cut off, under load."""

import shutil
import signal
import time
from typing import LiteralString
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import redis
from pydantic import SecretStr

from tests.faults.load import Load
from tests.faults.plane import PROCESSES, Plane, plane, until
from tests.faults.proxy import Proxy
from tests.faults.verdict import examine, projections_equal, settle

pytestmark = pytest.mark.timeout(300)
_RATE = 30.0


@pytest.fixture(scope="module")
def running():
    with plane() as made:
        made.start(*PROCESSES)
        made.wait()
        yield made


@pytest.fixture
def load(running, request):
    """Steady load for the test, which ends it by `finished`."""
    made = Load(running.settings, request.node.name, rate=_RATE)
    made.start()
    yield made
    made.stop()


def finished(running: Plane, load: Load):
    """End the load, and examine all that is on record."""
    load.stop()
    logs = settle(running, load)
    examine(logs, load.sent)
    projections_equal(running.settings)
    return logs


def decided(running: Plane) -> int:
    ((count,),) = query(running, "SELECT sum(sequence) FROM ledger.heads WHERE log = 'decisions'")
    return int(count or 0)


def more_decided(running: Plane, count: int = 20) -> None:
    """Wait until so many more decisions are on record."""
    before = decided(running)
    until(lambda: decided(running) >= before + count, f"{count} more decisions")


def query(running: Plane, statement: LiteralString):
    url = running.settings.ledger_url.get_secret_value().replace("+psycopg", "", 1)
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def end_sessions(running: Plane) -> int:
    """Have the database end the sessions that hold a lease; returns how many."""
    return len(
        query(
            running,
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE locktype = 'advisory' AND granted",
        )
    )


def test_a_bus_that_loses_everything_costs_no_decision(running, load):
    with redis.from_url(running.settings.bus_url) as client:
        for _ in range(3):
            more_decided(running)
            client.flushall()
    more_decided(running)
    finished(running, load)


def test_a_bus_that_comes_back_without_its_file_costs_no_decision(running, load):
    more_decided(running)
    running.kill_server("valkey")
    shutil.rmtree(running.home / "servers" / "state" / "valkey")
    running.start_servers()
    more_decided(running)
    finished(running, load)


def test_while_the_record_is_away_nothing_is_decided_and_then_everything(running, load):
    more_decided(running)
    running.kill_server("postgres", signal.SIGINT)
    with pytest.raises(AssertionError, match="in vain"):
        until(lambda: running.works, "readiness without a record", seconds=2)
    running.start_servers()
    more_decided(running)
    finished(running, load)


def test_a_record_that_refuses_connections_is_waited_for(running, load):
    more_decided(running)
    url = running.settings.ledger_url.get_secret_value().replace("+psycopg", "", 1)
    with psycopg.connect(url.replace("/quorum?", "/postgres?"), autocommit=True) as connection:
        connection.execute("ALTER DATABASE quorum ALLOW_CONNECTIONS false")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'quorum'"
        )
        until(lambda: not running.works, "a plane that says that it halts")
        connection.execute("ALTER DATABASE quorum ALLOW_CONNECTIONS true")
    more_decided(running)
    finished(running, load)


def test_a_backlog_makes_no_vote_late(running):
    for name in ("consensus-a", "consensus-b"):
        running.end(name)
    before = votes_on_the_bus(running)
    load = Load(running.settings, "backlog", rate=200)
    load.start()
    deadline_passed = time.monotonic() + 2 * running.settings.consensus.vote_deadline_seconds
    until(lambda: time.monotonic() > deadline_passed, "a deadline without anybody to judge it")
    load.stop()
    until(lambda: votes_on_the_bus(running) >= before + 4 * len(load.sent), "the votes")
    running.start("consensus-a", "consensus-b")
    logs = settle(running, load)
    examine(logs, load.sent)
    assert {logs.decided[key].participation for key in load.sent} == {4}


def votes_on_the_bus(running: Plane) -> int:
    with redis.from_url(running.settings.bus_url) as client:
        return sum(client.xlen(f"quorum:votes:{p}") for p in range(running.settings.partitions))


def test_two_that_both_believe_they_own_a_partition(running, load):
    """A zombie: stopped, its session ended, replaced, and let go on."""
    for kind in ("consensus", "gateway"):
        one, other = f"{kind}-a", f"{kind}-b"
        running.end(other)
        until(lambda one=one: running.ready(one), f"{one} as the only one")
        running.start(other)
        until(lambda other=other: running.problems(other), f"{other} as its standby")
        running.signal(one, signal.SIGSTOP)
        assert end_sessions(running) > 0
        until(lambda other=other: running.ready(other), f"{other} in place of {one}")
        more_decided(running)
        running.signal(one, signal.SIGCONT)
        until(lambda one=one: running.ended(one) is not None, f"the end of {one}")
        running.revive()
    finished(running, load)


@pytest.fixture
def far(running):
    """The settings of a process that reaches its servers only through proxies."""
    settings = running.settings
    folder = parse_qs(urlsplit(settings.ledger_url.get_secret_value()).query)["host"][0]
    here = urlsplit(settings.bus_url)
    user = f"{here.username}:{here.password}@" if here.password else ""
    with Proxy(here.path) as bus, Proxy(f"{folder}/.s.PGSQL.5432") as record:
        yield (
            bus,
            record,
            settings.model_copy(
                update={
                    "bus_url": f"redis://{user}127.0.0.1:{bus.port}/0",
                    "ledger_url": SecretStr(
                        f"postgresql+psycopg://quorum@127.0.0.1:{record.port}/quorum"
                    ),
                }
            ),
        )


def test_a_network_that_delays_stalls_cuts_and_half_closes(running, load, far):
    bus, record, settings = far
    for name in ("consensus-a", "consensus-b", "gateway-a", "gateway-b"):
        running.end(name)
    running.start("consensus-a", "gateway-a", settings=settings)
    running.wait()
    for link in (bus, record):
        link.delay(0.05)
        more_decided(running)
        link.stall()
        stalled_until = time.monotonic() + 1
        until(lambda end=stalled_until: time.monotonic() > end, "a second without a network")
        link.flow()
        more_decided(running)
        for harm in (link.cut, link.half_close, link.refuse):
            harm()
            link.flow()
            more_decided(running)
    assert bus.connections > 2
    for name in ("consensus-a", "gateway-a"):
        running.end(name)
    running.start("consensus-a", "consensus-b", "gateway-a", "gateway-b")
    finished(running, load)
