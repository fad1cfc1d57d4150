"""Optimal execution against the arrival price, in closed form.

Almgren & Chriss, "Optimal execution of portfolio transactions", Journal of Risk 3 (2000/01).
Linear temporary and permanent impact, arithmetic Brownian prices; the trajectory minimises
expected cost + risk aversion · variance of the cost. Time is in any one unit, here days.
"""

from math import acosh, exp, expm1, sinh, sqrt, tanh
from typing import NamedTuple

import numpy as np

from agents.price_history import Floats
from domain.errors import InvalidValue

#: Below this many e-foldings over the horizon the trajectory is a straight line to 1e-12.
_FLAT = 1e-6


class Impact(NamedTuple):
    """What trading a symbol costs and risks.

    Parameters
    ----------
    volatility
        Standard deviation of the price over a day (USD per share per √day): σ.
    temporary
        Price concession per rate of trading (USD·day per share²): η.
    permanent
        Lasting price move per share traded (USD per share²): γ.
    fixed
        Half the spread plus fees (USD per share): ε.
    """

    volatility: float
    temporary: float
    permanent: float = 0.0
    fixed: float = 0.0


class Shortfall(NamedTuple):
    """Expected cost (USD) and variance (USD²) of a schedule against the arrival price."""

    expected: float
    variance: float

    def utility(self, risk_aversion: float) -> float:
        """Return the certainty equivalent of the cost (USD): smaller is better."""
        return self.expected + risk_aversion * self.variance


def urgency(impact: Impact, risk_aversion: float, interval: float = 0.0) -> float:
    """Return κ (per day), the rate at which an optimal trajectory decays.

    Exact for slices `interval` days apart; the limit of continuous trading for 0.

    Raises
    ------
    InvalidValue
        If an input is negative or not finite, or η ≤ ½·γ·interval (impact that pays).
    """
    effective = impact.temporary - 0.5 * impact.permanent * interval
    inputs = (*impact, risk_aversion, interval)
    if not np.isfinite(inputs).all() or min(inputs) < 0 or effective <= 0:
        raise InvalidValue(
            f"No trajectory is optimal for {impact}, risk aversion {risk_aversion}.",
            next_step="Use finite values that are not negative, and more temporary impact than "
            "half the permanent impact of an interval.",
        )
    squared = risk_aversion * impact.volatility**2 / effective
    if interval == 0.0:
        return sqrt(squared)
    return acosh(1.0 + 0.5 * squared * interval**2) / interval


def trajectory(quantity: float, times: Floats, decay: float) -> Floats:
    """Return what is still held at `times`: x(t) = X · sinh(κ(T - t)) / sinh(κT).

    Parameters
    ----------
    times
        Increasing instants (days); the first is the start, the last the end T.
    decay
        κ of `urgency`; 0 gives the straight line.
    """
    span = float(times[-1] - times[0])
    left = times[-1] - times
    if decay * span < _FLAT:
        return quantity * left / span
    # sinh(κ·left) / sinh(κ·span), written so that a large κ does not overflow.
    return (
        quantity
        * np.exp(decay * (left - span))
        * np.expm1(-2 * decay * left)
        / expm1(-2 * decay * span)
    )


def shortfall(impact: Impact, held: Floats, times: Floats) -> Shortfall:
    """Return cost and variance of any schedule: holdings at instants (their equations 4 and 5)."""
    traded, length = -np.diff(held), np.diff(times)
    lasting = impact.permanent * float(np.sum(traded * held[1:]))
    passing = float(np.sum(traded**2 / length)) * impact.temporary
    fixed = impact.fixed * float(np.abs(traded).sum())
    variance = impact.volatility**2 * float(np.sum(length * held[1:] ** 2))
    return Shortfall(lasting + fixed + passing, variance)


def optimal_shortfall(
    impact: Impact, quantity: float, slices: int, horizon: float, risk_aversion: float
) -> Shortfall:
    """Return cost and variance of the best schedule of equally long slices (equations 19).

    Raises
    ------
    InvalidValue
        As `urgency`.
    """
    interval = horizon / slices
    decay = urgency(impact, risk_aversion, interval)
    if decay * horizon < _FLAT:
        times = np.linspace(0.0, horizon, slices + 1)
        return shortfall(impact, trajectory(quantity, times, 0.0), times)
    effective = impact.temporary - 0.5 * impact.permanent * interval
    # sinh(2κT) / sinh²(κT) and the like, in exponentials that do not overflow.
    whole = -expm1(-2 * decay * horizon)
    part = sinh(decay * interval)
    passing = tanh(0.5 * decay * interval) * (
        2 * interval * (1 + exp(-2 * decay * horizon)) / whole
        + 8 * horizon * part * exp(-2 * decay * horizon) / whole**2
    )  # fmt: skip
    expected = (
        0.5 * impact.permanent * quantity**2
        + impact.fixed * abs(quantity)
        + effective * quantity**2 * passing / (2 * interval**2)
    )
    before = (exp(-decay * interval) + exp(-decay * (2 * horizon - interval))) / whole
    held = interval * before - 4 * horizon * part * exp(-2 * decay * horizon) / whole**2
    return Shortfall(expected, 0.5 * impact.volatility**2 * quantity**2 * held / part)
