"""Planted worlds have the sample's calendar, and the edge that they say, as long as they say."""

import numpy as np
import polars as pl
import pytest

from adapters.market_data.folder import FolderMarketData
from assets.sample import sample_folder
from domain.settings import Settings
from domain.worlds import World
from evaluation.sequential import planned_horizon
from orchestration.planted import on_world, plant


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return {world: plant(world, tmp_path_factory.mktemp(world)) for world in World}


def test_their_days_are_the_sample_s_and_some_are_left_unseen(planted):
    days = FolderMarketData(sample_folder()).read()["date"].drop_nulls().unique()
    for found in planted.values():
        rows = FolderMarketData(found.folder).read()
        assert set(rows["date"]) <= set(days)
        assert rows["date"].max() == days.max()
        assert rows.height == 5 * rows["date"].n_unique()


def followed(folder, since, until) -> float:
    """Return the mean log return a day, in deviations, of who follows the trend of ten days."""
    rows = FolderMarketData(folder).read().sort("symbol", "date")
    sign = (pl.col("close") - pl.col("close").shift(10)).over("symbol").sign()
    earned = sign * (pl.col("close").log().shift(-1) - pl.col("close").log()).over("symbol")
    kept = rows.with_columns(earned=earned).filter(pl.col("date").is_between(since, until))
    found = kept["earned"].drop_nulls().to_numpy()
    return float(np.mean(found) / np.std(found))


def test_the_edge_lasts_in_one_and_turns_into_its_opposite_in_the_other(planted):
    cutoff, turn = (
        on_world(Settings(), planted[World.BREAK]).training.until,
        planted[World.BREAK].breaks_on,
    )
    last = FolderMarketData(sample_folder()).read()["date"].max()
    assert planted[World.EDGE].breaks_on is None
    assert cutoff < turn < last
    for world, after in ((World.EDGE, 1), (World.BREAK, -1)):
        folder = planted[world].folder
        assert followed(folder, cutoff, turn) == pytest.approx(0.6, abs=0.15)
        assert followed(folder, turn, last) == pytest.approx(after * 0.6, abs=0.2)


def test_a_world_is_tried_on_every_rung_and_guarded(planted, tmp_path):
    found = on_world(Settings(home=tmp_path), planted[World.EDGE])
    assert found.promotion.trial == ("SHADOW", "CANARY_5", "CANARY_25", "CANARY_50")
    assert found.promotion.guard_replays
    assert found.data_folder == planted[World.EDGE].folder


def test_a_trial_is_as_long_as_the_declared_effect_needs_and_ends_on_its_last_rung(planted):
    policy = on_world(Settings(), planted[World.EDGE]).promotion
    assert policy.horizon == planned_horizon(0.5) == 61
    climbing = policy.decisions_per_rung * len(policy.trial)
    assert climbing <= policy.horizon / 2
