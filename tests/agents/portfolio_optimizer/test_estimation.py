import numpy as np
import pytest

from agents.portfolio_optimizer.estimation import estimates, sample_covariance, shrunk_covariance
from domain.errors import InvalidValue


def test_shrinkage_is_scikit_learns(scenarios):
    # scikit-learn 1.9.1, ledoit_wolf(scenarios)
    expected = [0.000132116, 0.000218936, 0.000107464, 0.000326132, 0.00016886]
    np.testing.assert_allclose(np.diagonal(shrunk_covariance(scenarios)), expected, atol=1e-9)


def test_fewer_periods_than_assets_are_no_trouble_once_shrunk():
    few = np.random.default_rng(1).normal(size=(4, 9))
    assert np.linalg.eigvalsh(shrunk_covariance(few))[0] > 1e-3


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (np.ones((2, 3)), "say nothing"),
        (np.ones(5), "say nothing"),
        (np.array([[0.1, 0.0], [np.nan, 0.1], [0.2, 0.1]]), r"assets \[0\]"),
        (np.array([[0.1, 0.5], [0.2, 0.5], [0.3, 0.5]]), r"Assets \[1\] never move"),
    ],
)
def test_returns_that_say_nothing_are_refused(rows, says):
    for estimate in (sample_covariance, shrunk_covariance):
        with pytest.raises(InvalidValue, match=says):
            estimate(rows)


def test_every_column_has_a_name(scenarios):
    with pytest.raises(InvalidValue, match="Name every column"):
        estimates(("A",), scenarios)
