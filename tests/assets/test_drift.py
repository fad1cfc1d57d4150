"""The stability index against its formula by hand, and what it leaves out."""

from datetime import UTC, datetime, timedelta
from math import isnan, log

import polars as pl
import pytest

from assets.drift import drift, population_stability_index

REFERENCE = pl.Series([float(i) for i in range(100)])


def test_the_same_distribution_has_no_drift():
    assert population_stability_index(REFERENCE, REFERENCE) == pytest.approx(0.0)


def test_two_bins_by_hand():
    recent = pl.Series([10.0] * 30 + [90.0] * 70)
    by_hand = (0.3 - 0.5) * log(0.3 / 0.5) + (0.7 - 0.5) * log(0.7 / 0.5)
    assert population_stability_index(REFERENCE, recent, bins=2) == pytest.approx(by_hand)


def test_missing_values_are_left_out_and_nothing_is_nan():
    with_gaps = pl.concat([REFERENCE, pl.Series([None, float("nan")], dtype=pl.Float64)])
    assert population_stability_index(with_gaps, REFERENCE) == pytest.approx(0.0)
    assert isnan(population_stability_index(REFERENCE, pl.Series([], dtype=pl.Float64)))


def test_the_feature_that_moved_comes_first():
    start = datetime(2012, 1, 2, 21, tzinfo=UTC)
    days = [start + timedelta(days=i) for i in range(120)]
    frame = pl.DataFrame(
        {
            "symbol": ["A"] * 120,
            "timestamp": days,
            "calm": [float(i % 10) for i in range(120)],
            "moved": [float(i % 10) for i in range(100)] + [50.0] * 20,
        }
    )
    found = drift(frame, days[100], sessions=20)
    assert found["feature"].to_list() == ["moved", "calm"]
    assert found["stability_index"][0] > 1.0
    assert found["stability_index"][1] < 0.1
