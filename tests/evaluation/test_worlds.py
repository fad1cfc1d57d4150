"""What is planted is what is there."""

import math

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from domain.errors import InvalidValue
from evaluation import worlds

SIGMA = 0.015


def _closes(world):
    wide = world.bars.pivot(on="symbol", index="timestamp", values="close").drop("timestamp")
    return wide.to_numpy()


def _drifts(world):
    wide = world.truth.pivot(on="symbol", index="timestamp", values="drift").drop("timestamp")
    return wide.to_numpy()


def test_bars_have_the_columns_of_the_table_and_are_possible():
    bars = worlds.edge_world(seed=1, days=300).bars
    assert bars.schema == {
        "symbol": pl.String,
        "timestamp": pl.Datetime("us", "UTC"),
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Float64,
        "raw_close": pl.Float64,
        "source": pl.String,
    }
    assert_frame_equal(bars, bars.sort("symbol", "timestamp"))
    assert bars.height == 5 * 300
    possible = bars.filter(
        (pl.col("high") >= pl.max_horizontal("open", "close"))
        & (pl.col("low") <= pl.min_horizontal("open", "close"))
        & (pl.col("low") > 0)
        & (pl.col("volume") > 0)
        & (pl.col("timestamp").dt.weekday() <= 5)
    )
    assert possible.height == bars.height
    assert bars.select("symbol", "timestamp").is_unique().all()


def test_drift_is_an_exact_function_of_published_closes():
    world = worlds.edge_world(seed=2, days=400, sharpe=0.2, lookback=7)
    closes = _closes(world)
    expected = np.zeros_like(closes)
    expected[7:] = 0.2 * SIGMA * np.sign(closes[7:] - closes[:-7])
    assert np.array_equal(_drifts(world), expected)


def test_what_is_left_after_the_drift_is_standard_normal_noise():
    world = worlds.edge_world(seed=3, days=4_000, sharpe=0.3)
    noise = (np.diff(np.log(_closes(world)), axis=0) - _drifts(world)[:-1]) / SIGMA
    count = noise.size
    assert abs(noise.mean()) < 4 / math.sqrt(count)
    assert noise.std() == pytest.approx(1.0, abs=4 / math.sqrt(2 * count))
    assert abs(np.corrcoef(noise[1:].ravel(), _drifts(world)[1:-1].ravel())[0, 1]) < 0.03


def test_following_the_trend_earns_the_planted_sharpe_ratio_and_from_the_open_too():
    world = worlds.edge_world(seed=4, days=6_000, sharpe=0.15)
    side = np.sign(_drifts(world)[10:-1])
    closes = _closes(world)
    earned = side * np.diff(np.log(closes), axis=0)[10:]
    assert earned.mean() / earned.std() == pytest.approx(0.15, abs=0.02)
    opens = world.bars.pivot(on="symbol", index="timestamp", values="open").drop("timestamp")
    intraday = side * (np.log(closes) - np.log(opens.to_numpy()))[11:]
    assert intraday.mean() == pytest.approx(0.15 * SIGMA, rel=0.15)


def test_no_edge_earns_nothing():
    world = worlds.no_edge_world(seed=5, days=6_000)
    assert not _drifts(world).any()
    returns = np.diff(np.log(_closes(world)), axis=0)
    momentum = np.sign(returns[:-1]) * returns[1:]
    assert abs(momentum.mean() / momentum.std()) < 4 / math.sqrt(momentum.size)


@pytest.mark.parametrize(("reverses", "after"), [(False, 0.0), (True, -1.0)])
def test_the_break_is_on_its_day_and_the_past_is_the_edge_world(reverses, after):
    edge = worlds.edge_world(seed=6, days=500)
    broken = worlds.break_world(seed=6, days=500, break_day=300, reverses=reverses)
    drifts, closes = _drifts(broken), _closes(broken)
    assert np.array_equal(closes[:301], _closes(edge)[:301])
    signs = np.sign(closes[300:] - closes[290:-10])
    assert drifts[300:] == pytest.approx(after * 0.15 * SIGMA * signs)
    assert np.abs(drifts[10:300]).min() > 0


def test_seed_decides_everything_and_a_longer_world_begins_the_same():
    short, again = worlds.edge_world(seed=7, days=200), worlds.edge_world(seed=7, days=200)
    assert_frame_equal(short.bars, again.bars)
    assert not short.bars.equals(worlds.edge_world(seed=8, days=200).bars)
    assert np.array_equal(_closes(worlds.edge_world(seed=7, days=300))[:200], _closes(short))


def test_impossible_worlds_are_refused():
    with pytest.raises(InvalidValue):
        worlds.edge_world(seed=1, days=1)
    with pytest.raises(InvalidValue):
        worlds.edge_world(seed=1, lookback=0)
