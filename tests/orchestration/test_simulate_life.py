"""Months of a model's life: legal, deterministic, and true to what is planted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from domain.model_life import FALLEN, fold
from domain.models import DeploymentStatus
from domain.settings import Settings
from domain.worlds import SimulatedWorld
from orchestration.simulate_life import AGENT, policy, simulate_life
from orchestration.simulated_figures import life_figures
from orchestration.simulated_market import simulated_market

S = DeploymentStatus
SEED = 7


def lived(world, months, home):
    market = simulated_market(world, months=months, seed=SEED)
    return market, simulate_life(market, Settings(home=home, seed=SEED))


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Live through nine months whose edge breaks (about 25 s)."""
    return lived(SimulatedWorld.BREAK, 9, tmp_path_factory.mktemp("broken"))


def test_every_move_is_legal_and_on_a_simulated_day(broken):
    market, life = broken
    assert fold(AGENT, life.moves).live is not None
    moments = [move.occurred_at for move in life.moves]
    assert moments == sorted(moments)
    assert moments[-1] <= market.days[-1] + (market.days[1] - market.days[0])
    told = [(e.version, e.what) for e in life.events if e.what != "TRAINED"]
    assert told == [(move.version, move.after) for move in life.moves]


def test_an_edge_is_promoted_while_it_lasts_and_rolled_back_after_its_end(broken):
    market, life = broken
    found = life_figures(market, life)
    assert (found.promotions, found.false_promotions, found.rollbacks) == (1, 0, 1)
    assert 0 < found.days_to_rollback < 60
    by = {e.what: (e.day, e.by) for e in life.events if e.version == 2}
    assert by[S.LIVE][0] < found.breaks_on_day < by[S.ROLLED_BACK][0]
    assert (by[S.LIVE][1], by[S.ROLLED_BACK][1]) == ("trial", f"guard:{AGENT}")
    rungs = [e.what for e in life.events if e.version == 2]
    assert rungs == ["TRAINED", "VALIDATED", *policy(Settings()).trial, S.LIVE, S.ROLLED_BACK]
    assert all(e.reason for e in life.events)
    assert {e.what for e in life.events} & set(FALLEN) == {S.ROLLED_BACK}


def test_without_an_edge_nothing_goes_live_and_another_hash_seed_lives_the_same(tmp_path):
    market, life = lived(SimulatedWorld.NONE, 1, tmp_path)
    assert life_figures(market, life).promotions == 0
    assert life.equity == life.equity_without
    command = (
        *["simulate-life", "--world", "none", "--months", "1", "--json", "--seed"],
        str(SEED),
    )
    run = subprocess.run(
        [Path(sys.executable).with_name("quorum"), *command],
        env={**os.environ, "PYTHONHASHSEED": "4711", "QUORUM_HOME": str(tmp_path / "home")},
        capture_output=True,
        check=True,
        timeout=120,
    )
    told = json.loads(run.stdout)["events"]
    assert told == [event._asdict() for event in life.events]
    assert not (tmp_path / "home").exists()
