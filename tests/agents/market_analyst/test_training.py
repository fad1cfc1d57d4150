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
def test_no_other_cut_has_a_larger_sharpe_ratio_than_all_but_the_last_doubt(promised):
    """Of trades of one risk, taken from the best down, the hurdle never stops before the peak."""
    gains = np.sort(promised)[::-1]
    ratios = gains.cumsum() / np.sqrt(np.arange(1, len(gains) + 1))
    taken = gains >= hurdle_of(gains) - 1e-12
    assert taken.sum() >= int(ratios.argmax()) + 1
    # What is refused would each make the ratio of what is taken smaller.
    for refused in gains[~taken]:
        n, total = taken.sum(), gains[taken].sum()
        assert (total + refused) / np.sqrt(n + 1) < total / np.sqrt(n)


def test_moved_odds_are_the_logistic_curve():
    assert odds_moved(0.5, np.log(3.0)) == pytest.approx(0.75)
    assert odds_moved(0.6, 0.0) == pytest.approx(0.6)
