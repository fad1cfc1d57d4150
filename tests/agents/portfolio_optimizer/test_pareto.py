import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from agents.portfolio_optimizer.constraints import Constraints
from agents.portfolio_optimizer.pareto import front_of, mean_variance_front, not_dominated
from domain.errors import InvalidValue

VALUES = nps.arrays(
    np.float64, st.tuples(st.integers(1, 15), st.integers(1, 3)), elements=st.integers(-3, 3)
)


@given(VALUES)
def test_what_is_kept_is_beaten_by_nothing_and_what_is_not_by_something_kept(values):
    kept = not_dominated(values)
    front = values[kept]
    for row in front:
        assert not ((front >= row).all(axis=1) & (front > row).any(axis=1)).any()
    for row in values[~kept]:
        assert (front >= row).all(axis=1).any()


def test_the_front_of_mean_and_risk_rises_in_both(known):
    points = mean_variance_front(known, Constraints(most_assets=3), 6)
    front = front_of(points, ("expected_return", "volatility"), known, Constraints())
    assert (np.diff(front.values, axis=0) <= 1e-12).all()
    assert 0 <= front.balanced < len(front.weights)


def test_of_opposite_wishes_the_balanced_point_lies_between(known):
    points = mean_variance_front(known, Constraints(), 8)
    front = front_of(points, ("expected_return", "expected_shortfall"), known, Constraints())
    assert 0 < front.balanced < len(front.weights) - 1


def test_an_unknown_objective_is_refused(known):
    with pytest.raises(InvalidValue, match="Choose among"):
        front_of([np.full(5, 0.2)], ("luck",), known, Constraints())
