"""Whether probabilities mean what they say.

Probabilities lie in 0–1, outcomes are 0 or 1. All measures are losses (smaller is better), refuse
NaN, values out of range and unpaired input (`domain.errors.InvalidValue`), and answer NaN for
empty input.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from domain.errors import InvalidValue
from evaluation.arrays import Floats, Series, finite, same_length
from evaluation.resampling import samples_by_day
from evaluation.significance import Interval

#: Confidences are kept in whole millionths, so nothing is surer than this.
SUREST = 1e-6


class Calibration(NamedTuple):
    """How stated probabilities fared against what came.

    Parameters
    ----------
    known
        Pairs of probability and outcome.
    stated, came
        Mean probability, and how often it came true; equal where calibrated on average.
    brier, log_loss, calibration_error
        With their intervals.
    brier_of_base_rate
        What always stating `came` would have scored.
    """

    known: int
    stated: float
    came: float
    brier: Interval
    log_loss: Interval
    calibration_error: Interval
    brier_of_base_rate: float


class BrierParts(NamedTuple):
    """Murphy's decomposition: Brier = reliability - resolution + uncertainty + within_bins."""

    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float


def brier_score(probabilities: Series, outcomes: Series) -> float:
    """Mean squared distance of probability and outcome, 0 (best) to 1."""
    p, y = _paired(probabilities, outcomes)
    return float(np.mean((p - y) ** 2)) if len(p) else math.nan


def brier_parts(probabilities: Series, outcomes: Series, bins: int = 10) -> BrierParts:
    """Decompose the Brier score over `bins` equal-width bins.

    `within_bins` is what binning itself adds (Stephenson et al., 2008), so that the parts sum to
    the score exactly; it is 0 where each bin holds one distinct probability.
    """
    p, y = _paired(probabilities, outcomes)
    if len(p) == 0:
        return BrierParts(math.nan, math.nan, math.nan, math.nan)
    base = float(np.mean(y))
    _, counts, forecast, observed = _binned(p, y, bins)
    share = counts / len(p)
    reliability = float(share @ (forecast - observed) ** 2)
    resolution = float(share @ (observed - base) ** 2)
    uncertainty = base * (1 - base)
    within = float(np.mean((p - y) ** 2)) - (reliability - resolution + uncertainty)
    return BrierParts(reliability, resolution, uncertainty, within)


def log_loss(probabilities: Series, outcomes: Series) -> float:
    """Mean negative log-likelihood in nats; probabilities are held one millionth off 0 and 1."""
    p, y = _paired(probabilities, outcomes)
    p = np.clip(p, SUREST, 1 - SUREST)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p))) if len(p) else math.nan


def expected_calibration_error(probabilities: Series, outcomes: Series, bins: int = 10) -> float:
    """Mean distance of forecast and observed frequency over equal-width bins, by count."""
    p, y = _paired(probabilities, outcomes)
    if len(p) == 0:
        return math.nan
    _, counts, forecast, observed = _binned(p, y, bins)
    return float(counts / len(p) @ np.abs(forecast - observed))


def reliability_curve(
    probabilities: Series, outcomes: Series, bins: int = 10, confidence: float = 0.95
) -> pl.DataFrame:
    """Return one row for each bin that is not empty.

    Columns ``low, high`` (the bin), ``forecast`` (mean probability), ``observed`` (frequency),
    ``count``, and ``observed_low, observed_high``: the Wilson interval of the frequency, which
    holds in bins too small for the bootstrap.
    """
    p, y = _paired(probabilities, outcomes)
    which, counts, forecast, observed = _binned(p, y, bins)
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    centre = (observed + z2 / (2 * counts)) / (1 + z2 / counts)
    spread = observed * (1 - observed) / counts + z2 / (4 * counts**2)
    reach = np.sqrt(z2 * spread) / (1 + z2 / counts)
    return pl.DataFrame(
        {
            "low": which / bins,
            "high": (which + 1) / bins,
            "forecast": forecast,
            "observed": observed,
            "count": counts.astype(np.int64),
            "observed_low": np.maximum(0.0, centre - reach),
            "observed_high": np.minimum(1.0, centre + reach),
        }
    )


def measure_interval(
    measure: Callable[[Floats, Floats], float],
    probabilities: Series,
    outcomes: Series,
    *,
    seed: int,
    confidence: float = 0.95,
    block: float = 1.0,
    resamples: int = 1_000,
    days: Sequence[object] | None = None,
) -> Interval:
    """Return a percentile-bootstrap interval of any measure of this module.

    `block` above 1 resamples blocks of that expected length, for outcomes that overlap in time:
    of pairs in the order in which they are given, or of whole `days` where each pair names its
    own. Limits are NaN below two pairs, or two days.
    """
    p, y = _paired(probabilities, outcomes)
    estimate = measure(p, y)
    names = range(len(p)) if days is None else days
    if len(set(names)) < 2:
        return Interval(estimate, math.nan, math.nan, confidence)
    draws = samples_by_day(names, seed=seed, block=block, resamples=resamples)
    values = np.array([measure(p[rows], y[rows]) for rows in draws])
    tail = (1 - confidence) / 2
    low, high = (float(q) for q in np.quantile(values, [tail, 1 - tail]))
    return Interval(estimate, low, high, confidence)


def calibration(
    probabilities: Series,
    outcomes: Series,
    days: Sequence[object],
    *,
    seed: int,
    block: float,
    resamples: int = 400,
) -> Calibration:
    """Return every measure with a 95 % interval by blocks of days, as `measure_interval` has it."""
    p, y = _paired(probabilities, outcomes)
    squares = (p - y) ** 2
    surprises = -np.log(np.clip(np.where(y == 1, p, 1 - p), SUREST, 1 - SUREST))

    def measured(rows: NDArray[np.int64] | slice) -> tuple[float, float, float]:
        _, counts, forecast, observed = _binned(p[rows], y[rows], 10)
        error = float(counts @ np.abs(forecast - observed) / counts.sum())
        return float(squares[rows].mean()), float(surprises[rows].mean()), error

    nothing = (math.nan, math.nan, math.nan)
    estimates = measured(slice(None)) if len(p) else nothing
    lower = upper = nothing
    if len(set(days)) >= 2:
        draws = samples_by_day(days, seed=seed, block=block, resamples=resamples)
        lower, upper = np.quantile([measured(rows) for rows in draws], [0.025, 0.975], axis=0)
    brier, loss, error = (
        Interval(estimate, float(low), float(high), 0.95)
        for estimate, low, high in zip(estimates, lower, upper, strict=True)
    )
    stated, came = (float(np.mean(v)) if len(v) else math.nan for v in (p, y))
    return Calibration(len(p), stated, came, brier, loss, error, came * (1 - came))


def _paired(probabilities: Series, outcomes: Series) -> tuple[Floats, Floats]:
    p, y = finite(probabilities, "probabilities"), finite(outcomes, "outcomes")
    same_length(p, y, "Probabilities and outcomes")
    if np.any((p < 0) | (p > 1)) or np.any((y != 0) & (y != 1)):
        raise InvalidValue(
            "Probabilities lie in 0–1 and outcomes are 0 or 1.", next_step="Check the units."
        )
    return p, y


def _binned(p: Floats, y: Floats, bins: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Index, count, mean forecast and observed frequency of the bins that are not empty."""
    if bins < 1:
        raise InvalidValue("There is at least one bin.", next_step="Use 10 bins.")
    index = np.minimum((p * bins).astype(np.int64), bins - 1)
    counts = np.bincount(index, minlength=bins).astype(np.float64)
    used = np.flatnonzero(counts)
    forecast = np.bincount(index, weights=p, minlength=bins)[used] / counts[used]
    observed = np.bincount(index, weights=y, minlength=bins)[used] / counts[used]
    return used.astype(np.float64), counts[used], forecast, observed
