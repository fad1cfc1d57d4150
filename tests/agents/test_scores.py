import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agents.scores import HIGHEST, LOWEST, acceptance_threshold, score_knots, score_of

SUPPORTS = np.linspace(-1.0, 3.0, 101)


def test_the_threshold_is_where_accepting_gained_most():
    gains = np.where(np.quantile(SUPPORTS, 0.3) <= SUPPORTS, 1.0, -1.0)
    assert acceptance_threshold(SUPPORTS, gains) == pytest.approx(np.quantile(SUPPORTS, 0.3))


def test_of_equal_thresholds_the_most_lenient_is_taken():
    assert acceptance_threshold(SUPPORTS, np.zeros(101)) == pytest.approx(
        np.quantile(SUPPORTS, 0.1)
    )


def test_50_is_indifferent_and_75_the_threshold():
    scale = score_knots(SUPPORTS, indifferent=0.0, acceptance=1.0)
    assert score_of(0.0, scale) == 50
    assert score_of(0.5, scale) == round(62.5)
    assert score_of(1.0, scale) == 75
    assert score_of(99.0, scale) == HIGHEST
    assert score_of(-99.0, scale) == LOWEST


@given(
    acceptance=st.floats(0.001, 2),
    one=st.floats(-5, 5),
    other=st.floats(-5, 5),
)
def test_scores_rise_with_support_and_accept_from_the_threshold_only(acceptance, one, other):
    scale = score_knots(SUPPORTS, indifferent=0.0, acceptance=acceptance)
    low, high = sorted((one, other))
    assert score_of(low, scale) <= score_of(high, scale)
    assume(abs(one - acceptance) > 2e-6)
    assert (score_of(one, scale) >= 75) == (one > acceptance)
