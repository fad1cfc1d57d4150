import numpy as np
import pytest

from agents.splits import RATIOS, split_steps


def steps(ratio, *, day_range=0.02):
    """Two bars: the second opens at 1 / ratio of the first close."""
    opens = np.array([100.0, 100.0 / ratio])
    highs, lows = opens * (1.0 + day_range), opens
    return split_steps(opens, highs, lows, np.array([100.0, opens[1]]))


@pytest.mark.parametrize("ratio", [*RATIOS, *(1.0 / each for each in RATIOS)])
def test_every_ratio_is_a_split_either_way_within_three_percent(ratio):
    for off in (0.975, 1.0, 1.025):
        assert steps(ratio * off).tolist() == [False, True]


@pytest.mark.parametrize("ratio", [1.0, 1.2, 1.4, 0.75, 1.7, 2.3, 12.0])
def test_other_steps_are_the_markets(ratio):
    assert not steps(ratio).any()


def test_a_crash_is_not_calm_and_a_bar_of_one_price_tells_nothing():
    assert not steps(2.0, day_range=0.2).any()
    assert not steps(2.0, day_range=0.0).any()


def test_prices_that_cannot_be_are_no_steps():
    bad = np.array([100.0, np.nan, -5.0, 0.0, 50.0])
    assert not split_steps(bad, bad, bad, bad).any()
