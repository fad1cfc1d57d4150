import numpy as np
import pytest

from evaluation.optimum import LEVELS, earned, optimum
from evaluation.signal_worlds import MODEL, known_edge


def test_without_costs_the_best_is_the_signal_s_sign():
    model = MODEL._replace(cost=0.0)
    best = optimum(model)
    signs = np.sign(best.grid).astype(int) + 1
    middle = len(best.grid) // 2
    assert np.array_equal(np.delete(best.choices[:, 1], middle), np.delete(signs, middle))
    # E|z| = sqrt(2 / π) for a standard normal signal.
    expected = model.sharpe * model.volatility * np.sqrt(2 / np.pi)
    assert best.gain == pytest.approx(expected, rel=1e-3)


def test_unbearable_costs_keep_it_flat():
    best = optimum(MODEL._replace(cost=1.0))
    assert best.gain == pytest.approx(0.0, abs=1e-12)
    assert (best.choices[:, 1] == 1).all()


def test_it_earns_what_it_says_and_no_band_rule_earns_more():
    best, world = optimum(MODEL), known_edge(seed=1, days=100_000)
    most = earned(best.policy, world).expected.mean()
    assert most == pytest.approx(best.gain, rel=0.02)

    def band(enter, leave):
        def policy(features, held):
            z = features[:, 0]
            stays = np.where(np.abs(z) < leave, 0.0, held)
            return np.searchsorted(LEVELS, np.where(np.abs(z) > enter, np.sign(z), stays))

        return earned(policy, world).expected.mean()

    tried = [band(enter, leave) for enter in (0.1, 0.3, 0.6, 1.0) for leave in (0.0, 0.2)]
    assert max(tried) <= most * 1.0005


def test_what_is_earned_is_level_times_return_less_the_cost_of_changes():
    world = known_edge(seed=2, days=6)._replace(
        returns=np.array([0.01, 0.02, -0.01, 0.03, 0.01, 0.01]), drift=np.zeros(6), cost=0.001
    )
    walk = iter([2, 2, 0, 1, 1, 2])
    found = earned(lambda _features, held: np.array([next(walk)] * len(held)), world, paths=1)
    assert found.realised == pytest.approx([0.009, 0.02, 0.008, -0.001, 0.0, 0.009])
    assert found.expected == pytest.approx([-0.001, 0.0, -0.002, -0.001, 0.0, -0.001])


def test_paths_side_by_side_are_stretches_of_the_days():
    world = known_edge(seed=3, days=100)
    always_long = earned(lambda _features, held: np.full(len(held), 2), world, paths=4)
    expected = world.returns - world.cost * (np.arange(100) % 25 == 0)
    assert always_long.realised == pytest.approx(expected)
