"""Weights by contribution to risk: risk parity, and hierarchical risk parity."""

import numpy as np
from numpy.typing import NDArray

from agents.portfolio_optimizer.estimation import checked_covariance
from agents.portfolio_optimizer.solvers import ward_leaf_order
from agents.price_history import Floats
from domain.errors import InvalidValue

_STEPS = 100
_DECREMENT = 1e-20


def risk_parity(covariance: Floats, budgets: Floats | None = None) -> Floats:
    """Return long-only weights, sum 1, whose shares of variance are `budgets` (equal: not given).

    Minimises ½ y'Cy - Σ b log y over correlations C by damped Newton steps. Spinu, "An algorithm
    for computing risk parity weights" (2013).

    Raises
    ------
    InvalidValue
        If the covariance can't be used, or a budget is not above 0.
    """
    sigma = checked_covariance(covariance, len(covariance))
    n = len(sigma)
    shares = np.full(n, 1.0 / n) if budgets is None else np.asarray(budgets, dtype=np.float64)
    if shares.shape != (n,) or not (shares > 0.0).all():
        raise InvalidValue(
            "Risk budgets must be one number above 0 per asset.",
            next_step="Leave assets without a budget out.",
        )
    shares = shares / shares.sum()
    deviations = np.sqrt(np.diagonal(sigma))
    correlations: Floats = sigma / np.multiply.outer(deviations, deviations)
    y: Floats = np.sqrt(shares) / np.sqrt(max(float(correlations.mean()) * n, 1.0))
    for _ in range(_STEPS):
        gradient: Floats = correlations @ y - shares / y
        hessian = correlations.copy()
        hessian[np.diag_indices(n)] += shares / y**2
        step = np.asarray(np.linalg.solve(hessian, gradient), dtype=np.float64)
        decrement = float(gradient @ step)
        if decrement < _DECREMENT:
            break
        # Self-concordant: this step length keeps y positive and never overshoots.
        away = float(np.abs(step / y).max())
        y = y - step * (1.0 / (1.0 + away) if away > 0.25 else 1.0)
    weights = y / deviations
    return weights / weights.sum()


def hierarchical_risk_parity(covariance: Floats) -> Floats:
    """Return long-only weights, sum 1, by halving the assets along their cluster tree.

    López de Prado, "Building diversified portfolios that outperform out of sample" (2016):
    distance √(½ (1 - ρ)), each half weighed by the inverse of its inverse-variance portfolio's
    variance; Ward's linkage, as that of single links chains, and leaves in the order of least
    distance. Needs no inverse, so a singular covariance does.

    Raises
    ------
    InvalidValue
        If the covariance is not finite or an asset has no variance.
    """
    sigma = np.asarray(covariance, dtype=np.float64)
    variances = np.diagonal(sigma)
    if not np.isfinite(sigma).all() or not (variances > 0.0).all():
        raise InvalidValue(
            "A covariance must be finite, with variances above 0.",
            next_step="Leave out the assets for which there is none.",
        )
    order = _leaf_order(sigma)
    inverse = 1.0 / variances[order]
    # Sums over blocks from sums up to corners: a cluster is a stretch of the leaves.
    weighed = np.zeros((len(sigma) + 1, len(sigma) + 1))
    weighed[1:, 1:] = sigma[np.ix_(order, order)] * np.multiply.outer(inverse, inverse)
    corners = weighed.cumsum(axis=0).cumsum(axis=1).tolist()
    totals = np.concatenate([[0.0], inverse.cumsum()]).tolist()

    def variance(first: int, after: int) -> float:
        block = corners[after][after] - corners[first][after]
        block += corners[first][first] - corners[after][first]
        return block / (totals[after] - totals[first]) ** 2

    weights = np.ones(len(sigma))
    clusters = [(0, len(sigma))]
    while clusters:
        first, after = clusters.pop()
        if after - first < 2:
            continue
        middle = first + (after - first) // 2
        left, right = variance(first, middle), variance(middle, after)
        weights[first:middle] *= right / (left + right)
        weights[middle:after] *= left / (left + right)
        clusters += [(first, middle), (middle, after)]
    placed = np.empty_like(weights)
    placed[order] = weights
    return placed


def _leaf_order(sigma: Floats) -> NDArray[np.intp]:
    n = len(sigma)
    if n < 3:
        return np.arange(n)
    deviations = np.sqrt(np.diagonal(sigma))
    correlations = np.clip(sigma / np.outer(deviations, deviations), -1.0, 1.0)
    distances = np.sqrt(0.5 * (1.0 - correlations))[np.triu_indices(n, 1)]
    return ward_leaf_order(distances)
