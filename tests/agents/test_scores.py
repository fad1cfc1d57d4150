import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.calibration import constant, knots
from agents.scores import HIGHEST, LOWEST, NO_OBJECTION, even_support, score_knots, score_of

SUPPORTS = np.linspace(-1.0, 3.0, 101)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(-1.0, 0.2), (1.0, 0.6)], 0.5),
        ([(-1.0, 0.55), (1.0, 0.6)], -1.0),
        ([(-1.0, 0.2), (1.0, 0.4)], 1.0),
    ],
)
def test_the_even_support_is_where_the_chance_is_one_half(points, expected):
    assert even_support(knots(points)) == pytest.approx(expected)


def test_without_knowledge_there_is_no_crossing():
    assert even_support(constant(0.7)) == 0.0


def test_75_is_the_threshold_and_an_objection_falls_faster():
    scale = score_knots(SUPPORTS, 1.0, highest=HIGHEST)
    assert scale(1.0) == 75
    assert scale(99.0) == HIGHEST
    assert scale(-99.0) == LOWEST
    assert scale(1.0) - scale(0.8) > scale(1.2) - scale(1.0)


@given(one=st.floats(-5, 5), other=st.floats(-5, 5), accepts=st.booleans())
def test_scores_rise_with_support_and_stay_on_the_verdicts_side(one, other, accepts):
    scale = score_knots(SUPPORTS, 0.3, highest=HIGHEST)
    low, high = (score_of(s, scale, accepts=accepts) for s in sorted((one, other)))
    assert low <= high
    assert (low >= 75) == (high >= 75) == accepts


def test_one_firm_objection_rejects_or_goes_to_review_by_what_the_analyst_thinks():
    unmoved, warm = [LOWEST, *3 * [NO_OBJECTION]], [LOWEST, *2 * [NO_OBJECTION], HIGHEST]
    assert np.var(unmoved) < 40 < np.var(warm)
    assert np.var([LOWEST, LOWEST, NO_OBJECTION, NO_OBJECTION]) > 40
    # The Analyst's word against three who are nearly sure that nothing speaks against it.
    votes = [(LOWEST, 0.52), (NO_OBJECTION, 0.99), (NO_OBJECTION, 0.99), (NO_OBJECTION, 0.6)]
    assert sum(score * c for score, c in votes) < 75 * sum(c for _, c in votes)
