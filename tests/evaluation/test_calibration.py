"""Calibration measures against scikit-learn and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from domain.errors import InvalidValue
from evaluation import calibration as cal
from evaluation.resampling import samples_by_day

P = [0.1, 0.1, 0.1, 0.1, 0.8, 0.8, 0.8, 0.8]
Y = [0, 0, 0, 1, 1, 1, 1, 0]

pairs = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=60)


def test_brier_and_log_loss_equal_scikit_learn():
    rng = np.random.default_rng(1)
    p, y = rng.random(300), rng.integers(0, 2, 300).astype(float)
    assert cal.brier_score(p, y) == pytest.approx(metrics.brier_score_loss(y, p))
    assert cal.log_loss(p, y) == pytest.approx(metrics.log_loss(y, p))


def test_decomposition_by_hand():
    # Bins hold 0.1 (observed 1/4) and 0.8 (observed 3/4); base rate 1/2.
    parts = cal.brier_parts(P, Y)
    assert parts == pytest.approx(((0.15**2 + 0.05**2) / 2, 0.0625, 0.25, 0.0), abs=1e-12)
    assert cal.brier_score(P, Y) == pytest.approx(parts[0] - parts[1] + parts[2])


def test_expected_calibration_error_by_hand():
    assert cal.expected_calibration_error(P, Y) == pytest.approx(0.1)


def test_reliability_curve_by_hand():
    curve = cal.reliability_curve(P, Y)
    assert curve["low"].to_list() == pytest.approx([0.1, 0.8])
    assert curve["forecast"].to_list() == pytest.approx([0.1, 0.8])
    assert curve["observed"].to_list() == [0.25, 0.75]
    assert curve["count"].to_list() == [4, 4]
    wilson = stats.binomtest(1, 4).proportion_ci(method="wilson")
    assert curve.row(0)[5:] == pytest.approx((wilson.low, wilson.high))


def test_sure_and_wrong_costs_a_finite_loss():
    assert cal.log_loss([1.0], [0]) == pytest.approx(-math.log(1e-6))


def test_interval_is_repeatable_and_covers():
    rng = np.random.default_rng(2)
    p = rng.random(400)
    y = (rng.random(400) < p).astype(float)
    first = cal.measure_interval(cal.brier_score, p, y, seed=3)
    assert first == cal.measure_interval(cal.brier_score, p, y, seed=3)
    assert first != cal.measure_interval(cal.brier_score, p, y, seed=4)
    assert first.lower < 1 / 6 < first.upper  # E p(1 - p) for uniform p


def test_bad_input_is_refused_and_empty_is_nan():
    for p, y in ([1.2], [1]), ([0.5], [0.5]), ([0.5, 0.5], [1]), ([math.nan], [1]):
        with pytest.raises(InvalidValue):
            cal.brier_score(p, y)
    assert math.isnan(cal.brier_score([], []))
    assert math.isnan(cal.expected_calibration_error([], []))
    assert cal.reliability_curve([], []).is_empty()
    assert math.isnan(cal.measure_interval(cal.brier_score, [0.5], [1], seed=1).lower)


@given(pairs, st.integers(1, 20))
def test_parts_sum_to_the_score(values, bins):
    p, y = zip(*values, strict=True)
    parts = cal.brier_parts(p, y, bins)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert total == pytest.approx(cal.brier_score(p, y), abs=1e-12)
    assert 0 <= cal.expected_calibration_error(p, y, bins) <= 1
    curve = cal.reliability_curve(p, y, bins)
    assert curve["count"].sum() == len(values)
    assert (curve["observed_low"] <= curve["observed"] + 1e-12).all()


def test_all_measures_at_once_are_those_one_by_one():
    random = np.random.default_rng(5)
    p = random.uniform(0, 1, 300)
    y = (random.random(300) < p).astype(float)
    days = [number // 4 for number in range(300)]
    found = cal.calibration(p, y, days, seed=2, block=3.0, resamples=50)
    for measure, interval in (
        (cal.brier_score, found.brier),
        (cal.log_loss, found.log_loss),
        (cal.expected_calibration_error, found.calibration_error),
    ):
        alone = cal.measure_interval(measure, p, y, seed=2, block=3.0, resamples=50, days=days)
        assert interval == pytest.approx(alone)
    assert found.stated == pytest.approx(p.mean())
    assert found.brier_of_base_rate == pytest.approx(y.mean() * (1 - y.mean()))
    assert math.isnan(cal.calibration([], [], [], seed=1, block=5.0).brier.estimate)


def test_rows_of_a_day_stay_together_whatever_their_order():
    days = [2, 0, 1, 0, 2, 2]
    for rows in samples_by_day(days, seed=3, block=2.0, resamples=50):
        drawn = [days[row] for row in rows]
        # Every day drawn comes with all of its rows.
        assert all(drawn.count(day) % days.count(day) == 0 for day in set(drawn))
    whole = [sorted(r) for r in samples_by_day(days, seed=3, block=2.0, resamples=50)]
    assert any(len(rows) != len(days) for rows in whole)
