"""Value at risk and expected shortfall of a loss distribution given by a few moments.

Losses are positive fractions of equity; `mean` and `deviation` are of the return.
"""

from math import lgamma, log, pi, sqrt
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from agents.price_history import Floats
from agents.risk_manager.value_at_risk import Contributions, TailRisk, check_level
from domain.errors import InvalidValue

_NORMAL = NormalDist()
#: Deviations beyond which one outcome in a thousand million lies: no tail is asked for there.
_FARTHEST = 6.0
#: Degrees of freedom that are tried: below the first variances don't settle, the last is normal.
_DEGREES = np.geomspace(2.2, 200.0, 60)


def normal(mean: float, deviation: float, level: float = 0.99) -> TailRisk:
    """Return VaR and expected shortfall of a normal return (McNeil, Frey & Embrechts, 2.3)."""
    _check_deviation(deviation)
    check_level(level)
    z = _NORMAL.inv_cdf(level)
    return TailRisk(z * deviation - mean, _NORMAL.pdf(z) / (1.0 - level) * deviation - mean)


def student_t(
    mean: float, deviation: float, degrees_of_freedom: float, level: float = 0.99
) -> TailRisk:
    """Return VaR and expected shortfall of a Student-t return with this standard deviation.

    Raises
    ------
    InvalidValue
        At or below two degrees of freedom: then there is no standard deviation.
    """
    _check_deviation(deviation)
    check_level(level)
    nu = degrees_of_freedom
    if not nu > 2.0:
        raise InvalidValue(
            f"A t distribution with {nu} degrees of freedom has no standard deviation.",
            next_step="Use more than two degrees of freedom.",
        )
    scale = deviation * sqrt((nu - 2.0) / nu)
    q = t_quantile(level, nu)
    log_density = (
        lgamma((nu + 1.0) / 2.0)
        - lgamma(nu / 2.0)
        - 0.5 * log(nu * pi)
        - (nu + 1.0) / 2.0 * log(1.0 + q * q / nu)
    )
    beyond = np.exp(log_density) / (1.0 - level) * (nu + q * q) / (nu - 1.0)
    return TailRisk(scale * q - mean, scale * float(beyond) - mean)


def cornish_fisher(
    mean: float,
    deviation: float,
    skewness: float,
    excess_kurtosis: float,
    level: float = 0.99,
) -> TailRisk:
    """Return VaR and expected shortfall by the Cornish–Fisher expansion of the quantile.

    Parameters
    ----------
    skewness, excess_kurtosis
        Of the return. They enter as coefficients of the expansion, as is usual; the distribution
        that it describes has somewhat larger ones (Maillard, 2012).

    Notes
    -----
    Expected shortfall integrates the expanded quantile over the tail: exact for the expansion.

    Raises
    ------
    InvalidValue
        Where the expansion is no quantile function beyond the level: it would fall somewhere.
    """
    _check_deviation(deviation)
    check_level(level)
    z = _NORMAL.inv_cdf(level)
    # The upper quantile of the loss is minus the lower one of the return: skewness turns its sign.
    s, k = -skewness, excess_kurtosis
    if not _rises_beyond(z, s, k):
        raise InvalidValue(
            f"Cornish–Fisher is no distribution at skewness {skewness:.2f} and excess kurtosis "
            f"{excess_kurtosis:.2f}.",
            next_step="Use the historical or the Student-t value at risk.",
        )
    quantile = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
    factor = 1 + z * s / 6 + (z**2 - 1) * k / 24 - (2 * z**2 - 1) * s**2 / 36
    beyond = _NORMAL.pdf(z) / (1.0 - level) * factor
    return TailRisk(quantile * deviation - mean, beyond * deviation - mean)


def _rises_beyond(z: float, s: float, k: float) -> bool:
    """Whether the expansion rises from `z` on, as far as probability is worth mentioning."""
    a, b, c = k / 8 - s**2 / 6, s / 3, 1 - k / 8 + 5 * s**2 / 36
    turning = -b / (2 * a) if a else z
    places = [z, _FARTHEST, min(max(turning, z), _FARTHEST)]
    return all(a * x * x + b * x + c > 0 for x in places)


def t_quantile(level: float, degrees_of_freedom: float) -> float:
    """Return the quantile of the standard t distribution."""
    return float(stdtrit(degrees_of_freedom, level))


def fit_degrees_of_freedom(returns: Floats) -> float:
    """Return the likeliest degrees of freedom of a t distribution with the sample's variance.

    One of 60 between 2.2 and 200, in equal ratios.

    Raises
    ------
    InvalidValue
        If the returns do not vary.
    """
    deviation = float(returns.std()) if len(returns) else 0.0
    _check_deviation(deviation)
    squares = ((returns - returns.mean()) / deviation) ** 2
    likelihood = [
        len(squares) * (lgamma((nu + 1) / 2) - lgamma(nu / 2) - 0.5 * log(pi * (nu - 2)))
        - (nu + 1) / 2 * float(np.log1p(squares / (nu - 2)).sum())
        for nu in _DEGREES.tolist()
    ]
    return float(_DEGREES[int(np.argmax(likelihood))])


def moments(returns: Floats) -> tuple[float, float]:
    """Return skewness and excess kurtosis (population); the returns have to vary.

    Raises
    ------
    InvalidValue
        If they don't.
    """
    centred = returns - returns.mean()
    variance = float((centred**2).mean())
    _check_deviation(variance)
    skewness = float((centred**3).mean()) / variance**1.5
    return skewness, float((centred**4).mean()) / variance**2 - 3.0


def normal_contributions(weights: Floats, covariance: Floats, level: float = 0.99) -> Contributions:
    """Return how the normal VaR (mean zero) of a portfolio splits by asset.

    Raises
    ------
    InvalidValue
        If the portfolio has no variance.
    """
    variance = float(weights @ covariance @ weights)
    _check_deviation(variance)
    deviation = sqrt(variance)
    z = _NORMAL.inv_cdf(level)
    marginal = z * (covariance @ weights) / deviation
    alone = np.maximum(
        variance - 2.0 * weights * (covariance @ weights) + weights**2 * np.diag(covariance), 0.0
    )
    return Contributions(marginal, weights * marginal, z * (deviation - np.sqrt(alone)))


def _check_deviation(deviation: float) -> None:
    if not 0.0 < deviation < float("inf"):
        raise InvalidValue(
            f"A standard deviation of {deviation} describes no risk.",
            next_step="Give returns that are finite and vary.",
        )
