"""How large a position may be: seven bounds, of which the least binds and is named.

All sizes are signed by nothing: fractions of equity, 0 and up.
"""

from collections.abc import Mapping
from math import isnan, sqrt
from statistics import NormalDist
from typing import NamedTuple

from domain.errors import InvalidValue

_NORMAL = NormalDist()


class PositionSize(NamedTuple):
    """The largest position as a fraction of equity, the bound that binds, and all bounds."""

    fraction: float
    binding: str
    bounds: Mapping[str, float]


def position_size(bounds: Mapping[str, float]) -> PositionSize:
    """Return the least of the named bounds; the first named where two are equal.

    Raises
    ------
    InvalidValue
        If there is no bound, or one is not a number.
    """
    wrong = [name for name, bound in bounds.items() if isnan(bound)]
    if wrong or not bounds:
        raise InvalidValue(
            f"No position size follows from {', '.join(wrong) or 'no bounds'}.",
            next_step="Give each bound a number.",
        )
    sizes = {name: max(bound, 0.0) for name, bound in bounds.items()}
    binding = min(sizes, key=lambda name: sizes[name])
    return PositionSize(sizes[binding], binding, sizes)


def fixed_fraction(risked: float, stop_distance: float) -> float:
    """Return the position that loses `risked` of equity when its stop is hit.

    Parameters
    ----------
    stop_distance
        Loss at the stop as a fraction of the position.
    """
    return _positive(risked, "risked") / _positive(stop_distance, "stop distance")


def volatility_target(target: float, volatility: float) -> float:
    """Return the position whose own volatility is `target`; both per same period."""
    return _positive(target, "target") / _positive(volatility, "volatility")


def fractional_kelly(
    expected_return: float, standard_error: float, volatility: float, fraction: float = 0.5
) -> float:
    """Return a share of the growth-optimal position, shrunk for what is not known of its edge.

    μ / σ² is optimal for a known edge. With an estimate of standard error s, what is expected of
    the plug-in is largest at μ² / (μ² + s²) of it: Kan and Zhou's (2007) argument for one asset.

    Parameters
    ----------
    expected_return, volatility
        Over the same period.
    fraction
        Of the shrunk optimum; one half keeps three quarters of its growth.

    Returns
    -------
    float
        0 where nothing is expected to be earned.
    """
    variance = _positive(volatility, "volatility") ** 2
    if standard_error < 0 or not 0 < fraction <= 1:
        raise InvalidValue(
            f"Kelly's position is not defined for a standard error of {standard_error} and a "
            f"fraction of {fraction}.",
            next_step="Use an error from 0 on, and a fraction up to 1.",
        )
    if expected_return <= 0:
        return 0.0
    known = expected_return**2 / (expected_return**2 + standard_error**2)
    return fraction * known * expected_return / variance


def expected_of(chance: float, volatility: float) -> float:
    """Return the expected return at which a normal outcome gains with probability `chance`."""
    if not 0 < chance < 1:
        raise InvalidValue(f"{chance} is no chance.", next_step="Use a number between 0 and 1.")
    return _NORMAL.inv_cdf(chance) * _positive(volatility, "volatility")


def error_of_mean(volatility: float, period_days: int, observed_days: int) -> float:
    """Return the standard error of a period's mean return as measured on `observed_days`.

    Parameters
    ----------
    volatility
        Of one day's return.
    """
    if period_days < 1 or observed_days < 1:
        raise InvalidValue("A mean needs days.", next_step="Give at least one day.")
    return _positive(volatility, "volatility") * period_days / sqrt(observed_days)


def shortfall_budget(budget: float, shortfall_of_unit: float) -> float:
    """Return the position whose own expected shortfall uses up `budget` (of equity)."""
    return _positive(budget, "budget") / _positive(shortfall_of_unit, "expected shortfall")


def liquidity_cap(daily_value: float, participation: float, days: float, equity: float) -> float:
    """Return the position that can be sold within `days` at a share of the usual volume."""
    value = _positive(daily_value, "daily value") * _positive(participation, "participation")
    return value * _positive(days, "days") / _positive(equity, "equity")


def _positive(value: float, name: str) -> float:
    if not 0 < value < float("inf"):
        raise InvalidValue(
            f"No position size follows from a {name} of {value}.",
            next_step=f"Give a positive {name}.",
        )
    return value
