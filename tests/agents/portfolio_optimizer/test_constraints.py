from dataclasses import replace

import numpy as np
import pytest

from agents.portfolio_optimizer.allocation import Objective, Preferences, allocate
from agents.portfolio_optimizer.constraints import Constraints, Group, program
from domain.errors import InvalidValue

ALL = Constraints(
    lower=-0.3, upper=0.6, gross=1.4, held=np.full(5, 0.2), turnover=0.8, trading_cost=0.001,
    groups=(Group("tech", ("A", "B"), most=0.3),),
)  # fmt: skip


def test_weights_under_every_constraint_are_those_of_cvxpy(known):
    # cvxpy 1.9.3 + CLARABEL 0.11.1 on the same program, tolerances 1e-12.
    found = allocate(Objective.MEAN_VARIANCE, known, ALL, Preferences(aversion=5.0)).weights
    np.testing.assert_allclose(found, [0.1, 0.2, 0.6, -0.1, 0.2], atol=1e-7)


@pytest.mark.parametrize("objective", list(Objective))
def test_every_objective_keeps_every_constraint(known, objective):
    shifted = replace(known, expected=known.expected + 0.003)
    weights = allocate(objective, shifted, ALL).weights
    assert weights.sum() == pytest.approx(1.0, abs=1e-8)
    assert weights.min() >= -0.3 - 1e-7
    assert weights.max() <= 0.6 + 1e-7
    assert np.abs(weights).sum() <= 1.4 + 1e-6
    assert np.abs(weights - 0.2).sum() <= 0.8 + 1e-6
    assert weights[0] + weights[1] <= 0.3 + 1e-7


def test_excluded_assets_are_held_at_zero(known):
    rows = program(
        Constraints(), known.symbols, known.expected, np.array([True, False, False, False, False])
    )
    bounded = dict(zip(rows.names, rows.high, strict=True))
    assert bounded["A at most 0"] == 0.0


@pytest.mark.parametrize(
    "constraints",
    [
        Constraints(lower=np.zeros(3)),
        Constraints(upper=np.nan),
        Constraints(held=np.zeros(2), turnover=1.0),
        Constraints(held=np.full(5, np.nan), turnover=1.0),
    ],
)
def test_constraints_of_the_wrong_shape_are_refused(known, constraints):
    with pytest.raises(InvalidValue):
        allocate(Objective.MINIMUM_VARIANCE, known, constraints)
