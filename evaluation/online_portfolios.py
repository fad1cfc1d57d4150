"""Classic ways of choosing a portfolio day after day from price relatives alone.

All take `relatives`, shape (days, assets), each a close over the close before it, and return
weights of the same shape: row t is held over day t and known before it. Weights are not negative
and sum to one. They are benchmarks: their wealth on public data is printed in the literature, so
that an account which reproduces it keeps its books right.
"""

import math

import numpy as np

from agents.portfolio_optimizer.quadratic_programming import minimise_quadratic
from agents.price_history import Floats
from domain.errors import InvalidValue

_NEWTON_STEPS = 200
#: How far the mean log return may be below its optimum.
_OPTIMUM = 1e-10


def constant_rebalanced(relatives: Floats, weights: Floats | None = None) -> Floats:
    """Return `weights`, by default equal ones, for every day."""
    days, assets = relatives.shape
    chosen = np.full(assets, 1.0 / assets) if weights is None else weights
    return np.broadcast_to(chosen, (days, assets))


def best_constant_weights(relatives: Floats) -> Floats:
    """Return the constant weights with the largest wealth in hindsight, shape (assets,).

    By Newton's method on the mean log return, each step a quadratic program, damped as suits a
    sum of logarithms (Nesterov, "Lectures on convex optimization", 2018, section 5.2). It ends
    where the largest mean of an asset's relative over the portfolio's is 1 + ε: no constant
    weights then have a mean log return higher by more than log(1 + ε) (T. Cover, "An algorithm
    for maximizing expected log investment return", 1984).

    Raises
    ------
    InvalidValue
        If it does not converge.
    """
    days, assets = relatives.shape
    weights = np.full(assets, 1.0 / assets)
    everything = (np.ones((1, assets)), np.ones(1))
    not_negative = (-np.eye(assets), np.zeros(assets))
    for _ in range(_NEWTON_STEPS):
        shares = relatives / (relatives @ weights)[:, None]
        gradient = shares.mean(axis=0)
        if gradient.max() <= 1.0 + _OPTIMUM:
            return weights
        hessian = shares.T @ shares / days
        target = minimise_quadratic(
            hessian, -gradient - hessian @ weights, everything, not_negative
        )
        step = target - weights
        decrement = math.sqrt(days * float(step @ hessian @ step))
        weights = np.maximum(weights + step / (1.0 + decrement), 0.0)
        weights /= weights.sum()
    raise InvalidValue(
        "The best constant weights were not found.",
        next_step="Look for assets whose relatives are almost the same.",
    )


def exponentiated_gradient(relatives: Floats, learning_rate: float = 0.05) -> Floats:
    """Return weights that lean to what has just done better than the portfolio.

    b' ∝ b · exp(η · x / (b·x)), from equal weights (Helmbold, Schapire, Singer and Warmuth,
    "On-line portfolio selection using multiplicative updates", 1998, equation 3).
    """
    weights = np.empty_like(relatives)
    held = np.full(relatives.shape[1], 1.0 / relatives.shape[1])
    for day, relative in enumerate(relatives):
        weights[day] = held
        grown = held * np.exp(learning_rate * relative / (held @ relative))
        held = grown / grown.sum()
    return weights


def passive_aggressive_mean_reversion(relatives: Floats, sensitivity: float = 0.5) -> Floats:
    """Return weights that lean away from what has just risen (PAMR).

    A day whose return exceeds `sensitivity` moves the weights against the day's deviations from
    their mean, as little as brings that return down to it, and back onto the simplex (Li, Zhao,
    Hoi and Gopalkrishnan, "PAMR: Passive aggressive mean reversion strategy", 2012, proposition 1).
    """
    weights = np.empty_like(relatives)
    held = np.full(relatives.shape[1], 1.0 / relatives.shape[1])
    for day, relative in enumerate(relatives):
        weights[day] = held
        deviation = relative - relative.mean()
        variation = float(deviation @ deviation)
        excess = max(0.0, float(held @ relative) - sensitivity)
        if variation > 0.0:
            held = onto_simplex(held - excess / variation * deviation)
    return weights


def onto_simplex(point: Floats) -> Floats:
    """Return the nearest point, in Euclid's distance, whose parts are not negative and sum to one.

    Duchi, Shalev-Shwartz, Singer and Chandra, "Efficient projections onto the l1-ball for learning
    in high dimensions", 2008, figure 1.
    """
    descending = np.sort(point)[::-1]
    surplus = (np.cumsum(descending) - 1.0) / np.arange(1, point.size + 1)
    last = np.flatnonzero(descending > surplus)[-1]
    return np.maximum(point - surplus[last], 0.0)
