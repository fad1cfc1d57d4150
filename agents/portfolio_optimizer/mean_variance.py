"""Allocations by mean and variance.

On the exact frontier where bounds are all that is asked, else by a quadratic program.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agents.portfolio_optimizer.cardinality import Optimum, Solved, best_subset
from agents.portfolio_optimizer.conflicts import require_feasible
from agents.portfolio_optimizer.constraints import Constraints, program
from agents.portfolio_optimizer.estimation import Estimates, checked_covariance, checked_returns
from agents.portfolio_optimizer.frontier import Frontier, efficient_frontier
from agents.portfolio_optimizer.quadratic_programming import minimise_quadratic
from agents.price_history import Floats
from domain.errors import InvalidValue

_FIXED_POINT_STEPS = 50
_FIXED_POINT = 1e-10
#: A weight below this is none.
_NONE = 1e-9

Excluded = NDArray[np.bool_] | None


def frontier(estimates: Estimates, constraints: Constraints) -> Frontier:
    """Return the exact frontier within the bounds.

    Raises
    ------
    InvalidValue
        If more than bounds is asked (`pareto_front` shows such a frontier by points), or an
        estimate can't be used.
    ConflictingConstraints
        If nothing keeps the bounds.
    """
    if not constraints.bounds_only:
        raise InvalidValue(
            "The exact frontier takes bounds and a budget alone.",
            next_step="Leave the other constraints out, or ask for a front of points.",
        )
    n = len(estimates.symbols)
    lower, upper = constraints.bounds(n)
    if not (lower <= upper).all() or not lower.sum() <= constraints.budget <= upper.sum():
        require_feasible(constraints, estimates.symbols, estimates.expected)
    return efficient_frontier(
        estimates.expected, estimates.covariance, lower, upper, budget=constraints.budget
    )


def mean_variance(
    estimates: Estimates,
    constraints: Constraints,
    aversion: float,
    *,
    linear: Floats | None = None,
) -> Optimum:
    """Return the weights that maximise μ'w - ½ · aversion · w'Σw - trading costs.

    Parameters
    ----------
    aversion
        Risk aversion, above 0; infinite for the least variance (costs then don't matter).
    linear
        Takes the place of μ in the objective.
    """
    if not aversion > 0.0:
        raise InvalidValue("Risk aversion must be above 0.", next_step="Give a larger one.")
    if constraints.bounds_only and linear is None:
        whole = frontier(estimates, constraints)
        weights = whole.minimum_variance if np.isinf(aversion) else whole.at_risk_aversion(aversion)
        return Optimum(weights)
    mean = checked_returns(estimates.expected)
    sigma = checked_covariance(estimates.covariance, len(mean))
    wanted = mean if linear is None else linear
    require_feasible(constraints, estimates.symbols, mean)

    def solve(excluded: Excluded) -> Solved:
        rows = program(constraints, estimates.symbols, mean, excluded)
        n, width = rows.assets, rows.rows.shape[1]
        hessian, costs = np.zeros((width, width)), np.zeros(width)
        hessian[:n, :n] = sigma
        if not np.isinf(aversion):
            costs = rows.cost / aversion
            costs[:n] -= wanted / aversion
        x = minimise_quadratic(hessian, costs, rows.equalities(), rows.inequalities())
        return Solved(x[:n], float(0.5 * x @ hessian @ x + costs @ x))

    return _with_limit(solve, constraints, estimates)


def maximum_sharpe(
    estimates: Estimates, constraints: Constraints, risk_free: float = 0.0
) -> Optimum:
    """Return the weights of the largest Sharpe ratio after trading costs.

    Beyond bounds, by the program of Cornuejols & Tütüncü ("Optimization Methods in Finance",
    §8.2): least variance of y = κ w with expected excess return 1, κ ≥ 0 free.

    Raises
    ------
    InvalidValue
        If nothing allowed is expected to earn more than `risk_free` after costs.
    """
    if constraints.bounds_only:
        return Optimum(frontier(estimates, constraints).maximum_sharpe(risk_free))
    mean = checked_returns(estimates.expected)
    sigma = checked_covariance(estimates.covariance, len(mean))
    require_feasible(constraints, estimates.symbols, mean)
    unit = float(np.sqrt(np.diagonal(sigma)).mean())

    def solve(excluded: Excluded) -> Solved:
        rows = program(constraints, estimates.symbols, mean, excluded)
        n, width = rows.assets, rows.rows.shape[1]
        hessian: Floats = np.zeros((width + 1, width + 1))
        hessian[:n, :n] = sigma / unit**2
        earned = np.append(-rows.cost, -risk_free * constraints.budget) / unit
        earned[:n] += mean / unit
        (a, b), (g, h) = rows.equalities(), rows.inequalities()
        last: Floats = np.append(np.zeros(width), -1.0)
        a = np.vstack([np.column_stack([a, -b]), earned])
        b = np.append(np.zeros(len(b)), 1.0)
        g, h = np.vstack([np.column_stack([g, -h]), last]), np.zeros(len(h) + 1)
        try:
            x = minimise_quadratic(hessian, np.zeros(len(last)), (a, b), (g, h))
        except InvalidValue as problem:
            raise InvalidValue(
                "No allowed portfolio is expected to earn more than the risk-free rate.",
                next_step="Take the portfolio of least variance, or other expected returns.",
            ) from problem
        return Solved(x[:n] / x[-1], float(x @ hessian @ x))

    return _with_limit(solve, constraints, estimates)


def robust_mean_variance(
    estimates: Estimates, constraints: Constraints, aversion: float, uncertainty: float
) -> Optimum:
    """Return the best weights for the worst expected returns in an ellipsoid around the estimate.

    Maximises μ'w - uncertainty · √(w'Σw / T) - ½ · aversion · w'Σw, T periods observed: the
    estimate errs by Σ / T. Ceria & Stubbs, "Incorporating estimation errors into portfolio
    selection" (2006). At the optimum the square root acts as further aversion to risk, which is
    found as a fixed point.
    """
    reach = uncertainty / np.sqrt(len(estimates.scenarios))
    extra, best = 0.0, Optimum(np.zeros(len(estimates.symbols)))
    for _ in range(_FIXED_POINT_STEPS):
        best = mean_variance(estimates, constraints, aversion + extra)
        risk = float(np.sqrt(best.weights @ estimates.covariance @ best.weights))
        before, extra = extra, reach / risk
        if abs(extra - before) <= _FIXED_POINT * (aversion + extra):
            break
    return best


def regularised_mean_variance(
    estimates: Estimates, constraints: Constraints, aversion: float, ridge: float
) -> Optimum:
    """Return the weights that maximise μ'w - ½ · aversion · (w'Σw + ridge · v · w'w).

    v is the mean variance of the assets, so `ridge` has no unit: 0 is `mean_variance`, a large
    one approaches equal weights. Brodie et al. (2009), DeMiguel et al. (2009).
    """
    sigma = checked_covariance(estimates.covariance, len(estimates.symbols))
    level = ridge * float(np.diagonal(sigma).mean())
    return mean_variance(
        Estimates(
            estimates.symbols, estimates.expected, sigma + level * np.eye(len(sigma)),
            estimates.scenarios,
        ),
        constraints,
        aversion,
    )  # fmt: skip


def maximum_diversification(estimates: Estimates, constraints: Constraints) -> Optimum:
    """Return the weights of the largest diversification ratio, w'σ / √(w'Σw).

    Choueifaty & Coignard, "Toward maximum diversification" (2008): the largest Sharpe ratio where
    each asset is expected to earn its volatility.
    """
    sigma = checked_covariance(estimates.covariance, len(estimates.symbols))
    earns_risk = Estimates(
        estimates.symbols, np.sqrt(np.diagonal(sigma)), sigma, estimates.scenarios
    )
    return maximum_sharpe(earns_risk, constraints)


def closest(target: Floats, estimates: Estimates, constraints: Constraints) -> Optimum:
    """Return the allowed weights with the least tracking risk against `target`."""
    sigma = checked_covariance(estimates.covariance, len(target))
    return mean_variance(estimates, constraints, 1.0, linear=sigma @ target)


def _with_limit(
    solve: Callable[[Excluded], Solved], constraints: Constraints, estimates: Estimates
) -> Optimum:
    if constraints.most_assets is None:
        return Optimum(solve(None).weights)
    return best_subset(solve, len(estimates.symbols), constraints.most_assets)
