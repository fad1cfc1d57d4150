"""The whole efficient frontier of long and short bounds, exactly, by Markowitz's critical line.

Between two turning points the weights are linear in the trade-off λ of

    minimise ½ w'Σw - λ μ'w,    Σ w = budget,    lower ≤ w ≤ upper,

so the turning points are the frontier. The walk starts at the largest return (λ = ∞) and ends at
the least variance (λ = 0). Markowitz (1956); Niedermayer & Niedermayer, "Applying Markowitz's
Critical Line Algorithm" (2010). Each step is one principal pivot of the optimality conditions,
O(n²).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.portfolio_optimizer.estimation import checked_covariance, checked_returns
from agents.price_history import Floats
from domain.errors import InvalidValue

#: Equal expected returns are told apart by this share of their spread, so that the start is one
#: portfolio; it moves no turning point's variance by more than rounding does.
_TIE = 1e-11
#: A walk visits each asset a few times at most; more steps would be a cycle.
_STEPS_PER_ASSET = 50


@dataclass(frozen=True)
class Frontier:
    """Turning points from the largest return to the least variance, one row each.

    Parameters
    ----------
    weights
        Points × assets.
    trade_offs
        λ at each point: variance gained per unit of return, halved; 0 at the last.
    returns, variances
        Of each point, in the unit of the estimates.
    """

    weights: Floats
    trade_offs: Floats
    returns: Floats
    variances: Floats
    expected: Floats
    covariance: Floats

    @property
    def minimum_variance(self) -> Floats:
        """Weights of least variance."""
        return self.weights[-1]

    def at_return(self, target: float) -> Floats:
        """Return the weights of least variance that earn at least `target`.

        Raises
        ------
        InvalidValue
            If no portfolio within the bounds earns that much.
        """
        if not target <= self.returns[0] + 1e-12:
            raise InvalidValue(
                f"No allowed portfolio is expected to earn {target:.6g}; at most"
                f" {self.returns[0]:.6g} is.",
                next_step="Ask for less, or widen the bounds.",
            )
        if target <= self.returns[-1]:
            return self.minimum_variance
        after = int(np.argmax(self.returns < target))
        first, last = self.returns[after - 1], self.returns[after]
        share = min(max((target - last) / (first - last), 0.0), 1.0)
        return share * self.weights[after - 1] + (1.0 - share) * self.weights[after]

    def at_risk_aversion(self, aversion: float) -> Floats:
        """Return the weights that maximise μ'w - ½ · aversion · w'Σw, for an aversion above 0."""
        trade_off = 1.0 / aversion
        if trade_off >= self.trade_offs[0]:
            return self.weights[0]
        after = int(np.argmax(self.trade_offs <= trade_off))
        first, last = self.trade_offs[after - 1], self.trade_offs[after]
        share = (trade_off - last) / (first - last)
        return share * self.weights[after - 1] + (1.0 - share) * self.weights[after]

    def maximum_sharpe(self, risk_free: float = 0.0) -> Floats:
        """Return the weights of the largest Sharpe ratio; `risk_free` is a return per period.

        On each segment the ratio's derivative is linear in the position, so its root is exact.

        Raises
        ------
        InvalidValue
            If nothing allowed is expected to earn more than `risk_free`.
        """
        if not self.returns[0] > risk_free:
            raise InvalidValue(
                "No allowed portfolio is expected to earn more than the risk-free rate.",
                next_step="Take the portfolio of least variance, or other expected returns.",
            )
        start, step = self.weights[1:], self.weights[:-1] - self.weights[1:]
        excess, gain = self.returns[1:] - risk_free, -np.diff(self.returns)
        level = self.variances[1:]
        cross = np.einsum("ij,ij->i", start @ self.covariance, step)
        square = np.einsum("ij,ij->i", step @ self.covariance, step)
        slope = excess * square - gain * cross
        root = (gain * level - excess * cross) / np.where(slope != 0.0, slope, 1.0)
        share = np.clip(np.where(slope != 0.0, root, 0.0), 0.0, 1.0)
        candidates = np.vstack([self.weights, start + share[:, None] * step])
        risk = np.sqrt(np.einsum("ij,ij->i", candidates @ self.covariance, candidates))
        ratios = (candidates @ self.expected - risk_free) / risk
        return candidates[int(np.argmax(ratios))]


def efficient_frontier(
    expected: Floats,
    covariance: Floats,
    lower: Floats | float = 0.0,
    upper: Floats | float = 1.0,
    *,
    budget: float = 1.0,
) -> Frontier:
    """Return all turning points of the frontier.

    Parameters
    ----------
    expected, covariance
        Expected return per asset and their covariance, in one unit of time.
    lower, upper
        Least and largest weight, one per asset or the same for all.
    budget
        Sum of the weights.

    Raises
    ------
    InvalidValue
        If an estimate is not finite, the covariance is not positive definite, or the bounds leave
        no portfolio.
    """
    mean, sigma = checked_returns(expected), checked_covariance(covariance, len(expected))
    low, high = (
        np.broadcast_to(np.asarray(b, dtype=np.float64), mean.shape).copy() for b in (lower, upper)
    )
    if not (low <= high).all() or not low.sum() <= budget <= high.sum():
        raise InvalidValue(
            f"No weights within the bounds sum to {budget:g}.",
            next_step="Widen the bounds; `constraints.require_feasible` names those in conflict.",
        )
    weights, trade_offs = _walk(_centred(mean), sigma, low, high, budget)
    returns = weights @ mean
    variances = np.einsum("ij,ij->i", weights @ sigma, weights)
    return Frontier(weights, trade_offs, returns, variances, mean, sigma)


def _centred(mean: Floats) -> Floats:
    """Return μ less its mean, ties broken by position: neither changes what is efficient."""
    centred = mean - mean.mean()
    order = np.argsort(-centred, kind="stable")
    spread = max(float(np.ptp(centred)), float(np.abs(mean).max()), 1e-300)
    tied = np.empty_like(centred)
    tied[order] = -_TIE * spread * np.arange(len(mean)) / len(mean)
    return centred + tied


def _largest_return(
    mean: Floats, low: Floats, high: Floats, budget: float
) -> tuple[Floats, NDArray[np.bool_], int]:
    """Return the weights of largest return, who is at the upper bound, and who is between."""
    weights, room = low.copy(), budget - float(low.sum())
    at_upper = np.zeros(len(mean), bool)
    order = [int(i) for i in np.argsort(-mean, kind="stable") if high[i] > low[i]]
    for asset in order:
        step = min(room, float(high[asset] - low[asset]))
        weights[asset] += step
        room -= step
        if room <= 1e-15:
            return weights, at_upper, asset
        at_upper[asset] = True
    return weights, at_upper, order[-1] if order else -1


def _walk(
    mean: Floats, sigma: Floats, low: Floats, high: Floats, budget: float
) -> tuple[Floats, Floats]:
    n = len(mean)
    weights, at_upper, first = _largest_return(mean, low, high, budget)
    if first < 0:
        return weights[None], np.zeros(1)
    # Rows of T: what follows (free weights and -γ; gradients of bound assets) from what is known
    # (expected returns of the free and the budget; weights of bound assets). The last is -γ.
    table = np.ones((n + 1, n + 1), order="F")
    table[:n, :n] = sigma
    table[n, n] = 0.0
    free = np.zeros(n, bool)
    free[first] = True
    _pivot(table, first)
    _pivot(table, n)
    known = np.zeros((n + 1, 2))
    known[:n, 0] = np.where(free, 0.0, weights)
    known[n, 0] = budget
    known[first, 1] = mean[first]
    movable = high > low
    bound_slope = np.where(free, 0.0, mean)
    trade_off = np.inf
    path: list[Floats] = []
    trade_offs: list[float] = []
    for _ in range(_STEPS_PER_ASSET * n):
        level, slope = (table @ known)[:n].T
        slope = slope - bound_slope
        falls = slope > 0.0
        # The budget holds a lone free asset where it is; a slope of it is rounding.
        moves = (slope != 0.0) if int(free.sum()) > 1 else False
        turns = movable & np.where(free, moves, falls ^ at_upper)
        goal = np.where(free, np.where(falls, low, high), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            hits = np.where(turns, (goal - level) / slope, -np.inf)
        asset = int(np.argmax(hits))
        reached = min(float(hits[asset]), trade_off)
        trade_off = max(reached, 0.0)
        if not trade_offs or trade_off < trade_offs[-1]:
            path.append(np.where(free, level + trade_off * slope, known[:n, 0]))
            trade_offs.append(trade_off)
        if reached <= 0.0:
            return np.array(path), np.array(trade_offs)
        if free[asset]:
            at_upper[asset] = not falls[asset]
            known[asset] = goal[asset], 0.0
            bound_slope[asset] = mean[asset]
        else:
            at_upper[asset] = False
            known[asset] = 0.0, mean[asset]
            bound_slope[asset] = 0.0
        free[asset] = not free[asset]
        _pivot(table, asset)
    raise InvalidValue(
        "The critical line does not end: the covariance is too close to singular.",
        next_step="Shrink it (`estimation.shrunk_covariance`).",
    )


def _pivot(table: Floats, i: int) -> None:
    """Exchange what is known and what follows at position `i` (a principal pivot), in place."""
    pivot = table[i, i]
    column, row = table[:, i] / pivot, table[i].copy()
    table -= column[:, None] * row
    table[:, i] = column
    table[i] = -row / pivot
    table[i, i] = 1.0 / pivot
