"""Several objectives at once: which allocations nothing beats, and the front they form."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.portfolio_optimizer.constraints import Constraints
from agents.portfolio_optimizer.diversification import diversification
from agents.portfolio_optimizer.estimation import Estimates
from agents.portfolio_optimizer.expected_shortfall import expected_shortfall
from agents.portfolio_optimizer.mean_variance import mean_variance
from agents.price_history import Floats
from domain.errors import InvalidValue

Measure = Callable[[Floats, Estimates, Constraints], float]


def _expected_return(weights: Floats, estimates: Estimates, _: Constraints) -> float:
    return float(weights @ estimates.expected)


def _volatility(weights: Floats, estimates: Estimates, _: Constraints) -> float:
    return float(np.sqrt(weights @ estimates.covariance @ weights))


def _shortfall(weights: Floats, estimates: Estimates, _: Constraints) -> float:
    return expected_shortfall(estimates.scenarios @ weights)


def _turnover(weights: Floats, _: Estimates, constraints: Constraints) -> float:
    held = np.zeros(len(weights)) if constraints.held is None else constraints.held
    return float(np.abs(weights - held).sum())


def _bets(weights: Floats, estimates: Estimates, _: Constraints) -> float:
    return diversification(weights, estimates.covariance).effective_bets


#: Name → measure and its sense: 1 where more is better, -1 where less is.
OBJECTIVES: Mapping[str, tuple[Measure, int]] = {
    "expected_return": (_expected_return, 1),
    "volatility": (_volatility, -1),
    "expected_shortfall": (_shortfall, -1),
    "turnover": (_turnover, -1),
    "effective_bets": (_bets, 1),
}


class Front(NamedTuple):
    """Allocations none of which is beaten in all objectives, in the order of the first.

    `values` is points × objectives, in each objective's own unit.
    """

    objectives: tuple[str, ...]
    weights: Floats
    values: Floats

    @property
    def balanced(self) -> int:
        """Position of the point nearest to the best of every objective, each scaled to 0 … 1."""
        sense = np.array([OBJECTIVES[name][1] for name in self.objectives])
        better = self.values * sense
        best, reach = better.max(axis=0), np.ptp(better, axis=0)
        distance = (best - better) / np.where(reach > 0.0, reach, 1.0)
        return int(np.argmin((distance**2).sum(axis=1)))


def not_dominated(values: Floats) -> NDArray[np.bool_]:
    """Tell for each row, larger being better, whether no other is as good in all and better in one.

    Of equal rows the first stays.
    """
    n = len(values)
    keep = np.ones(n, bool)
    for i in range(n):
        as_good = (values >= values[i]).all(axis=1)
        better = as_good & (values > values[i]).any(axis=1)
        repeated = (values[:i] == values[i]).all(axis=1).any()
        keep[i] = not better.any() and not repeated
    return keep


def front_of(
    candidates: Sequence[Floats],
    objectives: tuple[str, ...],
    estimates: Estimates,
    constraints: Constraints,
) -> Front:
    """Return the front among candidate allocations.

    Raises
    ------
    InvalidValue
        If an objective is unknown, or there is no candidate.
    """
    unknown = [name for name in objectives if name not in OBJECTIVES]
    if unknown or not objectives or not len(candidates):
        raise InvalidValue(
            f"No front of {len(candidates)} allocations by {objectives or 'nothing'}.",
            next_step=f"Choose among {', '.join(OBJECTIVES)}.",
        )
    values = np.array(
        [
            [OBJECTIVES[name][0](w, estimates, constraints) for name in objectives]
            for w in candidates
        ]
    )
    sense = np.array([OBJECTIVES[name][1] for name in objectives])
    kept = np.flatnonzero(not_dominated(values * sense))
    kept = kept[np.argsort(-(values * sense)[kept, 0], kind="stable")]
    return Front(objectives, np.array(candidates)[kept], values[kept])


def mean_variance_front(
    estimates: Estimates, constraints: Constraints, points: int
) -> list[Floats]:
    """Return allocations from least variance on, over risk aversions, under any constraints."""
    unit = float(np.abs(estimates.expected).max()) / float(np.diagonal(estimates.covariance).mean())
    aversions = [np.inf, *np.geomspace(100.0 * max(unit, 1e-3), 0.01 * max(unit, 1e-3), points - 1)]
    return [mean_variance(estimates, constraints, aversion).weights for aversion in aversions]
