"""Is the value at risk what it promises? Back-tests of VaR and expected shortfall.

Kupiec's proportion of failures (1995), Christoffersen's independence and conditional coverage
(1998), the Basel Committee's traffic light (1996, in cumulative probabilities, so for any number
of days), and Acerbi and Székely's second test of expected shortfall (2014).
"""

from collections.abc import Sequence
from enum import IntEnum
from math import comb, erfc, exp, log, log1p, nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.price_history import Floats
from domain.errors import InvalidValue

#: Cumulative probability from which on a number of exceptions is yellow, and red (BCBS, 1996).
_YELLOW, _RED = 0.95, 0.9999
#: Multiplier of capital at 5 … 9 exceptions in 250 days (BCBS, 1996, table 2).
_YELLOW_MULTIPLIERS = (3.40, 3.50, 3.65, 3.75, 3.85)
#: Acerbi and Székely's (2014) limits for their second statistic at 5 % and at 0.01 % significance,
#: for 97.5 % over 250 days: hardly different for normal and for moderately heavy tails.
_SHORTFALL_YELLOW, _SHORTFALL_RED, _SHORTFALL_DAYS = -0.70, -1.8, 250


class Zone(IntEnum):
    """The traffic light: the model is in order, doubtful, or wrong."""

    GREEN = 0
    YELLOW = 1
    RED = 2


class LikelihoodRatio(NamedTuple):
    """A likelihood-ratio test: its statistic and p-value; NaN where nothing can be tested."""

    statistic: float
    p_value: float


class Coverage(NamedTuple):
    """Kupiec's test: exceptions seen and expected, likelihood ratio (χ², one degree), p-value."""

    breaches: int
    expected: float
    statistic: float
    p_value: float


class Shortfall(NamedTuple):
    """Acerbi and Székely's second test: 0 is expected, below it losses were underestimated."""

    statistic: float
    zone: Zone


class Backtest(NamedTuple):
    """What a VaR forecast came to.

    Parameters
    ----------
    days
        Forecasts held against what came.
    coverage, independence, conditional_coverage
        Of the exceptions.
    traffic_light, shortfall
        Zone by the number of exceptions, and by how deep they went.
    """

    days: int
    coverage: Coverage
    independence: LikelihoodRatio
    conditional_coverage: LikelihoodRatio
    traffic_light: Zone
    shortfall: Shortfall

    @property
    def zone(self) -> Zone:
        """The worse of the two."""
        return max(self.traffic_light, self.shortfall.zone)


def coverage(exceptions: Sequence[float] | NDArray[np.bool_] | Floats, share: float) -> Coverage:
    """Test whether value at risk is exceeded as often as promised (Kupiec, 1995).

    Parameters
    ----------
    exceptions
        1 for each day whose loss exceeded the value at risk, 0 for the others.
    share
        The promised share (0.05 for 95 %).

    Raises
    ------
    InvalidValue
        If the share is no probability, or an entry is neither 0 nor 1. The p-value is NaN for no
        days at all.
    """
    hits = _exceptions(exceptions)
    _check_share(share)
    n, x = len(hits), int(hits.sum())
    if n == 0:
        return Coverage(0, 0.0, nan, nan)
    statistic = max(0.0, 2.0 * (_log_likelihood(x, n, x / n) - _log_likelihood(x, n, share)))
    return Coverage(x, n * share, statistic, _chi_square_tail(statistic, 1))


def independence(
    exceptions: Sequence[float] | NDArray[np.bool_] | Floats,
) -> LikelihoodRatio:
    """Test whether an exception makes one on the next day no likelier (Christoffersen, 1998).

    NaN below two days.
    """
    hits = _exceptions(exceptions)
    if len(hits) < 2:
        return LikelihoodRatio(nan, nan)
    before, after = hits[:-1], hits[1:]
    after_calm, calm = int((after & ~before).sum()), int((~before).sum())
    after_hit, hit = int((after & before).sum()), int(before.sum())
    apart = sum(
        _log_likelihood(x, n, x / n) for x, n in ((after_calm, calm), (after_hit, hit)) if n
    )
    x, n = after_calm + after_hit, calm + hit
    statistic = max(0.0, 2.0 * (apart - _log_likelihood(x, n, x / n)))
    return LikelihoodRatio(statistic, _chi_square_tail(statistic, 1))


def conditional_coverage(covered: Coverage, apart: LikelihoodRatio) -> LikelihoodRatio:
    """Test both at once: as often as promised, and independent (χ², two degrees)."""
    statistic = covered.statistic + apart.statistic
    return LikelihoodRatio(statistic, _chi_square_tail(statistic, 2))


def traffic_light(exceptions: int, days: int, share: float = 0.01) -> Zone:
    """Return the zone of a number of exceptions; 5 and 10 of 250 at 99 % begin the next one."""
    _check_share(share)
    if not 0 <= exceptions <= days:
        raise InvalidValue(
            f"{exceptions} exceptions can't happen on {days} days.", next_step="Count them again."
        )
    # Yellow begins where the probability of so few or fewer reaches 95 %.
    cumulative = sum(
        comb(days, k) * share**k * (1.0 - share) ** (days - k) for k in range(exceptions + 1)
    )
    if cumulative >= _RED:
        return Zone.RED
    return Zone.YELLOW if cumulative >= _YELLOW else Zone.GREEN


def shortfall_test(
    losses: Floats, values_at_risk: Floats, expected_shortfalls: Floats, share: float = 0.025
) -> Shortfall:
    """Test expected shortfall by Acerbi and Székely's (2014) second statistic.

    Z = 1 - Σ lossₜ · [lossₜ > VaRₜ] / ESₜ / (days · share). It falls with every exception more
    than promised and with every one deeper than the shortfall. The zones' limits are the
    authors' for 97.5 % over 250 days, and √(250 / days) times those for another number.

    Raises
    ------
    InvalidValue
        If the three series differ in length or are empty, or an exception's shortfall isn't
        positive.
    """
    _check_share(share)
    if not len(losses) == len(values_at_risk) == len(expected_shortfalls) > 0:
        raise InvalidValue(
            "Losses and forecasts do not pair up.", next_step="Give one forecast per day."
        )
    hits = losses > values_at_risk
    if not (expected_shortfalls[hits] > 0).all():
        raise InvalidValue(
            "An expected shortfall of zero or less can't be tested.",
            next_step="Test a portfolio that holds something risky.",
        )
    deep = float((losses[hits] / expected_shortfalls[hits]).sum())
    statistic = 1.0 - deep / (len(losses) * share)
    scaled = statistic * sqrt(len(losses) / _SHORTFALL_DAYS)
    if scaled < _SHORTFALL_RED:
        return Shortfall(statistic, Zone.RED)
    return Shortfall(statistic, Zone.YELLOW if scaled < _SHORTFALL_YELLOW else Zone.GREEN)


def reliability(zone: Zone, exceptions: int) -> float:
    """Return what the distance of a confidence from one half is multiplied with, 1 … 0.

    Green: 1. Yellow: 3 over Basel's multiplier for the number of exceptions (3.40 … 3.85, the
    least where the shortfall test alone is yellow). Red: 0, as a model that is presumed wrong
    says nothing.
    """
    if zone is Zone.GREEN:
        return 1.0
    if zone is Zone.RED:
        return 0.0
    place = min(max(exceptions - 5, 0), len(_YELLOW_MULTIPLIERS) - 1)
    return 3.0 / _YELLOW_MULTIPLIERS[place]


def _exceptions(exceptions: Sequence[float] | NDArray[np.bool_] | Floats) -> NDArray[np.bool_]:
    values = np.asarray(exceptions, dtype=np.float64)
    if values.ndim != 1 or not ((values == 0.0) | (values == 1.0)).all():
        raise InvalidValue(
            "Exceptions are one series of 0 and 1.", next_step="Drop the days with gaps."
        )
    return values.astype(np.bool_)


def _check_share(share: float) -> None:
    if not 0.0 < share < 1.0:
        raise InvalidValue(f"Level {share} is not a probability.", next_step="Use 0.05 for 95 %.")


def _log_likelihood(exceptions: int, days: int, rate: float) -> float:
    calm = days - exceptions
    return (exceptions * log(rate) if exceptions else 0.0) + (calm * log1p(-rate) if calm else 0.0)


def _chi_square_tail(statistic: float, degrees: int) -> float:
    """Return the upper tail probability for one or two degrees of freedom."""
    return erfc(sqrt(statistic / 2.0)) if degrees == 1 else exp(-statistic / 2.0)
