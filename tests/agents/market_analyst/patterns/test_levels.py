import pytest

from agents.market_analyst.patterns.levels import find_levels
from agents.market_analyst.patterns.swings import chart_of
from tests.agents.market_analyst.patterns.conftest import bar_at, legs, upside_down


def test_three_turns_make_a_resistance_and_a_close_beyond_breaks_it():
    history = legs(95, 110, 100, 110.3, 101, 109.8, 102, 120)
    found = find_levels(chart_of(history))
    resistance = next(pattern for pattern in found if pattern.name == "resistance")
    assert resistance.direction == -1
    assert [point.price for point in resistance.points] == pytest.approx([110] * 3, abs=1.0)
    (line,) = resistance.lines
    assert line.start.price == line.end.price == pytest.approx(110.4, abs=0.5)
    breakout = next(pattern for pattern in found if pattern.name == "breakout")
    assert breakout.direction == 1
    assert breakout.points == resistance.points
    done = bar_at(history, breakout.confirmed)
    assert history.close[done] > line.end.price
    assert history.close[bar_at(history, resistance.confirmed) + 1 : done].max() < 112


def test_support_is_resistance_upside_down():
    history = upside_down(legs(95, 110, 100, 110.3, 101, 109.8, 102, 120))
    names = {(pattern.name, pattern.direction) for pattern in find_levels(chart_of(history))}
    assert {("support", 1), ("breakdown", -1)} <= names


def test_turns_at_different_prices_make_no_level():
    assert find_levels(chart_of(legs(95, 110, 100, 120, 108, 130, 119, 140))) == []


def test_two_turns_make_no_level():
    assert find_levels(chart_of(legs(95, 110, 100, 110, 90))) == []
