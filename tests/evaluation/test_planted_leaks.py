"""Five ways of knowing the future, planted into sound features: the gate's audits find them all.

Four show when the data after an instant is cut off and the features are made again; overlapping
labels show in the rows. The same features without the leak are never blamed.
"""

import numpy as np
import polars as pl
import pytest

from evaluation.endurance import purge_check, scale_check
from evaluation.gate import CheckOutcome, look_ahead_check
from evaluation.look_ahead import look_ahead
from evaluation.splits import combinatorial, overlapping, walk_forward
from evaluation.worlds import no_edge_world

SEEDS = range(10)
_KEY = ["symbol", "timestamp"]
_CHANGE = pl.col("close").log().diff().over("symbol")
_SOUND = _CHANGE.rolling_mean(5).over("symbol")


def sound(bars):
    return bars.select(*_KEY, feature=_SOUND)


def next_return(bars):
    return bars.select(*_KEY, feature=_SOUND + 0.1 * _CHANGE.shift(-1).over("symbol"))


def scaled_on_all_data(bars):
    return bars.select(*_KEY, feature=(_SOUND - _SOUND.mean()) / _SOUND.std())


def week_indexed_by_its_start(bars):
    week = pl.col("timestamp").dt.truncate("1w")
    return bars.select(*_KEY, feature=pl.col("close").last().over("symbol", week).log())


def moved_one_bar(bars):
    earlier = pl.col("timestamp").shift(1).over("symbol")
    return bars.select("symbol", timestamp=earlier, feature=_SOUND).drop_nulls("timestamp")


LEAKS = (next_return, scaled_on_all_data, week_indexed_by_its_start, moved_one_bar)


def audited(features, seed):
    bars = no_edge_world(seed=seed, days=90, symbols=("ALPHA", "BRAVO")).bars
    cuts = bars["timestamp"].unique().sort()[31::14].to_list()
    found = look_ahead(
        features(bars),
        lambda cut: features(bars.filter(pl.col("timestamp") <= cut)),
        cuts,
    )
    return look_ahead_check(
        sum(found.different.values()) + found.missing, found.rows + found.missing
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_caught(leak, seed):
    assert audited(leak, seed).outcome is CheckOutcome.FAIL


@pytest.mark.parametrize("seed", SEEDS)
def test_sound_features_are_not_blamed(seed):
    assert audited(sound, seed).outcome is CheckOutcome.PASS


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_overlapping_labels_are_counted_and_purging_leaves_none(horizon):
    starts = np.repeat(np.arange(120), 2)
    ends = starts + horizon
    test = np.flatnonzero(starts >= 100)
    careless = np.flatnonzero(starts < 100)
    reached = int(overlapping(starts, ends, test)[careless].sum())
    assert reached == 2 * horizon
    assert purge_check(reached, len(careless)).outcome is CheckOutcome.FAIL
    for split in (
        *walk_forward(starts, ends, folds=4, embargo=2),
        *combinatorial(starts, ends, groups=4, tests=2, embargo=2),
    ):
        left = int(overlapping(starts, ends, split.test)[split.training].sum())
        assert purge_check(left, len(split.training)).outcome is CheckOutcome.PASS


@pytest.mark.parametrize("seed", SEEDS)
def test_a_model_whose_scaling_saw_more_than_it_learned_from_is_caught(seed):
    rows = np.random.default_rng(seed).normal(size=(200, 4))
    learned, everything = rows[:140].mean(axis=0), rows.mean(axis=0)
    assert scale_check(learned, learned).outcome is CheckOutcome.PASS
    assert scale_check(everything, learned).outcome is CheckOutcome.FAIL
