"""Allocations by expected shortfall (CVaR) of scenarios, as linear programs."""

from math import ceil

import numpy as np

from agents.portfolio_optimizer.cardinality import Optimum, Solved, best_subset
from agents.portfolio_optimizer.conflicts import require_feasible
from agents.portfolio_optimizer.constraints import Constraints, Program, program
from agents.portfolio_optimizer.estimation import Estimates
from agents.portfolio_optimizer.mean_variance import Excluded
from agents.portfolio_optimizer.solvers import LinearOptimum, linear_program
from agents.price_history import Floats
from domain.errors import InvalidValue

#: Tails' worth of scenarios that a program begins with, besides one per asset.
_FIRST_TAILS = 3
#: How far beyond the value at risk a loss is one more than rounding.
_BEYOND = 1e-12


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
        found = _by_the_worst(rows, scenarios, tail, return_weight * estimates.expected)
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


def _by_the_worst(
    rows: Program, scenarios: Floats, tail: float, wanted: Floats
) -> LinearOptimum | None:
    """Solve over the scenarios that lie in the tail, found as it goes on.

    The optimum over some scenarios is that over all where it leaves none of the others a loss
    beyond its own value at risk: those have probability 0. Begins with the worst of equal weights.
    """
    periods = len(scenarios)
    among = np.zeros(periods, np.bool_)
    likely = min(periods, ceil(_FIRST_TAILS * tail * periods) + rows.assets)
    among[np.argpartition(scenarios.sum(axis=1), likely - 1)[:likely]] = True
    while True:
        found = _dual(rows, scenarios[among], 1.0 / (tail * periods), wanted)
        if found is None and not among.all():
            among[:] = True  # some scenarios alone may not bound the loss
            continue
        if found is None:
            return None
        weights, level = found.multipliers[: rows.assets], found.multipliers[-1]
        beyond = ~among & (-scenarios @ weights > -level + _BEYOND)
        if not beyond.any():
            return found
        among |= beyond


def _dual(
    rows: Program, scenarios: Floats, most_likely: float, wanted: Floats
) -> LinearOptimum | None:
    (a, b), (g, h) = rows.equalities(), rows.inequalities()
    periods, width = len(scenarios), rows.rows.shape[1]
    cost = rows.cost.copy()
    cost[: rows.assets] -= wanted
    losses = np.zeros((width, periods))
    losses[: rows.assets] = -scenarios.T
    multipliers = len(h) + len(b)
    sum_of_probabilities = np.concatenate([np.ones(periods), np.zeros(multipliers)])
    return linear_program(
        np.concatenate([np.zeros(periods), h, b]),
        np.vstack([np.hstack([losses, g.T, a.T]), sum_of_probabilities]),
        np.append(-cost, 1.0),
        np.concatenate([np.zeros(periods + len(h)), np.full(len(b), -np.inf)]),
        np.concatenate([np.full(periods, most_likely), np.full(multipliers, np.inf)]),
    )
