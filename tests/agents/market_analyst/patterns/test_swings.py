import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.market_analyst.patterns.swings import REVERSAL, chart_of
from tests.agents.market_analyst.patterns.conftest import legs, random_walk


def test_swings_are_the_planted_turns():
    history = legs(100, 120, 105, 130, 112)
    found = chart_of(history).swings
    assert [swing.high for swing in found] == [True, False, True]
    assert [swing.price for swing in found] == pytest.approx([120.4, 104.6, 130.4], abs=0.5)
    assert [swing.bar for swing in found] == pytest.approx([41, 53, 65], abs=1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(20, 600))
def test_swings_take_turns_and_are_known_only_after_the_reversal(seed, length):
    chart = chart_of(random_walk(length, seed))
    bars = chart.bars
    for swing, following in zip(chart.swings[:-1], chart.swings[1:], strict=True):
        assert swing.high != following.high
        assert swing.bar < following.bar
        assert swing.known < following.known
    for swing in chart.swings:
        assert swing.price == (bars.high if swing.high else bars.low)[swing.bar]
        turned = abs(swing.price - bars.close[swing.known])
        assert turned > REVERSAL * chart.extent[swing.known]
        between = slice(swing.bar, swing.known + 1)
        extreme = bars.high[between].max() if swing.high else bars.low[between].min()
        assert swing.price == extreme
        assert np.isfinite(chart.extent[swing.known])
