import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvalidValue
from evaluation.cumulative_sum import run_length, watch, watched


def days_to_alarm(test, mean, seeds, days=20_000):
    """Return the days to each seed's alarm for normal days of this mean."""
    found = []
    for seed in seeds:
        earned = np.random.default_rng(seed).normal(mean, test.deviation, days)
        day = watched(test, earned).day
        found.append(days if day is None else day + 1)
    return np.array(found)


def test_average_run_lengths_are_those_of_the_literature():
    # Montgomery, Introduction to Statistical Quality Control, tables 9.3 and 9.4: k = 1/2, h = 5:
    # ARL0 465 two-sided (930 one-sided), ARL1 10.4; h = 4: 168 two-sided, 8.38.
    assert run_length(-0.5, 5.0) == pytest.approx(930, rel=0.02)
    assert run_length(0.5, 5.0) == pytest.approx(10.4, rel=0.02)
    assert run_length(-0.5, 4.0) == pytest.approx(336, rel=0.02)
    assert run_length(0.5, 4.0) == pytest.approx(8.38, rel=0.02)
    assert run_length(1e-12, 5.0) == pytest.approx(run_length(1e-6, 5.0), rel=1e-3)


def test_false_alarms_are_as_rare_and_ends_noticed_as_soon_as_said():
    test = watch(0.4, 1.0, days_between_false_alarms=1_000)
    assert test.days_between_false_alarms == pytest.approx(1_000, rel=1e-6)
    false = days_to_alarm(test, 0.4, range(300))
    assert false.mean() == pytest.approx(1_000, rel=0.15)
    noticed = days_to_alarm(test, 0.0, range(300), days=2_000)
    assert noticed.mean() == pytest.approx(test.days_to_notice, rel=0.1)
    assert days_to_alarm(test, -0.4, range(100), days=2_000).mean() < 0.5 * noticed.mean()


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.floats(0.05, 2), st.floats(0.1, 3))
@settings(deadline=None)
def test_the_sum_is_page_s_recursion(earned, mean, deviation):
    test = watch(mean, deviation, days_between_false_alarms=50)
    total, expected = 0.0, None
    for day, value in enumerate(earned):
        total = max(0.0, total + (mean / 2 - value) / deviation)
        if total > test.limit + 1e-9:
            expected = day
            break
    found = watched(test, earned)
    if found.day != expected:  # only where the sum touches the limit to within rounding
        assert found.statistic == pytest.approx(test.limit, abs=1e-6)
    else:
        assert found.statistic == pytest.approx(total, abs=1e-9)


def test_a_longer_record_never_takes_an_alarm_back():
    earned = np.random.default_rng(1).normal(0.0, 1.0, 500)
    test = watch(0.5, 1.0, days_between_false_alarms=100)
    first = watched(test, earned).day
    assert first is not None
    assert watched(test, np.concatenate([earned, np.full(99, 9.0)])).day == first
    assert watched(test, earned[:first]).day is None


@pytest.mark.parametrize("mean", [0.0, -0.1, float("nan")])
def test_what_is_no_edge_can_not_be_watched(mean):
    with pytest.raises(InvalidValue, match="no edge"):
        watch(mean, 1.0)


def test_a_gap_in_the_record_is_refused():
    with pytest.raises(InvalidValue, match="finite"):
        watched(watch(0.1, 1.0), [0.1, float("nan")])
