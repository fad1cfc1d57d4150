import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.calibration import odds_moved
from agents.market_analyst.training import hurdle_of


def test_the_hurdle_by_hand():
    # With .4 and .3 taken (mean .35) at least .175 is asked for: .2 is in, and then .15 too.
    assert hurdle_of(np.array([0.4, 0.3, 0.2, 0.05, -0.3])) == pytest.approx(0.15)
    assert hurdle_of(np.array([-0.1, 0.0])) == 0.0
    assert hurdle_of(np.array([0.2, 0.2])) == pytest.approx(0.1)


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=40))
def test_no_other_cut_has_a_larger_sharpe_ratio(promised):
    """Of trades of one risk, taken from the best down, the hurdle stops at the peak."""
    gains = np.sort(promised)[::-1]
    ratios = gains.cumsum() / np.sqrt(np.arange(1, len(gains) + 1))
    taken = int((gains >= hurdle_of(gains)).sum())
    assert ratios[taken - 1] == pytest.approx(ratios.max(), rel=1e-12)


def test_moved_odds_are_the_logistic_curve():
    assert odds_moved(0.5, np.log(3.0)) == pytest.approx(0.75)
    assert odds_moved(0.6, 0.0) == pytest.approx(0.6)
