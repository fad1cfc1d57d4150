"""A demo that is killed or stopped anywhere leaves nothing in the way of the next one."""

import os
import signal
from datetime import date, timedelta

import polars as pl
import psutil
import psycopg
import pytest

from assets.sample import sample_folder
from domain.chain import log_hash
from domain.market import MarketData
from domain.ports.ledger import Head, Log
from tests.end_to_end.conftest import SEED
from tests.end_to_end.processes import commands, processes_of, quorum, read_until, started, until

pytestmark = pytest.mark.timeout(900)

DAYS_AFTERWARDS = 10
CHILDREN = ("consensus.service", "trading.service", "serving")


@pytest.fixture(scope="module")
def home(place):
    return place / "interrupted"


@pytest.fixture(scope="module")
def little_data(place):
    """Two stocks and four years, as a user would give them: what is learned does not matter.

    More than a year is left to trade, so that it lasts until it is interrupted.
    """
    folder = place / "bars"
    folder.mkdir()
    bars = pl.read_parquet(sample_folder() / "wiki_ohlcv_2000_2013.parquet")
    for symbol in ("AAPL", "IBM"):
        own = (pl.col("symbol").cast(pl.String) == symbol) & (pl.col("date") >= date(2009, 1, 1))
        bars.filter(own).write_csv(folder / f"{symbol}.csv")
    return {"QUORUM_DATA_FOLDER": str(folder), "QUORUM_TRAINING__UNTIL": "2011-12-01"}


def recorded(home):
    """Return how many events the orders log holds, 0 while there is no such table."""
    try:
        with psycopg.connect(
            host=str(home / "servers" / "state" / "run"), user="quorum", dbname="quorum"
        ) as connection:
            query = "SELECT count(*) FROM ledger.events WHERE log = 'orders'"
            return connection.execute(query).fetchone()[0]
    except psycopg.Error:
        return 0


def live_plane(home):
    """Return the processes of consensus, gateway and agents."""
    return [p for p in processes_of(home) if any(f"-m {c}" in _command(p) for c in CHILDREN)]


def _command(process):
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def run_until_it_learns(home, demo):
    """Wait for the first model of this run; an earlier one's is gone when the servers are up."""
    read_until(demo, "✓ Start PostgreSQL")
    until((home / "training").exists, "the first model", demo)


def run_until_it_trades(home, demo):
    read_until(demo, "✓ Serve")
    until(lambda: recorded(home) > 50, "the replay", demo)


def stopped_by_ctrl_c(home, demo):
    """Do as the terminal does, and see one sentence, its exit code, and nothing left."""
    os.killpg(demo.pid, signal.SIGINT)
    output = demo.communicate()[0]
    assert demo.returncode == 130, output
    told = [line for line in output.splitlines() if line.strip() and line[0] not in "✓✗"]
    assert len(told) == 1, output
    assert commands(processes_of(home)) == []


def test_stopped_by_ctrl_c_while_it_learns(home, little_data):
    with started(home, ["quorum", "demo"], **little_data) as demo:
        run_until_it_learns(home, demo)
        stopped_by_ctrl_c(home, demo)


def test_killed_while_it_learns_then_stopped_by_ctrl_c_while_it_trades(home, little_data):
    with started(home, ["quorum", "demo"], **little_data) as killed:
        run_until_it_learns(home, killed)
        killed.kill()
        killed.wait()
        left = processes_of(home)
        assert "postgres" in {process.name() for process in left}, "it ended by itself"
        with started(home, ["quorum", "demo"], **little_data) as demo:
            run_until_it_trades(home, demo)
            assert not set(left) & set(processes_of(home))
            stopped_by_ctrl_c(home, demo)


def test_killed_while_it_trades_and_run_again_with_the_same_result(home, little_data, demo, record):
    with started(home, ["quorum", "demo"], **little_data) as killed:
        run_until_it_trades(home, killed)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        until(lambda: not live_plane(home), "the end of the live plane")
        left = processes_of(home)
        again = quorum(
            home,
            "demo",
            "--seed",
            str(SEED),
            "--days",
            str(DAYS_AFTERWARDS),
            PYTHONHASHSEED="2",
            POLARS_MAX_THREADS="1",
            OMP_NUM_THREADS="1",
        )
        assert not set(left) & set(processes_of(home))
    assert again.returncode == 0, again.stdout + again.stderr
    count, expected = after(record, DAYS_AFTERWARDS)
    assert count > 0
    assert f"Decision-log hash  {expected}" in again.stdout
    assert commands(processes_of(home)) == []


def after(record, days):
    """Return the number of decisions and the hash of the log after so many days.

    The log of a shorter run is the beginning of a longer one's.
    """
    bars = sorted({bar.observed_at for bar in record.orders if isinstance(bar, MarketData)})
    end = bars[days - 1] + timedelta(hours=2)
    made = [entry for entry in record.entries if entry.message.occurred_at < end]
    last = made[-1]
    head = Head(log=Log.DECISIONS, partition=last.partition, sequence=last.sequence, hash=last.hash)
    return len(made), log_hash([head])
