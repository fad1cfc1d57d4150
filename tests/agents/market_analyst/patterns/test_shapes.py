import numpy as np
import pytest

from agents.market_analyst.patterns.shapes import find_shapes
from agents.market_analyst.patterns.swings import chart_of
from tests.agents.market_analyst.patterns.conftest import (
    bar_at,
    bars_of,
    legs,
    random_walk,
    upside_down,
)

DOUBLE_TOP = (105, 90, 115, 103, 115.5, 95)
HEAD_AND_SHOULDERS = (100, 90, 112, 101, 122, 102, 112, 92)
TRIANGLE = {
    "ascending triangle": ((95, 116, 100, 116, 107, 116, 112, 124), 1),
    "descending triangle": ((105, 84, 100, 84, 93, 84, 88, 76), -1),
    "symmetrical triangle": ((95, 120, 96, 115, 101, 111, 105, 120), 1),
}
CHANNEL = {
    "rectangle": ((95, 110, 100, 110, 100, 110, 100, 125), 1),
    "rising channel": ((92, 105, 98, 113, 106, 121, 114, 127, 95), -1),
    "falling channel": ((108, 95, 102, 87, 94, 79, 86, 73, 105), 1),
}


def found(history, name):
    return [pattern for pattern in find_shapes(chart_of(history)) if pattern.name == name]


def prices(pattern):
    return [point.price for point in pattern.points]


def test_a_double_top_is_two_highs_and_the_low_between():
    history = legs(*DOUBLE_TOP)
    (pattern,) = found(history, "double top")
    assert pattern.direction == -1
    assert prices(pattern) == pytest.approx([115, 103, 115.5], abs=1.0)
    assert [bar_at(history, point.time) for point in pattern.points] == pytest.approx(
        [53, 65, 77], abs=1
    )
    (neckline,) = pattern.lines
    assert neckline.start.price == neckline.end.price == pattern.points[1].price
    done = bar_at(history, pattern.confirmed)
    assert history.close[done] < neckline.end.price <= history.close[done - 1]


def test_a_double_bottom_is_a_double_top_upside_down():
    history = upside_down(legs(*DOUBLE_TOP))
    (pattern,) = found(history, "double bottom")
    assert pattern.direction == 1
    assert prices(pattern) == pytest.approx([85, 97, 84.5], abs=1.0)


@pytest.mark.parametrize("inverse", [False, True])
def test_head_and_shoulders(inverse):
    history = legs(*HEAD_AND_SHOULDERS)
    turns = np.array(HEAD_AND_SHOULDERS[2:-1], float)
    if inverse:
        history, turns = upside_down(history), 200 - turns
    (pattern,) = found(history, "inverse head and shoulders" if inverse else "head and shoulders")
    assert pattern.direction == (1 if inverse else -1)
    assert prices(pattern) == pytest.approx(turns, abs=1.0)
    (neckline,) = pattern.lines
    done = bar_at(history, pattern.confirmed)
    beyond = (history.close - neckline.end.price)[[done - 1, done]] * pattern.direction
    assert beyond[0] <= 0.5
    assert beyond[1] > 0


@pytest.mark.parametrize("name", list(TRIANGLE))
def test_triangles(name):
    turns, direction = TRIANGLE[name]
    history = legs(*turns)
    pattern = found(history, name)[-1]
    assert pattern.direction == direction
    upper, lower = pattern.lines
    assert upper.start.price - lower.start.price > upper.end.price - lower.end.price
    touched = prices(pattern)
    assert len(touched) == 5
    assert touched == pytest.approx(turns[2:7], abs=1.2)
    boundary = upper if direction > 0 else lower
    done = bar_at(history, pattern.confirmed)
    assert (history.close[done] - boundary.end.price) * direction > 0


@pytest.mark.parametrize("name", list(CHANNEL))
def test_channels(name):
    turns, direction = CHANNEL[name]
    pattern = found(legs(*turns), name)[-1]
    assert pattern.direction == direction
    upper, lower = pattern.lines
    assert upper.end.price - lower.end.price == pytest.approx(
        upper.start.price - lower.start.price, abs=3.0
    )
    assert len(pattern.points) == 6


@pytest.mark.parametrize("turns", [DOUBLE_TOP, HEAD_AND_SHOULDERS])
def test_without_a_close_beyond_the_boundary_there_is_no_pattern(turns):
    assert found(legs(*turns[:-1]), "double top") == []
    assert found(legs(*turns[:-1]), "head and shoulders") == []


@pytest.mark.parametrize(
    "close",
    [np.full(300, 10.1), np.linspace(50, 250, 300), np.linspace(250, 50, 300)],
    ids=["constant", "rising", "falling"],
)
@pytest.mark.parametrize("width", [0.0, 0.4])
def test_lines_have_no_shape(close, width):
    chart = chart_of(bars_of(close, width))
    assert chart.swings == []
    assert find_shapes(chart) == []


@pytest.mark.parametrize("length", [0, 1, 2, 15, 16])
def test_short_histories_have_none(length):
    assert find_shapes(chart_of(random_walk(400).last(length))) == []


def test_a_head_below_its_shoulders_is_none():
    assert found(legs(100, 90, 112, 101, 110, 102, 112, 92), "head and shoulders") == []


def test_two_highs_on_different_levels_are_no_double_top():
    assert found(legs(105, 90, 115, 103, 121, 95), "double top") == []
