"""One door to every way of allocating: objective, estimates and constraints to weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np

from agents.portfolio_optimizer.black_litterman import View, implied_returns, posterior
from agents.portfolio_optimizer.cardinality import Optimum
from agents.portfolio_optimizer.constraints import Constraints
from agents.portfolio_optimizer.estimation import Estimates, checked_covariance
from agents.portfolio_optimizer.expected_shortfall import mean_expected_shortfall
from agents.portfolio_optimizer.mean_variance import (
    closest,
    maximum_diversification,
    maximum_sharpe,
    mean_variance,
    regularised_mean_variance,
    robust_mean_variance,
)
from agents.portfolio_optimizer.risk_parity import hierarchical_risk_parity, risk_parity
from agents.price_history import Floats

#: A weight below this is rounding.
_NONE = 1e-12


class Objective(StrEnum):
    """What an allocation is chosen for."""

    EQUAL_WEIGHT = "equal_weight"
    INVERSE_VOLATILITY = "inverse_volatility"
    RISK_PARITY = "risk_parity"
    HIERARCHICAL_RISK_PARITY = "hierarchical_risk_parity"
    MAXIMUM_DIVERSIFICATION = "maximum_diversification"
    MINIMUM_VARIANCE = "minimum_variance"
    MAXIMUM_SHARPE = "maximum_sharpe"
    MEAN_VARIANCE = "mean_variance"
    MEAN_EXPECTED_SHORTFALL = "mean_expected_shortfall"
    BLACK_LITTERMAN = "black_litterman"
    ROBUST = "robust"
    REGULARISED = "regularised"


@dataclass(frozen=True)
class Preferences:
    """What an objective needs beyond estimates; returns are per period of the estimates.

    Parameters
    ----------
    aversion
        Risk aversion of the utility objectives.
    risk_free
        Return that the Sharpe ratio is above.
    tail, return_weight
        Share of scenarios in the expected shortfall, and what a unit of expected return is worth
        against it.
    uncertainty
        Radius of the ellipsoid of expected returns, in standard errors.
    ridge
        Variance added to every asset, in mean variances.
    market, views, tau
        Black–Litterman: what the market holds (equal weights where not given), what is expected,
        and how unsure the market's expectation is.
    """

    aversion: float = 5.0
    risk_free: float = 0.0
    tail: float = 0.05
    return_weight: float = 0.0
    uncertainty: float = 1.0
    ridge: float = 1.0
    market: Floats | None = field(default=None)
    views: tuple[View, ...] = ()
    tau: float = 0.05


class _Method(Protocol):
    def __call__(self, e: Estimates, c: Constraints, p: Preferences, /) -> Optimum: ...


def allocate(
    objective: Objective,
    estimates: Estimates,
    constraints: Constraints | None = None,
    preferences: Preferences | None = None,
) -> Optimum:
    """Return the weights, one per symbol of the estimates, and how far they may be from the best.

    The objectives without a utility of their own (equal weight, inverse volatility, risk parity,
    hierarchical risk parity) give the allowed weights of least tracking risk against theirs.

    Raises
    ------
    ConflictingConstraints
        If no weights keep the constraints.
    InvalidValue
        If an input can't be used, or the objective has no optimum.
    """
    best = _METHODS[objective](
        estimates, constraints or Constraints(), preferences or Preferences()
    )
    return best._replace(weights=np.where(np.abs(best.weights) < _NONE, 0.0, best.weights))


def _equal_weight(e: Estimates, c: Constraints, _: Preferences) -> Optimum:
    n = len(e.symbols)
    return _within(np.full(n, c.budget / n), e, c)


def _inverse_volatility(e: Estimates, c: Constraints, _: Preferences) -> Optimum:
    inverse = 1.0 / np.sqrt(np.diagonal(checked_covariance(e.covariance, len(e.symbols))))
    return _within(c.budget * inverse / inverse.sum(), e, c)


def _risk_parity(e: Estimates, c: Constraints, _: Preferences) -> Optimum:
    return _within(c.budget * risk_parity(e.covariance), e, c)


def _hierarchical(e: Estimates, c: Constraints, _: Preferences) -> Optimum:
    return _within(c.budget * hierarchical_risk_parity(e.covariance), e, c)


def _within(weights: Floats, e: Estimates, c: Constraints) -> Optimum:
    lower, upper = c.bounds(len(weights))
    if c.bounds_only and (lower <= weights).all() and (weights <= upper).all():
        return Optimum(weights)
    return closest(weights, e, c)


def _maximum_diversification(e: Estimates, c: Constraints, _: Preferences) -> Optimum:
    return maximum_diversification(e, c)


def _minimum_variance(e: Estimates, c: Constraints, _: Preferences) -> Optimum:
    return mean_variance(e, c, np.inf)


def _maximum_sharpe(e: Estimates, c: Constraints, p: Preferences) -> Optimum:
    return maximum_sharpe(e, c, p.risk_free)


def _mean_variance(e: Estimates, c: Constraints, p: Preferences) -> Optimum:
    return mean_variance(e, c, p.aversion)


def _mean_expected_shortfall(e: Estimates, c: Constraints, p: Preferences) -> Optimum:
    return mean_expected_shortfall(e, c, tail=p.tail, return_weight=p.return_weight)


def _black_litterman(e: Estimates, c: Constraints, p: Preferences) -> Optimum:
    n = len(e.symbols)
    market = np.full(n, 1.0 / n) if p.market is None else np.asarray(p.market, dtype=np.float64)
    prior = implied_returns(market, e.covariance, p.aversion)
    return mean_variance(posterior(e, prior, list(p.views), p.tau), c, p.aversion)


def _robust(e: Estimates, c: Constraints, p: Preferences) -> Optimum:
    return robust_mean_variance(e, c, p.aversion, p.uncertainty)


def _regularised(e: Estimates, c: Constraints, p: Preferences) -> Optimum:
    return regularised_mean_variance(e, c, p.aversion, p.ridge)


_METHODS: Mapping[Objective, _Method] = {
    Objective.EQUAL_WEIGHT: _equal_weight,
    Objective.INVERSE_VOLATILITY: _inverse_volatility,
    Objective.RISK_PARITY: _risk_parity,
    Objective.HIERARCHICAL_RISK_PARITY: _hierarchical,
    Objective.MAXIMUM_DIVERSIFICATION: _maximum_diversification,
    Objective.MINIMUM_VARIANCE: _minimum_variance,
    Objective.MAXIMUM_SHARPE: _maximum_sharpe,
    Objective.MEAN_VARIANCE: _mean_variance,
    Objective.MEAN_EXPECTED_SHORTFALL: _mean_expected_shortfall,
    Objective.BLACK_LITTERMAN: _black_litterman,
    Objective.ROBUST: _robust,
    Objective.REGULARISED: _regularised,
}
