"""Is any of many models really better than a benchmark? Hansen's test, and White's beside it.

Hansen, "A Test for Superior Predictive Ability", Journal of Business & Economic Statistics 23(4),
2005, with the stationary bootstrap of Politis & Romano (1994). The null hypothesis is that no model
beats the benchmark, so its p-value counts for all models that were tried.
"""

import math
from typing import NamedTuple

import numpy as np

from domain.errors import InvalidValue
from evaluation.arrays import Floats
from evaluation.resampling import stationary_counts


class SuperiorAbility(NamedTuple):
    """P-values under three ways of centring the models that are worse than the benchmark.

    Parameters
    ----------
    lower, consistent, upper
        Worse models count at their mean, as far as it is insignificant (Hansen's), or at zero
        (White's reality check, studentised).
    statistics
        Each model's mean gain over the benchmark, studentised.
    model_p_values
        Probability under the consistent centring that the best of all models reaches what this
        one did: its p-value with all trials counted (the first step of Romano & Wolf, 2005).
    """

    lower: float
    consistent: float
    upper: float
    statistics: Floats
    model_p_values: Floats


def superior_ability(
    gains: Floats,
    *,
    seed: int,
    block: float,
    resamples: int = 1_000,
    studentised: bool = True,
) -> SuperiorAbility:
    """Test whether any model beats the benchmark.

    Parameters
    ----------
    gains
        Periods × models: the benchmark's loss minus the model's.
    block
        Expected length of the bootstrap's blocks, in periods.
    studentised
        Compare means in their standard errors, as Hansen does; else in the unit of the gains, which
        lets the model that varies most decide (and is what `arch.bootstrap.SPA` 8.0 computes).

    Raises
    ------
    InvalidValue
        Below three periods, without a model, or with a value that is not finite.
    """
    if gains.ndim != 2 or len(gains) < 3 or gains.shape[1] < 1 or not np.isfinite(gains).all():
        raise InvalidValue(
            "The test needs finite gains of one model or more over three periods or more.",
            next_step="Give periods × models, without gaps.",
        )
    periods = len(gains)
    means = gains.mean(axis=0)
    deviation = np.sqrt(bootstrap_variance(gains, block))
    moves = deviation > 1e-12 * (1e-300 + np.abs(gains).max(axis=0))
    error = np.where(moves, deviation, 1.0) / math.sqrt(periods)
    scale = error if studentised else np.ones_like(error)
    statistics = np.where(moves, means / scale, 0.0)
    counts = stationary_counts(
        periods, np.random.default_rng(seed), block=block, resamples=resamples
    )
    drawn = counts @ gains / periods
    # The law of the iterated logarithm bounds how far below zero chance alone keeps a mean.
    bound = -math.sqrt(2.0 * math.log(math.log(periods)))
    centres = {
        "lower": np.where(means > 0, means, 0.0),
        "consistent": np.where(means >= bound * error, means, 0.0),
        "upper": means,
    }
    best = {
        name: np.maximum(np.where(moves, (drawn - centre) / scale, 0.0).max(axis=1), 0.0)
        for name, centre in centres.items()
    }
    greatest = max(0.0, float(statistics.max()))
    p_values = {name: np.count_nonzero(b > greatest) / resamples for name, b in best.items()}
    each = np.array([np.count_nonzero(best["consistent"] >= s) / resamples for s in statistics])
    return SuperiorAbility(**p_values, statistics=statistics, model_p_values=each)


def bootstrap_variance(values: Floats, block: float) -> Floats:
    """Return the variance of √n times the mean under the stationary bootstrap, column by column.

    In closed form (Politis & Romano, 1994, lemma 1): autocovariances at lag k are weighted by
    (1 - k/n) (1 - p)^k + (k/n) (1 - p)^(n - k), p being one over the expected block length.
    """
    periods = len(values)
    centred = values - values.mean(axis=0)
    width = 1 << (2 * periods - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, width, axis=0)) ** 2
    covariances = np.fft.irfft(spectrum, width, axis=0)[:periods] / periods
    lag: Floats = np.arange(1.0, periods)
    stays = 1.0 - 1.0 / block
    weight = (1 - lag / periods) * stays**lag + lag / periods * stays ** (periods - lag)
    return np.maximum(covariances[0] + 2.0 * weight @ covariances[1:], 0.0)
