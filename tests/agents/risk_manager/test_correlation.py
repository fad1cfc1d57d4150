"""Correlation estimators against scikit-learn, by hand, and on planted structure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from sklearn.covariance import ledoit_wolf

from agents.risk_manager.correlation import (
    clusters,
    denoised_correlation,
    sample_correlation,
    shrunk_correlation,
    stress_correlation,
    tightened,
    weighted_correlation,
)
from domain.errors import InvalidValue

TRUTH = np.full((40, 40), 0.3) + 0.7 * np.eye(40)
FEW_DAYS = np.random.default_rng(1).multivariate_normal(np.zeros(40), TRUTH, 60) * 0.01
ESTIMATORS = {
    "sample": sample_correlation,
    "shrunk": lambda r: shrunk_correlation(r).correlation,
    "denoised": lambda r: denoised_correlation(r).correlation,
    "weighted": weighted_correlation,
}
PANELS = nps.arrays(
    np.float64,
    st.tuples(st.integers(2, 12), st.integers(1, 6)),
    elements=st.floats(-1, 1, width=32),
)


def test_shrinkage_equals_scikit_learn():
    scaled = (FEW_DAYS - FEW_DAYS.mean(axis=0)) / FEW_DAYS.std(axis=0)
    matrix, intensity = ledoit_wolf(scaled, assume_centered=True)
    found = shrunk_correlation(FEW_DAYS)
    assert found.intensity == pytest.approx(intensity)
    assert found.correlation == pytest.approx(matrix)


def test_sample_correlation_equals_numpy():
    assert sample_correlation(FEW_DAYS) == pytest.approx(np.corrcoef(FEW_DAYS.T))


def test_weighted_correlation_is_the_recursion_written_out():
    moments = np.zeros((40, 40))
    for day in FEW_DAYS:
        moments = 0.97 * moments + 0.03 * np.outer(day, day)
    deviations = np.sqrt(np.diag(moments))
    expected = moments / np.outer(deviations, deviations)
    assert weighted_correlation(FEW_DAYS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("shrunk", np.kron(np.eye(8), np.full((5, 5), 0.5)) + 0.5 * np.eye(40)),
        ("denoised", TRUTH),
    ],
)
def test_with_few_days_it_is_nearer_to_the_truth_than_the_sample(name, truth):
    returns = np.random.default_rng(5).multivariate_normal(np.zeros(40), truth, 60)
    error = np.linalg.norm(ESTIMATORS[name](returns) - truth)
    assert error < 0.85 * np.linalg.norm(sample_correlation(returns) - truth)


def test_pure_noise_is_seen_as_noise():
    noise = np.random.default_rng(2).standard_normal((400, 40))
    found = denoised_correlation(noise)
    assert found.intensity >= 0.95
    off = found.correlation[~np.eye(40, dtype=bool)]
    assert np.abs(off).max() < 0.1


@given(PANELS, st.sampled_from(sorted(ESTIMATORS)))
def test_every_estimate_is_a_correlation_matrix(returns, name):
    matrix = ESTIMATORS[name](returns)
    assert (matrix == matrix.T).all()
    assert (np.diag(matrix) == 1).all()
    assert np.abs(matrix).max() <= 1
    assert np.linalg.eigvalsh(matrix).min() > -1e-8


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_an_asset_that_never_moved_is_uncorrelated(name):
    returns = np.column_stack([FEW_DAYS[:, :2], np.zeros(60)])
    matrix = ESTIMATORS[name](returns)
    assert matrix[2] == pytest.approx([0, 0, 1])
    assert matrix[0, 1] != 0


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
@pytest.mark.parametrize(
    "bad", [FEW_DAYS[:1], FEW_DAYS[:, 0], np.where(FEW_DAYS > 0.02, np.nan, FEW_DAYS)]
)
def test_gaps_and_single_days_are_a_typed_error(name, bad):
    with pytest.raises(InvalidValue):
        ESTIMATORS[name](bad)


def test_a_bad_market_alone_is_no_break_down():
    returns = np.random.default_rng(3).multivariate_normal(np.zeros(10), TRUTH[:10, :10], 40_000)
    found = stress_correlation(returns)
    assert found.days == 4_000
    # The tail alone takes the common movement out, though every day has a correlation of 0.3.
    assert found.stressed < 0.1 < found.calm
    assert abs(found.breakdown) < 0.02


def test_a_market_that_moves_as_one_when_it_falls_breaks_down():
    random = np.random.default_rng(4)
    returns = random.standard_normal((3_000, 6))
    crash = random.random(3_000) < 0.1
    returns[crash] = -2.0 - np.abs(random.standard_normal((crash.sum(), 1))) + 0.1 * returns[crash]
    assert stress_correlation(returns).breakdown > 0.5


def test_too_few_bad_days_show_no_break_down():
    with pytest.raises(InvalidValue, match="no break-down"):
        stress_correlation(FEW_DAYS)
    with pytest.raises(InvalidValue, match="no break-down"):
        stress_correlation(np.ones((500, 1)))


@given(st.floats(0, 1))
def test_tightening_keeps_a_correlation_matrix(share):
    matrix = tightened(TRUTH, share)
    assert np.linalg.eigvalsh(matrix).min() > -1e-8
    assert matrix[0, 1] == pytest.approx(0.3 + 0.7 * share)
    with pytest.raises(InvalidValue):
        tightened(TRUTH, 1.5)


def test_clusters_are_the_connected_groups():
    matrix = np.eye(5)
    for one, other in ((0, 3), (3, 4)):
        matrix[one, other] = matrix[other, one] = 0.9
    assert clusters(matrix, 0.8) == [[0, 3, 4], [1], [2]]
    assert clusters(matrix, 0.95) == [[0], [1], [2], [3], [4]]


def test_a_decay_outside_its_range_is_refused():
    with pytest.raises(InvalidValue):
        weighted_correlation(FEW_DAYS, 1.0)
