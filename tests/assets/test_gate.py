"""The gate on whole models: copies of the incumbent, and features that know the future."""

from pathlib import Path

import polars as pl
import pytest

from adapters.time_series import open_time_series
from agents.indicators import compute_frame
from agents.learning.training import classic
from agents.model_files import save
from assets.gate import validate
from assets.records import ModelFolder
from assets.trials import PastTrials
from assets.whole import Incumbent, doubled, incumbents_of
from domain.errors import ModelRefused
from domain.ports.time_series import Table
from domain.settings import Settings, TradingSettings
from domain.voting import AgentId
from evaluation.gate import CheckOutcome
from evaluation.worlds import edge_world

PASS, FAIL, OPEN = CheckOutcome.PASS, CheckOutcome.FAIL, CheckOutcome.INCONCLUSIVE
LEARNING = {"seed": 7, "hidden_units": 8, "epochs": 5}


@pytest.fixture(scope="module")
def world():
    bars = edge_world(seed=3, days=1_400, symbols=("ALPHA", "BRAVO")).bars
    return bars, compute_frame(bars), bars["timestamp"].max()


@pytest.fixture(scope="module")
def settings(tmp_path_factory, world):
    made = Settings(home=tmp_path_factory.mktemp("gate"))
    store = open_time_series(made)
    store.write(Table.BARS, world[0])
    store.write(Table.FEATURES, world[1])
    return made


def folder_of(agent, kind, trained, home, until, experiences=0):
    folder = home / agent / kind
    save(folder, trained)
    return ModelFolder(
        agent=agent, folder=str(folder), kind=kind, run_id=kind, until=until.isoformat(),
        metrics={}, data_version="", code_version="", learning=LEARNING, experiences=experiences,
    )  # fmt: skip


@pytest.fixture(scope="module")
def classics(world, settings):
    bars, features, until = world
    return {
        agent: folder_of(
            agent, "classic",
            classic(agent, bars, features, until=until, seed=7, settings=TradingSettings()),
            settings.home, until,
        )
        for agent in (AgentId.MARKET_ANALYST, AgentId.EXECUTION)
    }  # fmt: skip


def judged(agent, candidate, classics, settings, past=None):
    incumbents = {a: Incumbent(Path(f.folder), f"{a} classic") for a, f in classics.items()}
    return validate(
        agent, candidate, incumbents, past or PastTrials(2, {}),
        store=open_time_series(settings), settings=settings,
    )  # fmt: skip


def outcomes(report):
    return {check.name: check.outcome for check in report.checks}


@pytest.mark.parametrize("agent", [AgentId.MARKET_ANALYST, AgentId.EXECUTION])
def test_a_copy_of_the_incumbent_gains_nothing_and_is_not_tried_further(agent, classics, settings):
    report = judged(agent, classics[agent], classics, settings)
    found = outcomes(report)
    assert not report.accepted
    assert found["task skill"] is FAIL
    assert found["probabilistic Sharpe ratio"] is FAIL
    assert found["superior predictive ability"] is FAIL
    assert found["cross-validation paths"] is OPEN
    assert found["earnings of the whole"] is OPEN
    sound = ("look-ahead", "overlapping labels", "missing inputs", "latency", "memory")
    assert {found[name] for name in sound} == {PASS}
    assert all(check.sentence for check in report.checks)


def test_chances_are_held_to_what_happened(classics, settings):
    found = outcomes(
        judged(AgentId.MARKET_ANALYST, classics[AgentId.MARKET_ANALYST], classics, settings)
    )
    assert found["calibration"] is PASS
    assert "costs doubled" in found
    assert "coverage" not in found


def test_the_trials_of_the_ledger_are_counted(classics, settings):
    candidate = classics[AgentId.EXECUTION]
    report = judged(AgentId.EXECUTION, candidate, classics, settings, PastTrials(2_000, {}))
    (deflated,) = [check for check in report.checks if check.name == "deflated Sharpe ratio"]
    assert "the best of 2000 trials in the ledger" in deflated.sentence


def test_features_that_know_the_future_fail_the_audit(classics, settings, world, tmp_path):
    spoiled = Settings(home=tmp_path)
    store = open_time_series(spoiled)
    store.write(Table.BARS, world[0])
    ahead = pl.col("return_1").shift(-1).over("symbol").fill_null(0.0)
    store.write(Table.FEATURES, world[1].with_columns(ahead))
    report = judged(AgentId.EXECUTION, classics[AgentId.EXECUTION], classics, spoiled)
    assert outcomes(report)["look-ahead"] is FAIL


def test_costs_are_doubled_all_of_them():
    usual = TradingSettings()
    harder = doubled(usual)
    assert harder.half_spread_bps == 2 * usual.half_spread_bps
    assert harder.impact_coefficient == 2 * usual.impact_coefficient
    assert harder.fee_per_share == 2 * usual.fee_per_share
    assert harder.starting_cash == usual.starting_cash


def test_without_champion_and_classic_policy_there_is_nothing_to_compare_with(deployed, classics):
    with pytest.raises(ModelRefused, match="neither a champion nor a classic"):
        incumbents_of(deployed, classics)
