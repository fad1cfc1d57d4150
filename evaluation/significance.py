"""Is it more than luck? Sharpe ratios with their error, and paired differences with theirs.

Sharpe ratios here are **per period** and kurtosis is **raw** (3 for the normal distribution), as
in Bailey & López de Prado, "The Sharpe Ratio Efficient Frontier" (2012) and "The Deflated Sharpe
Ratio" (2014). Excess kurtosis in these formulas is a widespread mistake.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from domain.errors import InvalidValue
from evaluation.arrays import Floats, Series, finite
from evaluation.resampling import bootstrap_means

_NORMAL = NormalDist()
_EULER_GAMMA = 0.5772156649015329


class Interval(NamedTuple):
    """An estimate between two limits at a stated confidence."""

    estimate: float
    lower: float
    upper: float
    confidence: float


def skewness(returns: Series) -> float:
    """Third standardised moment (population); NaN below two values or without variation."""
    return _standardised_moment(returns, 3)


def kurtosis(returns: Series) -> float:
    """Fourth standardised moment (population), raw; NaN below two values or without variation."""
    return _standardised_moment(returns, 4)


def _standardised_moment(returns: Series, order: int) -> float:
    r = finite(returns, "returns")
    if len(r) < 2:
        return math.nan
    centred = r - np.mean(r)
    scale = math.sqrt(float(np.mean(centred**2)))
    return float(np.mean((centred / scale) ** order)) if scale > 0 else math.nan


def sharpe_variance(sharpe: float, skew: float, raw_kurtosis: float) -> float:
    """Variance of the Sharpe estimate times (observations - 1).

    Raises
    ------
    InvalidValue
        If the moments are impossible (raw kurtosis must be at least skewness² + 1).
    """
    if raw_kurtosis < skew**2 + 1 - 1e-9:
        raise InvalidValue(
            f"No distribution has skewness {skew} and raw kurtosis {raw_kurtosis}.",
            next_step="Pass raw kurtosis (3 for a normal distribution), not excess kurtosis.",
        )
    return max(0.0, 1.0 - skew * sharpe + (raw_kurtosis - 1.0) / 4.0 * sharpe**2)


def probabilistic_sharpe_ratio(
    sharpe: float, observations: int, skew: float, raw_kurtosis: float, benchmark: float = 0.0
) -> float:
    """Probability (0–1) that the true Sharpe ratio exceeds `benchmark`; both per period.

    NaN below two observations.
    """
    variance = sharpe_variance(sharpe, skew, raw_kurtosis)
    if observations < 2:
        return math.nan
    if variance == 0.0:
        return 1.0 if sharpe > benchmark else 0.0
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt((observations - 1) / variance))


def sharpe_interval(returns: Series, confidence: float = 0.95) -> Interval:
    """Per-period Sharpe ratio with its normal-theory interval (same variance as the PSR).

    All NaN below two returns or without variation.
    """
    r = finite(returns, "returns")
    skew, raw = skewness(r), kurtosis(r)
    if math.isnan(raw):
        return Interval(math.nan, math.nan, math.nan, confidence)
    sharpe = float(np.mean(r) / np.std(r, ddof=1))
    error = math.sqrt(sharpe_variance(sharpe, skew, raw) / (len(r) - 1))
    reach = _NORMAL.inv_cdf(0.5 + confidence / 2) * error
    return Interval(sharpe, sharpe - reach, sharpe + reach, confidence)


def expected_maximum_sharpe(trials: int, trial_variance: float) -> float:
    """Best Sharpe ratio that `trials` independent strategies without skill are expected to show.

    `trial_variance` is the variance of the trials' Sharpe ratios, per period. One trial: 0.
    """
    if trials < 1:
        raise InvalidValue("There is at least one trial.", next_step="Read N from the ledger.")
    if trials == 1:
        return 0.0
    best = _NORMAL.inv_cdf(1 - 1 / trials)
    beyond = _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(trial_variance) * ((1 - _EULER_GAMMA) * best + _EULER_GAMMA * beyond)


def deflated_sharpe_ratio(
    sharpe: float,
    observations: int,
    skew: float,
    raw_kurtosis: float,
    *,
    trials: int,
    trial_variance: float,
) -> float:
    """PSR against the best Sharpe that luck alone gives in `trials` trials; NaN as the PSR."""
    lucky = expected_maximum_sharpe(trials, trial_variance)
    return probabilistic_sharpe_ratio(sharpe, observations, skew, raw_kurtosis, lucky)


def minimum_track_record_length(
    sharpe: float,
    skew: float,
    raw_kurtosis: float,
    benchmark: float = 0.0,
    confidence: float = 0.95,
) -> float:
    """Observations needed before the PSR against `benchmark` reaches `confidence`.

    Infinite where `sharpe` does not exceed `benchmark`.
    """
    if not sharpe > benchmark:
        return math.inf
    quantile = _NORMAL.inv_cdf(confidence) / (sharpe - benchmark)
    return 1.0 + sharpe_variance(sharpe, skew, raw_kurtosis) * quantile**2


def minimum_backtest_length(sharpe: float, trials: int) -> float:
    """Periods below which luck alone is expected to show `sharpe` in the best of `trials`.

    The square of the expected maximum of `trials` standard normal numbers over `sharpe` (Bailey,
    Borwein, López de Prado & Zhu, "Pseudo-Mathematics and Financial Charlatanism", Notices of the
    AMS 61(5), 2014, theorem 2); years where `sharpe` is annual. Infinite where `sharpe` is not
    above zero.
    """
    if not sharpe > 0:
        return math.inf
    return (expected_maximum_sharpe(trials, 1.0) / sharpe) ** 2


def newey_west_lags(observations: int) -> int:
    """Bandwidth of Newey & West (1994) without a pilot estimate: ⌊4 (n / 100)^(2/9)⌋."""
    return int(4 * (max(observations, 1) / 100) ** (2 / 9))


def long_run_variance(values: Series, lags: int | None = None) -> float:
    """Variance of √n times the mean under autocorrelation (Newey–West, Bartlett kernel).

    `lags` None takes `newey_west_lags`; overlapping horizons of h periods need at least h - 1.
    Never below the plain variance, so that negative autocorrelation can't buy significance.
    NaN below two values.
    """
    x = finite(values, "values")
    n = len(x)
    if n < 2:
        return math.nan
    centred = x - np.mean(x)
    plain = float(centred @ centred) / n
    width = min(newey_west_lags(n) if lags is None else lags, n - 1)
    cross = sum(
        (1 - k / (width + 1)) * 2 * float(centred[k:] @ centred[:-k]) / n
        for k in range(1, width + 1)
    )
    return max(plain, plain + cross)


def hac_interval(
    differences: Series, confidence: float = 0.95, lags: int | None = None
) -> Interval:
    """Mean of paired differences with its HAC interval (see `long_run_variance`).

    Limits are NaN below two differences.
    """
    d = finite(differences, "differences")
    mean = float(np.mean(d)) if len(d) else math.nan
    variance = long_run_variance(d, lags)
    # n / (n - 1): the small-sample correction that makes lag 0 the textbook standard error.
    error = math.sqrt(variance / (len(d) - 1)) if len(d) > 1 else math.nan
    reach = _NORMAL.inv_cdf(0.5 + confidence / 2) * error
    return Interval(mean, mean - reach, mean + reach, confidence)


def bootstrap_interval(
    differences: Series,
    *,
    seed: int,
    confidence: float = 0.95,
    block: float = 10.0,
    resamples: int = 2_000,
) -> Interval:
    """Mean of paired differences with a basic stationary-bootstrap interval.

    `block` is the expected block length in periods (Politis & Romano, 1994). Limits are NaN
    below two differences.
    """
    d = finite(differences, "differences")
    if len(d) < 2:
        mean = float(np.mean(d)) if len(d) else math.nan
        return Interval(mean, math.nan, math.nan, confidence)
    mean = float(np.mean(d))
    means: Floats = bootstrap_means(d, seed=seed, block=block, resamples=resamples)
    tail = (1 - confidence) / 2
    low, high = (float(q) for q in np.quantile(means, [tail, 1 - tail]))
    return Interval(mean, 2 * mean - high, 2 * mean - low, confidence)
