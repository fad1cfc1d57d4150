import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.market_analyst.patterns.candlesticks import CANDLESTICKS, find_candlesticks
from agents.market_analyst.patterns.detection import find_patterns, newest_patterns
from agents.market_analyst.patterns.swings import chart_of
from agents.price_history import PriceHistory
from tests.agents.market_analyst.patterns.conftest import bars_of, random_walk


def cut(history, length):
    return PriceHistory(*(column[:length] for column in history))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.05, 1.0))
def test_a_pattern_is_known_from_the_bars_up_to_its_confirmation(seed, share):
    history = random_walk(500, seed)
    length = int(share * history.length)
    known = [p for p in find_patterns(history) if p.confirmed <= history.times[length - 1]]
    assert sorted(find_patterns(cut(history, length))) == sorted(known)


@pytest.mark.parametrize("seed", range(4))
def test_a_pattern_is_known_at_the_very_bar_that_completes_it(seed):
    history = random_walk(900, seed)
    drawn = [pattern for pattern in find_patterns(history) if len(pattern.points) > 1]
    assert len(drawn) > 8
    for pattern in drawn:
        length = int(np.searchsorted(history.times, pattern.confirmed)) + 1
        assert pattern in find_patterns(cut(history, length), since=pattern.confirmed)


def test_nothing_of_a_pattern_lies_after_its_confirmation():
    for pattern in find_patterns(random_walk(3000, 7)):
        places = [*pattern.points, *(end for line in pattern.lines for end in line)]
        assert max(place.time for place in places) <= pattern.confirmed


def test_the_newest_patterns_are_those_of_the_whole_history():
    history = random_walk(1500, 11)
    whole = find_patterns(history)
    for length in range(900, 1500, 37):
        newest = history.times[length - 1]
        expected = {(p.name, p.direction) for p in whole if p.confirmed == newest}
        found = newest_patterns(cut(history, length))
        assert {(pattern.name, pattern.direction) for pattern in found} == expected
        assert {pattern.confirmed for pattern in found} <= {newest}


def test_within_says_how_many_bars():
    history = random_walk(700, 2)
    found = newest_patterns(history, within=5)
    assert {pattern.confirmed for pattern in found} <= set(history.times[-5:].tolist())
    assert len(found) > len(newest_patterns(history))


def test_every_candlestick_of_talib_has_its_name():
    assert len(CANDLESTICKS) == 61
    assert {"engulfing pattern", "hammer", "three black crows", "doji"} <= set(CANDLESTICKS)


def test_an_engulfing_candle_is_named():
    close = np.full(60, 100.0)
    history = bars_of(close + 0.1 * np.sin(np.arange(60)), 0.2)
    # A small fall, then a rise that opens below and closes above it.
    opened, close = history.open.copy(), history.close.copy()
    opened[-2:], close[-2:] = (100.5, 99.5), (100.0, 101.5)
    high, low = np.maximum(opened, close) + 0.2, np.minimum(opened, close) - 0.2
    found = find_candlesticks(
        chart_of(PriceHistory(history.times, opened, high, low, close, history.volume))
    )
    last = [p for p in found if p.confirmed == history.times[-1]]
    assert ("engulfing pattern", 1) in {(p.name, p.direction) for p in last}
    assert last[0].points[0].price == 101.5


@pytest.mark.parametrize("length", [0, 1, 2, 40, 400])
def test_constant_prices_have_no_pattern_at_all(length):
    assert find_patterns(bars_of(np.full(length, 10.1), 0.0)) == []
    assert newest_patterns(bars_of(np.full(length, 10.1), 0.0)) == []
