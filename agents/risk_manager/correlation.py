"""Correlations that can be trusted with few days: shrunk, denoised, weighted; and under stress.

All estimators take days × assets and return a correlation matrix: symmetric, positive
semi-definite, ones on the diagonal. An asset that never moved is uncorrelated with every other.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np

from agents.price_history import Floats
from agents.shrinkage import shrinkage_intensity
from domain.errors import InvalidValue

#: RiskMetrics' decay for correlations (monthly horizon: they move more slowly than variances).
CORRELATION_DECAY = 0.97
_STILL = 1e-12


class Shrinkage(NamedTuple):
    """A correlation matrix, and the share of its off-diagonal that was given up (0–1)."""

    correlation: Floats
    intensity: float


class StressCorrelation(NamedTuple):
    """Mean correlation of pairs on calm and on stressed days.

    Parameters
    ----------
    calm, stressed
        Outside and inside the market's worst days.
    explained
        What the stressed days would show by their selection alone, if no bond tightened.
    breakdown
        Stressed less explained; above 0 diversification fails where it is needed.
    days
        Number of stressed days.
    """

    calm: float
    stressed: float
    explained: float
    breakdown: float
    days: int


def sample_correlation(returns: Floats) -> Floats:
    """Return Pearson's correlation."""
    scaled = _standardised(returns)
    return _unit_diagonal(scaled.T @ scaled / len(scaled))


def shrunk_correlation(returns: Floats) -> Shrinkage:
    """Return the correlation shrunk towards none, by Ledoit and Wolf's (2004) optimal intensity.

    Of standardised returns the target is the identity.
    """
    scaled = _standardised(returns)
    sample = scaled.T @ scaled / len(scaled)
    intensity = shrinkage_intensity(sample, scaled)
    return Shrinkage(_unit_diagonal((1.0 - intensity) * sample), intensity)


def denoised_correlation(returns: Floats) -> Shrinkage:
    """Return the correlation with the eigenvalues that noise explains replaced by their mean.

    Noise reaches up to (1 + √(assets / days))² times the variance that the largest eigenvalue
    leaves: Marčenko and Pastur's edge, as used by Laloux et al. (1999); the constant residual
    eigenvalue is López de Prado's (2020, 2.5). The intensity is the share of eigenvalues replaced.
    """
    sample = sample_correlation(returns)
    days, assets = returns.shape
    values, vectors = np.linalg.eigh(sample)
    left = 1.0 - max(float(values[-1]), 0.0) / assets
    edge = left * (1.0 + sqrt(assets / days)) ** 2
    noise = values <= edge
    if noise.any():
        values = np.where(noise, float(values[noise].mean()), values)
    cleaned = (vectors * values) @ vectors.T
    deviations = np.sqrt(np.maximum(np.diag(cleaned), _STILL))
    return Shrinkage(
        _unit_diagonal(cleaned / np.outer(deviations, deviations)), float(noise.mean())
    )


def weighted_correlation(returns: Floats, decay: float = CORRELATION_DECAY) -> Floats:
    """Return the exponentially weighted correlation (RiskMetrics, 1996), mean taken as zero.

    Raises
    ------
    InvalidValue
        As all estimators; and if the decay is not between 0 and 1.
    """
    if not 0.0 < decay < 1.0:
        raise InvalidValue(f"A decay of {decay} weighs nothing.", next_step="Use 0.97.")
    _check(returns)
    weights = decay ** np.arange(len(returns) - 1, -1, -1.0)
    moments = (returns * (weights / weights.sum())[:, None]).T @ returns
    deviations = np.sqrt(np.diag(moments))
    moving = deviations > _STILL
    inverse = np.divide(1.0, deviations, out=np.zeros_like(deviations), where=moving)
    return _unit_diagonal(moments * np.outer(inverse, inverse))


def stress_correlation(returns: Floats, share: float = 0.1) -> StressCorrelation:
    """Compare correlations on the worst days of the equally weighted market with the others.

    Choosing days by the market changes the measured correlation even where nothing else did
    (Forbes & Rigobon, 2002): days within a narrow tail show less of the common movement.
    `explained` is what remains by Aitken's (1934) selection formula, exact for elliptical returns
    of one volatility.

    Parameters
    ----------
    share
        Part of the days that count as stressed.

    Raises
    ------
    InvalidValue
        As all estimators; and with one asset, or fewer than ten stressed days.
    """
    _check(returns)
    stressed_days = int(share * len(returns))
    if returns.shape[1] < 2 or stressed_days < 10 or stressed_days > len(returns) // 2:
        raise InvalidValue(
            f"{stressed_days} stressed days of {returns.shape[1]} assets show no break-down.",
            next_step="Give two assets and at least a hundred days.",
        )
    scaled = _standardised(returns)
    market = scaled.mean(axis=1)
    order = np.argsort(market, kind="stable")
    worst = order[:stressed_days]
    found, usual = (
        _mean_off_diagonal(sample_correlation(scaled[part]))
        for part in (worst, order[stressed_days:])
    )
    variance = float(market.var())
    selected = scaled.T @ scaled / len(scaled)
    if variance > _STILL:
        slopes = scaled.T @ market / len(scaled)
        kept = float(market[worst].var()) / variance
        selected = selected - (1.0 - kept) * np.outer(slopes, slopes) / variance
    deviations = np.sqrt(np.maximum(np.diag(selected), _STILL))
    explained = _mean_off_diagonal(_unit_diagonal(selected / np.outer(deviations, deviations)))
    return StressCorrelation(usual, found, explained, found - explained, stressed_days)


def tightened(correlation: Floats, breakdown: float) -> Floats:
    """Return the correlation moved towards one by a share of `breakdown` (0–1) of the way.

    A mixture of two correlation matrices, so one itself.
    """
    if not 0.0 <= breakdown <= 1.0:
        raise InvalidValue(
            f"A break-down of {breakdown} is no share.", next_step="Use a number from 0 to 1."
        )
    return (1.0 - breakdown) * correlation + breakdown * np.ones_like(correlation)


def clusters(correlation: Floats, threshold: float = 0.7) -> list[list[int]]:
    """Return groups of assets that hang together by correlations of at least `threshold`.

    Single linkage: connected components, each in order, by their first member.
    """
    near = correlation >= threshold
    waiting = np.ones(len(correlation), np.bool_)
    groups: list[list[int]] = []
    for asset in range(len(correlation)):
        if not waiting[asset]:
            continue
        waiting[asset] = False
        group = frontier = [asset]
        while frontier:
            reached = np.flatnonzero(near[frontier].any(axis=0) & waiting)
            waiting[reached] = False
            frontier = reached.tolist()
            group = group + frontier
        groups.append(sorted(group))
    return groups


def _check(returns: Floats) -> None:
    if returns.ndim != 2 or len(returns) < 2 or not np.isfinite(returns).all():
        raise InvalidValue(
            "Correlations need at least two days of finite returns, days × assets.",
            next_step="Drop the days with gaps, or the assets without history.",
        )


def _standardised(returns: Floats) -> Floats:
    _check(returns)
    centred = returns - returns.mean(axis=0)
    deviations = centred.std(axis=0)
    return np.divide(centred, deviations, out=np.zeros_like(centred), where=deviations > _STILL)


def _unit_diagonal(matrix: Floats) -> Floats:
    result = np.clip((matrix + matrix.T) / 2.0, -1.0, 1.0)
    np.fill_diagonal(result, 1.0)
    return result


def _mean_off_diagonal(correlation: Floats) -> float:
    assets = len(correlation)
    return float((correlation.sum() - assets) / (assets * (assets - 1)))
