"""Look as often as you like: anytime-valid comparison of paired differences.

The confidence sequence is the normal mixture (Robbins 1970; Howard, Ramdas, McAuliffe & Sekhon
2021) in its asymptotic form with an estimated variance (Waudby-Smith et al. 2021): with
probability 1 - α the true mean lies inside the limits at **every** observation at once, so
stopping at the first limit that clears zero keeps the error rate. A z test that is looked at
after each of 2,000 observations promotes an equal challenger more often than not.

The variance is the larger of the plain and the long-run (Newey–West) variance of the differences
seen so far, so that autocorrelation widens the limits.
"""

import math
from enum import StrEnum
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from domain.errors import InvalidValue
from domain.messages import Value
from evaluation.arrays import Floats, Series, finite


def minimum_observations(overlap: int = 1) -> int:
    """Observations before which no verdict is given: the variance is not known well enough."""
    return max(30, 10 * overlap)


class Verdict(StrEnum):
    """What a comparison says so far."""

    PROMOTE = "promote"
    REFUSE = "refuse"
    INCONCLUSIVE = "inconclusive"


class ConfidenceSequence(NamedTuple):
    """Running mean with its limits, one entry per observation; the first limits are infinite."""

    mean: Floats
    lower: Floats
    upper: Floats


class SequentialVerdict(Value, frozen=True, kw_only=True):
    """The verdict with what it rests on; differences are challenger minus champion.

    Parameters
    ----------
    stopped_at
        Observation (1, 2 …) at which the verdict fell, or the last one.
    mean, lower, upper
        Running mean and limits there; no limits before a verdict is possible.
    reason
        One sentence.
    """

    verdict: Verdict
    observations: int
    stopped_at: int
    mean: float
    lower: float | None
    upper: float | None
    alpha: float
    reason: str


def mixture_variance(alpha: float, horizon: int) -> float:
    """Return the mixture's ρ² that makes the limits narrowest near `horizon` observations."""
    if not 0 < alpha < 1 or horizon < 1:
        raise InvalidValue(
            f"alpha {alpha} and horizon {horizon} are out of range.",
            next_step="Use 0 < alpha < 1 and a horizon of at least one observation.",
        )
    # The one fixed-point step of Waudby-Smith et al. (2021, appendix) for the optimal width.
    return (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / horizon


def mixture_radius(observations: Floats, alpha: float, horizon: int) -> Floats:
    """Half-width of the limits for unit variance after each count of observations."""
    scale = observations * mixture_variance(alpha, horizon) + 1.0
    return np.sqrt(2 * scale / (observations * (scale - 1.0)) * np.log(np.sqrt(scale) / alpha))


def planned_horizon(
    effect: float, *, alpha: float = 0.05, power: float = 0.8, autocorrelation: float = 0.0
) -> int:
    """Observations after which an effect is found with probability `power`, to declare beforehand.

    Parameters
    ----------
    effect
        Mean difference in standard deviations of one difference.
    autocorrelation
        Of first order; it makes n observations worth n (1 - ρ) / (1 + ρ).

    Notes
    -----
    At its narrowest, the limits' half-width times √n is a constant c of `alpha` alone, so the mean
    clears them with probability Φ(effect √n - c). Looking at every observation only adds to it.
    """
    width = float(mixture_radius(np.array([1.0]), alpha, 1)[0])
    return _sample_size(effect, width, power, autocorrelation)


def fixed_sample_size(
    effect: float, *, alpha: float = 0.05, power: float = 0.8, autocorrelation: float = 0.0
) -> int:
    """Observations that a two-sided z test needs that is looked at once; see `planned_horizon`."""
    return _sample_size(effect, NormalDist().inv_cdf(1 - alpha / 2), power, autocorrelation)


def _sample_size(effect: float, width: float, power: float, autocorrelation: float) -> int:
    if not (effect > 0 and 0 < power < 1 and 0 <= autocorrelation < 1):
        raise InvalidValue(
            f"Effect {effect}, power {power} or autocorrelation {autocorrelation} is out of range.",
            next_step="Use an effect above 0, power in (0, 1) and autocorrelation in [0, 1).",
        )
    inflation = (1 + autocorrelation) / (1 - autocorrelation)
    return math.ceil(inflation * ((width + NormalDist().inv_cdf(power)) / effect) ** 2)


def running_variance(values: Floats, overlap: int = 1) -> Floats:
    """Larger of plain and long-run variance of the first 1, 2 … values (along the last axis).

    The Bartlett bandwidth after t values is ⌊1.5 t^(1/3)⌋, at least 3 (`overlap` - 1). The factor
    t / (t - 2 bandwidth - 1) makes up for estimating it. Each entry uses only what was seen so far.
    """
    x = values - values[..., :1]  # a fixed shift: no cancellation for series far from zero
    n = x.shape[-1]
    t = np.arange(1.0, n + 1)
    total = np.cumsum(x, axis=-1)
    mean = total / t
    plain = np.maximum(np.cumsum(x * x, axis=-1) / t - mean**2, 0.0)
    bandwidth = np.maximum(np.floor(1.5 * np.cbrt(t)), 3.0 * (overlap - 1))
    long_run = plain.copy()
    for k in range(1, min(int(bandwidth[-1]), n - 1) + 1):
        products = np.cumsum(x[..., k:] * x[..., :-k], axis=-1)
        late, early = total[..., k:] - total[..., k - 1 : k], total[..., :-k]
        centred = products - mean[..., k:] * (late + early) + (t[k:] - k) * mean[..., k:] ** 2
        weight = np.maximum(0.0, 1.0 - k / (bandwidth[k:] + 1.0))
        long_run[..., k:] += 2 * weight * centred / t[k:]
    correction = t / np.maximum(t - 2.0 * bandwidth - 1.0, 1.0)
    return np.maximum(plain, long_run) * correction


def confidence_sequence(
    differences: Floats, *, alpha: float = 0.05, horizon: int = 500, overlap: int = 1
) -> ConfidenceSequence:
    """Limits for the mean of `differences` that hold at all times with probability 1 - `alpha`.

    Parameters
    ----------
    differences
        Observations in order of time along the last axis; leading axes are separate streams.
    horizon
        Number of observations at which the limits shall be narrowest; chosen beforehand.
    overlap
        Periods that one observation's horizon spans: 5 for five-day outcomes observed daily.
    """
    d = np.asarray(differences, dtype=np.float64)
    t = np.arange(1.0, d.shape[-1] + 1)
    if d.shape[-1] == 0:
        return ConfidenceSequence(d, d, d)
    mean = np.cumsum(d, axis=-1) / t
    radius = np.sqrt(running_variance(d, overlap)) * mixture_radius(t, alpha, horizon)
    radius[..., : minimum_observations(overlap) - 1] = math.inf
    return ConfidenceSequence(mean, mean - radius, mean + radius)


def compare(
    differences: Series,
    *,
    alpha: float = 0.05,
    horizon: int = 500,
    overlap: int = 1,
    smallest_effect: float = 0.0,
) -> SequentialVerdict:
    """Judge paired differences (challenger minus champion, larger is better) as they came in.

    The verdict falls at the first observation whose limits leave `smallest_effect` on one side:
    above it promotes, below it refuses. Later observations can't take a verdict back.
    """
    d = finite(differences, "differences")
    sequence = confidence_sequence(d, alpha=alpha, horizon=horizon, overlap=overlap)
    decided = np.flatnonzero(
        (sequence.lower > smallest_effect) | (sequence.upper < smallest_effect)
    )
    if len(d) == 0:
        return SequentialVerdict(
            verdict=Verdict.INCONCLUSIVE,
            observations=0,
            stopped_at=0,
            mean=0.0,
            lower=None,
            upper=None,
            alpha=alpha,
            reason="Nothing has been observed yet.",
        )
    at = int(decided[0]) if len(decided) else len(d) - 1
    mean, lower, upper = (float(line[at]) for line in sequence)
    if lower > smallest_effect:
        verdict, says = Verdict.PROMOTE, "the challenger is better"
    elif upper < smallest_effect:
        verdict, says = Verdict.REFUSE, "the challenger is worse"
    else:
        verdict, says = Verdict.INCONCLUSIVE, "neither model is shown to be better"
    if len(d) < (needed := minimum_observations(overlap)):
        reason = f"{len(d)} observations are fewer than the {needed} that a verdict needs."
    else:
        reason = (
            f"After {at + 1} observations {says}: mean difference {mean:+.4g}, "
            f"{1 - alpha:.0%} limits {lower:+.4g} to {upper:+.4g}, valid at every look."
        )
    return SequentialVerdict(
        verdict=verdict,
        observations=len(d),
        stopped_at=at + 1,
        mean=mean,
        lower=lower if math.isfinite(lower) else None,
        upper=upper if math.isfinite(upper) else None,
        alpha=alpha,
        reason=reason,
    )
