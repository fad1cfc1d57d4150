"""Losses by hand, and Kupiec's test against its printed non-rejection regions."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import stats

from domain.errors import InvalidValue
from evaluation import skill

T = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=i) for i in range(3)]


def test_losses_by_hand():
    assert skill.squared_error([0.7, 0.2], [1, 0]) == pytest.approx([0.09, 0.04])


def test_skill_is_one_observation_for_each_instant_in_order_of_time():
    stamps = [T[2], T[0], T[0]]
    assert skill.paired_skill(stamps, [3.0, 1.0, 2.0], [1.0, 0.0, 5.0]) == pytest.approx([-1, 2])
    assert len(skill.paired_skill([], [], [])) == 0
    with pytest.raises(InvalidValue):
        skill.paired_skill(T, [1.0], [1.0])


def _kupiec(breaches, days, level):
    return skill.kupiec(np.arange(days) < breaches, level)


@pytest.mark.parametrize(
    ("level", "days", "inside", "outside"),
    [
        # Kupiec (1995), table 3, at a test level of 5 %: p = 0.05 keeps 6 < N < 21 of 255 days,
        # 16 < N < 36 of 510; p = 0.01 keeps N < 7 of 255 days, 1 < N < 11 of 510.
        (0.05, 255, (7, 20), (6, 21)),
        (0.05, 510, (17, 35), (16, 36)),
        (0.01, 255, (1, 6), (7, 8)),
        (0.01, 510, (2, 10), (1, 11)),
    ],
)
def test_kupiec_non_rejection_regions_as_printed(level, days, inside, outside):
    assert all(_kupiec(n, days, level).p_value >= 0.05 for n in inside)
    assert all(_kupiec(n, days, level).p_value < 0.05 for n in outside)


def test_kupiec_equals_scipy():
    seen = _kupiec(9, 250, 0.05)
    likelihood = 2 * (stats.binom.logpmf(9, 250, 9 / 250) - stats.binom.logpmf(9, 250, 0.05))
    assert seen.statistic == pytest.approx(likelihood)
    assert seen.p_value == pytest.approx(stats.chi2.sf(likelihood, 1))
    assert (seen.breaches, seen.expected) == (9, 12.5)
    assert math.isnan(skill.kupiec([], 0.05).p_value)
    with pytest.raises(InvalidValue):
        skill.kupiec([0.0], 1.0)
