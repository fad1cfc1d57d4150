"""A recorded feed through the live objects trades what the backtest of its days trades."""

import json
from datetime import timedelta

import polars as pl
import pytest

from adapters.live_switch import LiveSwitch
from adapters.time_series import open_time_series
from domain.errors import DataQualityError, ModelRefused
from domain.messages import encode
from domain.orders import ExecutionReport
from domain.ports.time_series import Table
from domain.settings import Settings, load_settings
from evaluation.gap import Cause
from evaluation.trades import trade_hash
from orchestration.backtest import run_backtest
from orchestration.command_line.application import run
from orchestration.gap import measure_gap
from orchestration.paper import keep, kept, run_paper, stored_feed
from tests.agents.conftest import START, make_bars
from tests.orchestration.trading_home import settle

FIRST = START + timedelta(days=560)
END = FIRST + timedelta(days=40)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return settle(tmp_path_factory.mktemp("home"), make_bars(), FIRST)


@pytest.fixture(scope="module")
def session(settings):
    return run_paper(settings, stored_feed(settings, FIRST, END))


def fills(events):
    return [event for event in events if isinstance(event, ExecutionReport)]


def test_paper_and_backtest_trade_the_same_and_nothing_is_unexplained(settings, session):
    gap = measure_gap(settings, session)
    assert gap.differences == []
    assert gap.equity_difference == 0
    assert gap.decisions > 5
    assert gap.trades > 0
    backtest = run_backtest(settings, FIRST, END)
    assert backtest.trade_hash == gap.session_hash == trade_hash(fills(session))


def test_any_number_of_workers_leaves_the_same_trades(settings, session):
    """One consensus processor a partition: their messages interleave otherwise."""
    spread = settings.model_copy(update={"partitions": 3})
    again = run_paper(spread, stored_feed(spread, FIRST, END))
    assert trade_hash(fills(again)) == trade_hash(fills(session))
    assert [*map(encode, fills(again))] == [*map(encode, fills(session))]


def test_a_feed_that_was_revised_since_is_data(settings, session):
    store = open_time_series(settings)
    bars = store.read(Table.BARS)
    when = pl.col("timestamp") == FIRST + timedelta(days=3)
    try:
        store.write(Table.BARS, bars.filter(when).with_columns(pl.col("open") * 0.9999))
        gap = measure_gap(settings, session)
    finally:
        store.write(Table.BARS, bars)
    assert gap.unexplained == 0
    assert gap.money[Cause.DATA] == gap.equity_difference


def test_a_session_is_kept_and_read_as_it_was(settings, session):
    keep(settings, "kept", session)
    assert [*map(encode, kept(settings, "kept"))] == [*map(encode, session)]
    with pytest.raises(DataQualityError, match="no paper session 'other'"):
        kept(settings, "other")


def test_without_bars_or_champions_nothing_is_traded(settings, tmp_path):
    with pytest.raises(DataQualityError, match="No bar"):
        stored_feed(settings, END + timedelta(days=900), None)
    with pytest.raises(DataQualityError, match="holds no bar"):
        measure_gap(settings, [])
    with pytest.raises(ModelRefused, match="no champion"):
        run_paper(Settings(home=tmp_path), stored_feed(settings, FIRST, END))


def test_the_commands_agree(settings, monkeypatch, capsys):
    monkeypatch.setenv("QUORUM_HOME", str(settings.home))
    span = ["--start", f"{FIRST:%Y-%m-%d}", "--end", f"{FIRST + timedelta(days=15):%Y-%m-%d}"]
    assert run(["paper", *span, "--name", "typed", "--json"]) == 0
    traded = json.loads(capsys.readouterr().out)
    assert run(["gap", "--session", "typed", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["session_hash"] == found["backtest_hash"] == traded["trade_hash"]
    assert found["decisions"] == traded["decisions"]
    assert found["unexplained"] == 0
    assert run(["gap", "--session", "typed"]) == 0
    assert "due to missing vote" in capsys.readouterr().out
    (kept_run,) = LiveSwitch(load_settings()).runs()
    assert (kept_run.session, kept_run.unexplained) == ("typed", 0)
    assert kept_run.trades == found["trades"]
    assert run(["gap", "--session", "never"]) == 3
