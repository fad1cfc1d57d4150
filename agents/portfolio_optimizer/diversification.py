"""How much of its risk a portfolio spreads, and where the rest sits."""

from typing import NamedTuple

import numpy as np

from agents.portfolio_optimizer.estimation import checked_covariance
from agents.price_history import Floats
from domain.errors import InvalidValue

_TORSION_STEPS = 1_000
_TORSION_CHANGE = 1e-12


class Diversification(NamedTuple):
    """Measures of one portfolio.

    Parameters
    ----------
    volatility
        Of the portfolio, per period of the covariance.
    risk_contributions
        Share of variance per asset; they sum to 1, a hedge has a negative one.
    ratio
        Mean volatility of what is held over the portfolio's: 1 where nothing diversifies.
    effective_assets
        1 / Σ w² of the weights' shares of gross exposure.
    effective_bets
        Number of uncorrelated bets that the risk is spread over, 1 to the number of assets.
    """

    volatility: float
    risk_contributions: Floats
    ratio: float
    effective_assets: float
    effective_bets: float


def diversification(weights: Floats, covariance: Floats) -> Diversification:
    """Return the measures of a portfolio.

    Raises
    ------
    InvalidValue
        If an input can't be used, or nothing is held.
    """
    sigma = checked_covariance(covariance, len(weights))
    w = np.asarray(weights, dtype=np.float64)
    gross = float(np.abs(w).sum())
    if not np.isfinite(w).all() or gross == 0.0:
        raise InvalidValue(
            "A portfolio needs finite weights, one of them other than 0.",
            next_step="Ask again once something is held.",
        )
    deviations = np.sqrt(np.diagonal(sigma))
    volatility = float(np.sqrt(w @ sigma @ w))
    return Diversification(
        volatility=volatility,
        risk_contributions=w * (sigma @ w) / volatility**2,
        ratio=float(np.abs(w) @ deviations) / volatility,
        effective_assets=gross**2 / float(w @ w),
        effective_bets=_effective_bets(w, sigma),
    )


def _effective_bets(weights: Floats, sigma: Floats) -> float:
    """Return the exponential of the entropy of the minimum-torsion bets' shares of variance.

    Meucci, Santangelo & Deguest, "Risk budgeting and diversification based on optimized
    uncorrelated factors" (2015).
    """
    torsion = minimum_torsion(sigma)
    exposures = np.linalg.solve(torsion.T, weights)
    shares = exposures * (torsion @ sigma @ weights) / float(weights @ sigma @ weights)
    shares = shares[shares > 1e-300]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def minimum_torsion(covariance: Floats) -> Floats:
    """Return the linear map to uncorrelated factors that track the assets most closely.

    The fixed point of §2 of Meucci et al., on correlations: the polar rotation closest to the
    assets, where each factor keeps its asset's variance.
    """
    deviations = np.sqrt(np.diagonal(covariance))
    correlations = covariance / np.outer(deviations, deviations)
    values, vectors = np.linalg.eigh(correlations)
    root = (vectors * np.sqrt(values)) @ vectors.T
    scale = np.ones(len(deviations))
    before = np.inf
    rotated = root
    for _ in range(_TORSION_STEPS):
        u, _, v = np.linalg.svd(scale[:, None] * root)
        rotation = u @ v
        scale = np.einsum("ij,ji->i", rotation, root)
        rotated = scale[:, None] * rotation
        distance = float(np.linalg.norm(root - rotated))
        if abs(before - distance) <= _TORSION_CHANGE * max(distance, 1.0):
            break
        before = distance
    torsion = rotated @ np.linalg.inv(root)
    return deviations[:, None] * torsion / deviations
