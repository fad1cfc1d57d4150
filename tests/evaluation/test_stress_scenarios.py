"""The moves compound to the index levels that were published."""

import math

import pytest

from evaluation.stress_scenarios import SCENARIOS

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [  # closes of the S&P 500 before the first and on the last day
        ("1987", 314.52, 227.67),
        ("2000 to 2002", 1527.46, 776.76),
        ("2008", 1213.27, 899.22),
        ("Flash crash 2010", 1202.26, 1159.73),
        ("2015", 2079.61, 1940.51),
        ("2020", 2972.37, 2398.10),
        ("Rate shock", 4160.68, 3666.77),
    ],
)
def test_moves_lead_from_the_close_before_to_the_last_close(name, before, after):
    grown = math.prod(1.0 + move for move in BY_NAME[name].moves)
    assert grown == pytest.approx(after / before, rel=5e-4)


def test_every_scenario_has_its_own_name_a_source_and_days():
    assert len(BY_NAME) == len(SCENARIOS)
    assert all(scenario.source and scenario.length >= 1 for scenario in SCENARIOS)
    assert all(day < s.length for s in SCENARIOS for day, _ in s.lows)
