import numpy as np
import pytest

from domain.errors import InvalidValue
from evaluation.execution_cost import compare_costs


def correlated(shift, seed=0, n=2000, overlap=50):
    """Differences that a window of `overlap` orders shares, about `shift`."""
    noise = np.random.default_rng(seed).standard_normal(n + overlap)
    return shift + np.convolve(noise, np.ones(overlap) / overlap, "valid")[:n]


def test_a_lower_cost_makes_the_learned_one_champion():
    found = compare_costs(correlated(-0.5), np.zeros(2000), overlap=50)
    assert found.champion == "learned"
    assert found.difference.lower < -0.5 < found.difference.upper < 0


def test_a_higher_or_equal_cost_leaves_the_classic_one():
    for shift in (0.5, 0.0):
        assert compare_costs(correlated(shift), np.zeros(2000), overlap=50).champion == "classic"


def test_overlapping_orders_are_not_counted_as_many():
    """Without an edge, the learned one is champion in few of many worlds, not in half."""
    won = [
        compare_costs(correlated(0.0, seed), np.zeros(2000), overlap=50).champion == "learned"
        for seed in range(200)
    ]
    assert np.mean(won) < 0.07


def test_costs_that_do_not_pair_are_a_typed_error():
    with pytest.raises(InvalidValue):
        compare_costs([1.0, 2.0], [1.0], overlap=1)
    with pytest.raises(InvalidValue):
        compare_costs([np.nan], [1.0], overlap=1)
