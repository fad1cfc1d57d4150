"""Allocations by expected shortfall (CVaR) of scenarios, as linear programs."""

import numpy as np

from agents.portfolio_optimizer.cardinality import Optimum, Solved, best_subset
from agents.portfolio_optimizer.conflicts import require_feasible
from agents.portfolio_optimizer.constraints import Constraints, program
from agents.portfolio_optimizer.estimation import Estimates
from agents.portfolio_optimizer.mean_variance import Excluded
from agents.portfolio_optimizer.solvers import linear_program
from agents.price_history import Floats
from domain.errors import InvalidValue


def expected_shortfall(returns: Floats, tail: float = 0.05) -> float:
    """Return the mean loss of the worst `tail` share of equally likely returns.

    The scenario at the edge counts by the part of it that belongs to the tail. Rockafellar &
    Uryasev, "Conditional value-at-risk for general loss distributions" (2002).
    """
    losses = -np.sort(np.asarray(returns, dtype=np.float64))
    share = np.clip(tail * len(losses) - np.arange(len(losses)), 0.0, 1.0)
    return float(share @ losses / share.sum())


def mean_expected_shortfall(
    estimates: Estimates,
    constraints: Constraints,
    *,
    tail: float = 0.05,
    return_weight: float = 0.0,
) -> Optimum:
    """Return the weights that minimise expected shortfall - return_weight · μ'w + trading costs.

    Solved by its dual, which has a variable per scenario but only a row per asset: the worst
    probabilities that the tail allows. The weights are its multipliers.

    Raises
    ------
    ConflictingConstraints
        If nothing keeps the constraints.
    InvalidValue
        If `tail` is not between 0 and 1, a scenario is not finite, or there is no optimum.
    """
    scenarios = np.asarray(estimates.scenarios, dtype=np.float64)
    if not 0.0 < tail < 1.0 or not len(scenarios) or not np.isfinite(scenarios).all():
        raise InvalidValue(
            "Expected shortfall needs finite scenarios and a tail between 0 and 1.",
            next_step="Leave out assets or periods without a return.",
        )

    def solve(excluded: Excluded) -> Solved:
        rows = program(constraints, estimates.symbols, estimates.expected, excluded)
        (a, b), (g, h) = rows.equalities(), rows.inequalities()
        periods, width = len(scenarios), rows.rows.shape[1]
        cost = rows.cost.copy()
        cost[: rows.assets] -= return_weight * estimates.expected
        losses = np.zeros((width, periods))
        losses[: rows.assets] = -scenarios.T
        multipliers = len(h) + len(b)
        found = linear_program(
            np.concatenate([np.zeros(periods), h, b]),
            np.vstack(
                [
                    np.hstack([losses, g.T, a.T]),
                    np.concatenate([np.ones(periods), np.zeros(multipliers)]),
                ]
            ),
            np.append(-cost, 1.0),
            np.concatenate([np.zeros(periods + len(h)), np.full(len(b), -np.inf)]),
            np.concatenate(
                [np.full(periods, 1.0 / (tail * periods)), np.full(multipliers, np.inf)]
            ),
        )
        if found is None:
            require_feasible(constraints, estimates.symbols, estimates.expected)
            raise InvalidValue(
                "Expected shortfall has no optimum.",
                next_step="Check the scale of the scenarios, and that the weights are bounded.",
            )
        return Solved(found.multipliers[: rows.assets], -found.value)

    if constraints.most_assets is None:
        return Optimum(solve(None).weights)
    require_feasible(constraints, estimates.symbols, estimates.expected)
    return best_subset(solve, len(estimates.symbols), constraints.most_assets)
