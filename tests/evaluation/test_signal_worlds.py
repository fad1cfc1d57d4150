"""What is planted is what is there."""

import math

import numpy as np
import pytest

from domain.errors import InvalidValue
from evaluation import signal_worlds as worlds

SIGMA = worlds.MODEL.volatility


def noise_of(world):
    return (world.returns - world.drift) / SIGMA


def test_the_first_feature_foretells_returns_as_said_and_the_others_do_not():
    world = worlds.known_edge(seed=1, days=60_000)
    assert np.array_equal(world.drift, 0.15 * SIGMA * world.features[:, 0])
    found = [np.corrcoef(feature, world.returns)[0, 1] for feature in world.features.T]
    # Persistent regressors: an effective sample of days · (1 - ρ²) / (1 + ρ²) would be too strict.
    assert found[0] == pytest.approx(0.15 / math.hypot(1.0, 0.15), abs=0.015)
    assert np.abs(found[1:]).max() < 0.02
    assert noise_of(world).mean() == pytest.approx(0.0, abs=4 / math.sqrt(60_000))
    assert noise_of(world).std() == pytest.approx(1.0, abs=0.015)


def test_features_are_as_persistent_as_said():
    features = worlds.no_edge(seed=2, days=60_000).features
    for feature in features.T:
        assert feature.std() == pytest.approx(1.0, abs=0.1)
        assert np.corrcoef(feature[1:], feature[:-1])[0, 1] == pytest.approx(0.9, abs=0.01)


def test_no_edge_is_no_edge():
    world = worlds.no_edge(seed=3, days=5_000)
    assert not world.drift.any()


@pytest.mark.parametrize(
    ("make", "after"), [(worlds.ending_edge, 0.0), (worlds.regime_break, -1.0)]
)
def test_the_edge_ends_on_its_day_and_not_before(make, after):
    world, edge = make(seed=4, days=400, last=250), worlds.known_edge(seed=4, days=400)
    assert np.array_equal(world.returns[:251], edge.returns[:251])
    assert world.drift[251:] == pytest.approx(after * edge.drift[251:])
    assert np.abs(world.drift[:251]).min() > 0


def test_the_crash_comes_unforetold():
    world = worlds.crash(seed=5, days=4_000, day=2_000)
    calm = worlds.known_edge(seed=5, days=4_000)
    assert np.exp(world.returns[2_000]) == pytest.approx(0.75)
    assert np.array_equal(world.features, calm.features)
    elsewhere = np.r_[0:2_000, 2_020:4_000]
    assert np.array_equal(world.returns[elsewhere], calm.returns[elsewhere])
    assert noise_of(world)[2_001:2_020] == pytest.approx(4 * noise_of(calm)[2_001:2_020])


def test_the_leak_is_the_future_and_earns_nothing_in_truth():
    world = worlds.leaked_future(seed=6, days=20_000)
    assert not world.drift.any()
    leak, returns = world.features[:, 0], world.returns
    assert np.corrcoef(leak, returns)[0, 1] == pytest.approx(math.sqrt(0.5), abs=0.02)
    assert abs(np.corrcoef(leak[1:], returns[:-1])[0, 1]) < 0.03


def test_the_bounce_is_there_and_crossing_the_spread_costs_it():
    world = worlds.bid_ask_bounce(seed=7, days=60_000, model=worlds.MODEL._replace(cost=0.01))
    half_spread = 0.009
    # Roll (1984): the covariance of successive returns is minus the half spread squared.
    covariance = np.cov(world.returns[1:], world.returns[:-1])[0, 1]
    assert covariance == pytest.approx(-(half_spread**2), rel=0.1)
    assert world.features[1:, 0] * SIGMA == pytest.approx(world.returns[:-1])
    assert np.abs(world.drift) == pytest.approx(half_spread)
    # Knowing even which side each close was on, changing sides costs more than it earns.
    level = np.sign(world.drift)
    changes = np.abs(np.diff(level, prepend=0.0))
    assert (level * world.drift - 0.01 * changes).mean() < 0.0


@pytest.mark.parametrize("make", [worlds.known_edge, worlds.no_edge, worlds.leaked_future])
def test_seed_decides_everything_and_a_longer_world_begins_the_same(make):
    short, again, other = make(seed=8, days=50), make(seed=8, days=50), make(seed=9, days=50)
    assert np.array_equal(short.returns, again.returns)
    assert not np.array_equal(short.returns, other.returns)
    assert np.array_equal(make(seed=8, days=80).returns[:50], short.returns)


def test_impossible_worlds_are_refused():
    with pytest.raises(InvalidValue):
        worlds.no_edge(seed=1, days=1)
    with pytest.raises(InvalidValue):
        worlds.no_edge(seed=1, days=10, model=worlds.MODEL._replace(persistence=1.0))
