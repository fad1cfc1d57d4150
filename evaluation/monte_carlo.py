"""What else might have come of it: paths of returns, and how wealth, drawdown and ruin spread.

Paths are drawn from **returns** and compounded, never from profits in money: a profit belongs to
the capital it was earned on. A matrix of returns has one row a path and one column a period;
wealth starts at one. Each way of drawing asks another question:

* `bootstrap_paths`: other orders of what was observed, its clusters kept;
* `reordered_paths`: the same trades in another order, so that the end is the same, the way isn't;
* `uncertain_paths`: mean and deviation are themselves only estimates;
* `scenario_paths`: assets that crash together, by a t copula.
"""

from typing import Any, NamedTuple, cast

import numpy as np
from scipy.stats import binomtest  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from agents.risk_manager.monte_carlo_value_at_risk import simulate_losses
from agents.risk_manager.value_at_risk import historical
from domain.errors import InvalidValue
from evaluation.arrays import Floats, Series, finite
from evaluation.resampling import stationary_indices

#: Paths whose wealth is computed at once: they stay in the processor's cache.
_BLOCK = 256


class Outcomes(NamedTuple):
    """Per path: wealth at the end and at its lowest, and the deepest drawdown (-0.2 = 20 %)."""

    wealth: Floats
    lowest: Floats
    drawdown: Floats


class Spread(NamedTuple):
    """How outcomes spread over paths.

    Parameters
    ----------
    wealth, drawdown
        Quantiles at `levels`.
    ruin, ruin_low, ruin_high
        Share of the paths on which wealth ever fell to the level of ruin or below, with the 95 %
        Wilson interval of its error of simulation.
    value_at_risk, expected_shortfall
        Of the loss over the whole horizon (a fraction of the start), at 95 %.
    """

    levels: tuple[float, ...]
    wealth: tuple[float, ...]
    drawdown: tuple[float, ...]
    ruin: float
    ruin_low: float
    ruin_high: float
    value_at_risk: float
    expected_shortfall: float


def bootstrap_paths(
    returns: Series, *, periods: int, paths: int, block: float, seed: int
) -> Floats:
    """Return paths × periods drawn from `returns` in blocks of random length with mean `block`.

    The stationary bootstrap (Politis & Romano, 1994); `block` 1 draws single returns.

    Raises
    ------
    InvalidValue
        If there are fewer than two returns, or one is not finite or is a loss of everything.
    """
    observed = _observed(returns)
    rng = np.random.default_rng(seed)
    return observed[stationary_indices(len(observed), rng, block, (paths, periods))]


def reordered_paths(trades: Series, *, paths: int, seed: int) -> Floats:
    """Return paths × trades: the returns of `trades` on the whole capital, in random orders.

    Raises
    ------
    InvalidValue
        As `bootstrap_paths`.
    """
    observed = np.broadcast_to(_observed(trades), (paths, len(trades)))
    return np.random.default_rng(seed).permuted(observed, axis=1)


def uncertain_paths(returns: Series, *, periods: int, paths: int, seed: int) -> Floats:
    """Return paths × periods of normal log returns whose parameters differ from path to path.

    They are drawn from their posterior given `returns` under the uninformative prior: the variance
    from a scaled inverse χ² with n - 1 degrees of freedom, the mean from a normal around the
    sample's with variance σ² / n (Gelman et al., "Bayesian Data Analysis", 3rd edition, 3.2).

    Raises
    ------
    InvalidValue
        As `bootstrap_paths`.
    """
    logs = np.log1p(_observed(returns))
    n = len(logs)
    rng = np.random.default_rng(seed)
    deviation: Floats = np.sqrt((n - 1) * logs.var(ddof=1) / rng.chisquare(n - 1, paths))
    mean: Floats = float(logs.mean()) + deviation / np.sqrt(n) * rng.standard_normal(paths)
    return np.expm1(mean[:, None] + deviation[:, None] * rng.standard_normal((paths, periods)))


def scenario_paths(
    weights: Floats,
    mean: Floats,
    volatility: Floats,
    correlation: Floats,
    *,
    degrees: float = np.inf,
    marginal_degrees: Floats | None = None,
    periods: int,
    paths: int,
    seed: int,
) -> Floats:
    """Return paths × periods of a portfolio that is brought back to `weights` each period.

    Paths come in mirrored pairs (antithetic variates), the second half after the first.

    Parameters
    ----------
    weights, mean, volatility
        Per asset: share of wealth, mean and deviation of one period's return.
    correlation
        Of the copula, assets × assets.
    degrees, marginal_degrees
        Of freedom: of the t copula (infinite is normal) and of each asset's t distribution (by
        default the copula's).

    Raises
    ------
    InvalidValue
        If the matrix is no correlation matrix, there are two degrees of freedom or fewer, or the
        number of paths is odd.
    """
    if paths % 2:
        raise InvalidValue(
            f"{paths} paths can't come in pairs.", next_step="Ask for an even number of paths."
        )
    losses = simulate_losses(
        weights * volatility,
        correlation,
        copula_degrees=degrees,
        marginal_degrees=(
            np.full(len(weights), degrees) if marginal_degrees is None else marginal_degrees
        ),
        scenarios=paths * periods,
        seed=seed,
    )
    return float(weights @ mean) - losses.reshape(paths, periods)


def outcomes(returns: Floats) -> Outcomes:
    """Return what each path of `returns` (paths × periods) leads to.

    A loss of everything or more ends a path at a wealth of zero.
    """
    paths = len(returns)
    found = Outcomes(np.empty(paths), np.empty(paths), np.empty(paths))
    for first in range(0, paths, _BLOCK):
        rows = slice(first, first + _BLOCK)
        wealth = np.cumprod(np.maximum(1.0 + returns[rows], 0.0), axis=1)
        peak = np.maximum(np.maximum.accumulate(wealth, axis=1), 1.0)
        found.wealth[rows] = wealth[:, -1]
        found.lowest[rows] = np.minimum(wealth.min(axis=1), 1.0)
        found.drawdown[rows] = np.minimum((wealth / peak).min(axis=1), 1.0) - 1.0
    return found


def spread(
    found: Outcomes,
    *,
    ruin: float = 0.5,
    levels: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95),
) -> Spread:
    """Return how `found` spreads; `ruin` is a share of the starting wealth."""
    ruined = int(np.count_nonzero(found.lowest <= ruin))
    ruin_low, ruin_high = _wilson_interval(ruined, len(found.lowest))
    tail = historical(1.0 - found.wealth, 0.95)
    return Spread(
        levels=levels,
        wealth=tuple(np.quantile(found.wealth, levels).tolist()),
        drawdown=tuple(np.quantile(found.drawdown, levels).tolist()),
        ruin=ruined / len(found.lowest),
        ruin_low=ruin_low,
        ruin_high=ruin_high,
        value_at_risk=tail.value_at_risk,
        expected_shortfall=tail.expected_shortfall,
    )


def _wilson_interval(count: int, trials: int) -> tuple[float, float]:
    interval = cast("Any", binomtest(count, trials)).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def _observed(returns: Series) -> Floats:
    observed = finite(returns, "returns")
    if len(observed) < 2 or observed.min() <= -1.0:
        raise InvalidValue(
            "Paths need two returns or more, none of them a loss of everything.",
            next_step="Give a longer series, and cut it where the account was lost.",
        )
    return observed
