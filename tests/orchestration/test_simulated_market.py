"""The market of a simulated life: as long as asked for, and the same up to its break."""

import polars as pl
import pytest

from domain.worlds import SimulatedWorld
from orchestration.simulated_market import HISTORY_DAYS, simulated_market


@pytest.mark.parametrize("world", list(SimulatedWorld))
def test_it_has_its_history_and_as_many_months_as_asked_for(world):
    made = simulated_market(world, months=2, seed=3)
    assert (made.first, len(made.days)) == (HISTORY_DAYS, HISTORY_DAYS + 42)
    assert made.days == sorted(made.bars["timestamp"].unique())
    assert (made.breaks is None) == (world is not SimulatedWorld.BREAK)


def test_the_break_is_simulated_and_nothing_differs_before_it():
    whole, broken = (
        simulated_market(world, months=2, seed=3)
        for world in (SimulatedWorld.EDGE, SimulatedWorld.BREAK)
    )
    assert broken.first < broken.breaks < len(broken.days)
    turn = pl.col("timestamp") <= broken.days[broken.breaks]
    assert broken.bars.filter(turn).equals(whole.bars.filter(turn))
    assert not broken.bars.equals(whole.bars)


def test_the_seed_is_all_that_is_random():
    first, again, other = (
        simulated_market(SimulatedWorld.NONE, months=1, seed=seed).bars for seed in (1, 1, 2)
    )
    assert first.equals(again)
    assert not first.equals(other)
