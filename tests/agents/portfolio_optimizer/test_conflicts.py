from dataclasses import replace

import numpy as np
import pytest

from agents.portfolio_optimizer.allocation import Objective, allocate
from agents.portfolio_optimizer.conflicts import ConflictingConstraints, require_feasible
from agents.portfolio_optimizer.constraints import Constraints, Group


def conflict(known, constraints):
    with pytest.raises(ConflictingConstraints) as caught:
        require_feasible(constraints, known.symbols, known.expected)
    return set(caught.value.conflict)


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        (Constraints(upper=0.1), {"weights sum to 1", "each asset at most 0.1"}),
        (
            Constraints(upper=0.3, most_assets=3),
            {"weights sum to 1", "each asset at most 0.3", "at most 3 assets"},
        ),
        (
            Constraints(groups=(Group("a", ("A", "B", "C"), most=0.3),
                                Group("b", ("C", "D", "E"), most=0.5))),
            {"weights sum to 1", "each asset at least 0", "a at most 0.3", "b at most 0.5"},
        ),
        (
            Constraints(upper=0.2, held=np.eye(5)[0], turnover=1.0),
            {"weights sum to 1", "each asset at most 0.2", "turnover at most 1"},
        ),
        (
            Constraints(lower=np.array([0.5, 0.6, 0.0, 0.0, 0.0])),
            {"weights sum to 1", "A at least 0.5", "B at least 0.6", "C, D, E at least 0"},
        ),
        (
            Constraints(lower=-1.0, gross=0.9),
            {"weights sum to 1", "gross exposure at most 0.9"},
        ),
    ],
)  # fmt: skip
def test_the_constraints_in_conflict_are_named_and_no_others(known, constraints, expected):
    assert conflict(known, constraints) == expected


def test_without_any_one_of_the_conflict_the_rest_can_be_kept(known):
    constraints = Constraints(
        upper=0.5, groups=(Group("a", ("A", "B"), most=0.1), Group("b", ("C", "D"), most=0.2))
    )
    assert conflict(known, constraints) == {
        "weights sum to 1", "each asset at most 0.5", "a at most 0.1", "b at most 0.2",
    }  # fmt: skip
    for easier in (
        replace(constraints, budget=0.8),
        replace(constraints, upper=1.0),
        replace(constraints, groups=constraints.groups[:1]),
        replace(constraints, groups=constraints.groups[1:]),
    ):
        require_feasible(easier, known.symbols, known.expected)


def test_too_large_an_expected_return_is_in_conflict(known):
    assert "expected return at least 1" in conflict(known, Constraints(least_return=1.0))


def test_every_way_in_raises_the_same_conflict(known):
    for objective in Objective:
        with pytest.raises(ConflictingConstraints, match="each asset at most"):
            allocate(objective, known, Constraints(upper=0.1))
