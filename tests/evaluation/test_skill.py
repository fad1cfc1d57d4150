"""Losses by hand."""

from datetime import UTC, datetime, timedelta

import pytest

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
