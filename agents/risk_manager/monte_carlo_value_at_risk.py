"""Value at risk by simulation: t copula, Student-t or normal margins, with its own error."""

from math import asinh, inf, sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from agents.price_history import Floats
from agents.risk_manager.value_at_risk import TailRisk, historical, quantile_index
from domain.errors import InvalidValue

#: Scenarios computed at once: they stay in the processor's cache.
_BLOCK = 2048
_KNOTS = 2001
#: Largest value of a standard margin that the table of quantiles knows; beyond, it goes on level.
_REACH = 1e4
#: 97.5 % quantile of the normal distribution: half-width of a 95 % interval in standard errors.
_TWO_SIDED = 1.959963984540054


class SimulatedRisk(NamedTuple):
    """VaR and expected shortfall with the half-widths of their 95 % intervals."""

    value_at_risk: float
    expected_shortfall: float
    value_at_risk_error: float
    expected_shortfall_error: float
    scenarios: int

    @property
    def risk(self) -> TailRisk:
        """The two figures without their errors."""
        return TailRisk(self.value_at_risk, self.expected_shortfall)


def simulated(losses: Floats, level: float = 0.99) -> SimulatedRisk:
    """Return VaR and expected shortfall of simulated losses, with their errors.

    The VaR's interval lies between two order statistics (David & Nagaraja, 2003, 7.1), that of
    expected shortfall follows from the tail's variance (Manistre & Hancock, 2005). Antithetic
    scenarios are never both in the tail, so the errors are rather too wide.
    """
    n, at = len(losses), quantile_index(len(losses), level)
    risk = historical(losses, level)
    reach = _TWO_SIDED * sqrt(n * level * (1.0 - level))
    ends = [max(int(at - reach), 0), min(int(at + reach) + 1, n - 1)]
    low, high = np.partition(losses, ends)[ends]
    tail = losses[losses >= risk.value_at_risk]
    excess = risk.expected_shortfall - risk.value_at_risk
    variance = (float(tail.var()) + level * excess**2) / (n * (1.0 - level))
    return SimulatedRisk(
        risk.value_at_risk,
        risk.expected_shortfall,
        max(float(high) - risk.value_at_risk, risk.value_at_risk - float(low)),
        _TWO_SIDED * sqrt(variance),
        n,
    )


def simulate_losses(
    exposures: Floats,
    correlation: Floats,
    *,
    copula_degrees: float = inf,
    marginal_degrees: Floats | None = None,
    scenarios: int = 20_000,
    seed: int,
) -> Floats:
    """Return simulated losses of a portfolio, antithetic in pairs.

    Parameters
    ----------
    exposures
        Weight times volatility per asset: the deviation that it adds alone.
    correlation
        Of the copula, assets × assets.
    copula_degrees
        Degrees of freedom of the t copula; infinite for a normal one.
    marginal_degrees
        Degrees of freedom per asset, scaled to its volatility; None takes normal margins.
    scenarios
        Rounded up to an even number.

    Raises
    ------
    InvalidValue
        If the matrix is no correlation matrix, or there are two degrees of freedom or fewer.
    """
    assets = len(exposures)
    degrees = np.full(assets, inf) if marginal_degrees is None else marginal_degrees
    if not copula_degrees > 2.0 or not (degrees > 2.0).all():
        raise InvalidValue(
            "A t distribution with two degrees of freedom or fewer has no standard deviation.",
            next_step="Use more than two degrees of freedom.",
        )
    root = correlation_root(correlation)
    pairs = (scenarios + 1) // 2
    random = np.random.Generator(np.random.SFC64(seed))
    losses = np.empty(2 * pairs)
    for first in range(0, pairs, _BLOCK):
        last = min(first + _BLOCK, pairs)
        draws = random.standard_normal((last - first, assets))
        mixing = np.ones(last - first)
        if copula_degrees < inf:
            chi = random.chisquare(copula_degrees, last - first)
            mixing = np.sqrt(copula_degrees / chi)
        if (degrees == copula_degrees).all():
            # An elliptical portfolio is one number per scenario: no matrix is multiplied.
            scale = 1.0 if copula_degrees == inf else sqrt(1.0 - 2.0 / copula_degrees)
            one = -scale * mixing * (draws @ (root.T @ exposures))
            losses[first:last], losses[pairs + first : pairs + last] = one, -one
        else:
            common = draws @ root.T * mixing[:, None]
            moves = _margins(common, copula_degrees, degrees)
            one = moves @ exposures
            # Margins are symmetric, so the mirrored scenario has the mirrored loss.
            losses[first:last], losses[pairs + first : pairs + last] = -one, one
    return losses


def correlation_root(correlation: Floats) -> Floats:
    """Return a matrix whose square (times its transpose) is `correlation`, a singular one too.

    Raises
    ------
    InvalidValue
        If it is not symmetric with a unit diagonal, or not positive semi-definite.
    """
    matrix = np.asarray(correlation, dtype=np.float64)
    proper = (
        matrix.ndim == 2
        and matrix.shape[0] == matrix.shape[1]
        and bool(np.isfinite(matrix).all())
        and np.allclose(matrix, matrix.T, atol=1e-10)
        and np.allclose(np.diag(matrix), 1.0, atol=1e-8)
    )
    values, vectors = np.linalg.eigh(matrix) if proper else (np.array([-1.0]), matrix)
    if values[0] < -1e-8 * len(values):
        raise InvalidValue(
            "The matrix is not a correlation matrix.",
            next_step="Estimate it with agents.risk_manager.correlation.",
        )
    return vectors * np.sqrt(np.maximum(values, 0.0))


def _margins(common: Floats, copula_degrees: float, degrees: Floats) -> Floats:
    """Turn columns that are t with `copula_degrees` into unit-variance t with `degrees` each.

    Interpolated between knots of the composed quantile function, dense where scenarios are.
    """
    knots = np.sinh(np.linspace(0.0, asinh(_REACH), _KNOTS))
    beyond: Floats = stdtr(copula_degrees, -knots)
    # Far out in a normal copula nothing is left, and a quantile needs something.
    upper = np.maximum(beyond, 1e-300)
    moves = np.empty_like(common)
    for nu in np.unique(degrees).tolist():
        columns = degrees == nu
        scale = 1.0 if nu == inf else sqrt(1.0 - 2.0 / nu)
        quantiles: Floats = stdtrit(nu, upper)
        table = -quantiles * scale
        chosen = common[:, columns]
        moves[:, columns] = np.copysign(np.interp(np.abs(chosen), knots, table), chosen)
    return moves
