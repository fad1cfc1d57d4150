import numpy as np
import pytest

from agents.market_analyst.patterns.flags import find_flags
from agents.market_analyst.patterns.swings import chart_of
from tests.agents.market_analyst.patterns.conftest import bar_at, bars_of, upside_down


def flagged(*, rest=-0.25, leaves=3.0):
    """Thirty still bars, a pole of 24 in eight, ten bars' rest, and one that leaves it."""
    still = 100 + 0.5 * np.sin(np.arange(40))
    pole = still[-1] + np.arange(1, 9) * 3.0
    resting = pole[-1] + rest * np.arange(1, 11)
    after = resting[-1] + leaves
    return bars_of(np.concatenate([still, pole, resting, [after]]))


def test_a_bull_flag_has_a_pole_and_a_boundary():
    history = flagged()
    (pattern,) = find_flags(chart_of(history))
    assert (pattern.name, pattern.direction) == ("bull flag", 1)
    assert bar_at(history, pattern.confirmed) == history.length - 1
    pole, boundary = pattern.lines
    assert pole.start.price == pytest.approx(history.close[39])
    assert pole.end.price - pole.start.price == pytest.approx(24.0)
    assert boundary.end.price < boundary.start.price
    assert history.close[-1] > boundary.end.price


def test_a_bear_flag_is_a_bull_flag_upside_down():
    (pattern,) = find_flags(chart_of(upside_down(flagged(), 300.0)))
    assert (pattern.name, pattern.direction) == ("bear flag", -1)
    pole, boundary = pattern.lines
    assert pole.end.price - pole.start.price == pytest.approx(-24.0)
    assert boundary.end.price > boundary.start.price


@pytest.mark.parametrize(
    "changes",
    [{"rest": -2.0}, {"leaves": -1.0}, {"rest": 0.5}],
    ids=["takes too much back", "is not left", "goes on"],
)
def test_what_is_no_flag(changes):
    assert find_flags(chart_of(flagged(**changes))) == []


@pytest.mark.parametrize("length", [0, 2, 33, 300])
def test_lines_have_none(length):
    assert find_flags(chart_of(bars_of(np.linspace(100, 100 + length, length)))) == []
    assert find_flags(chart_of(bars_of(np.full(length, 7.7), 0.0))) == []
