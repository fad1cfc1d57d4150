"""Against the numbers that the papers print.

- PSR, MinTRL: Bailey & López de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk
  15(2), 2012: a track record of 24 months with a monthly Sharpe ratio of 0.458, skewness -2.448
  and kurtosis 10.164 has PSR(0) = 0.913 (0.982 if returns were normal); for an annual Sharpe ratio
  of 2 to exceed 1 at 95 % it takes 2.73 years of daily, 2.83 of weekly and 3.24 of monthly normal
  returns, and 4.99 years of monthly returns with skewness -0.72 and kurtosis 5.78.
- DSR: Bailey & López de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management 40(5),
  2014: annual Sharpe ratio 2.5, 5 years of 250 days, 100 trials with variance 1/2, skewness -3 and
  kurtosis 10: expected maximum 0.1132 a day, DSR 0.9004; with 46 trials 0.9505.
- MinBTL: Bailey, Borwein, López de Prado & Zhu, "Pseudo-Mathematics and Financial Charlatanism",
  Notices of the AMS 61(5), 2014: with five years of data no more than 45 independent trials may be
  made, or an annual Sharpe ratio of 1 is expected of luck alone. The expected maximum of ten
  standard normal numbers is 1.57. (Both stand in a public replication in R of SSRN 2308659 as
  well, which gets 0.9998 for 45 trials and 1.575.)
"""

import math

import numpy as np
import pytest
from scipy import stats

from domain.errors import InvalidValue
from evaluation import significance as sg


def test_probabilistic_sharpe_ratio_as_printed():
    assert sg.probabilistic_sharpe_ratio(0.458, 24, -2.448, 10.164) == pytest.approx(
        0.913, abs=6e-4
    )
    assert sg.probabilistic_sharpe_ratio(0.458, 24, 0.0, 3.0) == pytest.approx(0.982, abs=6e-4)


@pytest.mark.parametrize(
    ("periods", "skew", "raw_kurtosis", "years"),
    [(252, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_minimum_track_record_length_as_printed(periods, skew, raw_kurtosis, years):
    root = math.sqrt(periods)
    length = sg.minimum_track_record_length(2 / root, skew, raw_kurtosis, benchmark=1 / root)
    assert length / periods == pytest.approx(years, abs=0.006)


def test_deflated_sharpe_ratio_as_printed():
    daily, variance = 2.5 / math.sqrt(250), 0.5 / 250
    assert sg.expected_maximum_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    measured = [
        sg.deflated_sharpe_ratio(daily, 1250, -3, 10, trials=n, trial_variance=variance)
        for n in (100, 46)
    ]
    assert measured == pytest.approx([0.9004, 0.9505], abs=1e-4)


def test_minimum_backtest_length_as_printed():
    assert sg.minimum_backtest_length(1.0, 45) == pytest.approx(5.0, abs=0.01)


@pytest.mark.parametrize("trials", [2, 7, 45, 1000])
def test_minimum_backtest_length_by_the_expected_maximum_itself(trials):
    # The greatest of n standard normal numbers, by integrating its density; the formula's
    # approximation lies 8 % below it for two trials, and within 3 % from seven on.
    x = np.linspace(-10, 10, 200_001)
    density = trials * stats.norm.pdf(x) * stats.norm.cdf(x) ** (trials - 1)
    expected = np.trapezoid(x * density, x)
    years = sg.minimum_backtest_length(1.0, trials)
    assert math.sqrt(years) == pytest.approx(expected, rel=0.08 if trials == 2 else 0.03)
    assert years < 2 * math.log(trials)
    # Half the Sharpe ratio takes four times as long, in whatever period both are counted.
    assert sg.minimum_backtest_length(0.5, trials) == pytest.approx(4 * years)


def test_expected_maximum_as_printed():
    assert sg.expected_maximum_sharpe(10, 1.0) == pytest.approx(1.57, abs=0.005)


def test_no_length_is_enough_without_a_positive_sharpe_ratio():
    assert sg.minimum_backtest_length(0.0, 10) == math.inf
    assert sg.minimum_backtest_length(1.0, 1) == 0.0


def test_minimum_length_is_where_the_probability_reaches_the_confidence():
    length = sg.minimum_track_record_length(0.1, -0.5, 6.0)
    assert sg.probabilistic_sharpe_ratio(0.1, math.ceil(length), -0.5, 6.0) >= 0.95
    assert sg.probabilistic_sharpe_ratio(0.1, math.floor(length) - 1, -0.5, 6.0) < 0.95
    assert sg.minimum_track_record_length(-0.1, 0.0, 3.0) == math.inf


def test_excess_kurtosis_is_refused():
    with pytest.raises(InvalidValue, match="raw kurtosis"):
        sg.probabilistic_sharpe_ratio(0.1, 100, 0.0, 0.0)


def test_one_trial_deflates_nothing():
    assert sg.expected_maximum_sharpe(1, 0.5) == 0.0
    with pytest.raises(InvalidValue):
        sg.expected_maximum_sharpe(0, 0.5)


def test_moments_equal_scipy():
    values = np.random.default_rng(3).standard_t(5, 200)
    assert sg.skewness(values) == pytest.approx(stats.skew(values))
    assert sg.kurtosis(values) == pytest.approx(stats.kurtosis(values, fisher=False))
    assert math.isnan(sg.kurtosis([1.0]))


def test_long_run_variance_by_hand():
    # Centred -1, -1, 1, 1: autocovariances 1, 1/4; Bartlett weight 1/2 at lag 1.
    assert sg.long_run_variance([0.0, 0.0, 2.0, 2.0], lags=1) == pytest.approx(1.25)
    assert sg.long_run_variance([0.0, 2.0, 0.0, 2.0], lags=1) == pytest.approx(1.0)


def test_interval_without_lags_is_the_textbook_one():
    values = np.random.default_rng(4).normal(0.3, 1, 500)
    estimate, lower, upper, _ = sg.hac_interval(values, lags=0)
    textbook = stats.norm.interval(0.95, np.mean(values), stats.sem(values))
    assert (lower, upper) == pytest.approx(textbook)
    assert estimate == pytest.approx(np.mean(values))


def _autocorrelated(rng, rho, shape):
    noise = rng.normal(size=shape)
    x = np.empty(shape)
    x[..., 0] = noise[..., 0] / math.sqrt(1 - rho**2)
    for t in range(1, shape[-1]):
        x[..., t] = rho * x[..., t - 1] + noise[..., t]
    return x


@pytest.mark.parametrize("method", ["hac", "bootstrap"])
def test_coverage_under_autocorrelation(method):
    streams = _autocorrelated(np.random.default_rng(5), 0.3, (300, 400))
    covered = 0
    for i, stream in enumerate(streams):
        if method == "hac":
            interval = sg.hac_interval(stream)
        else:
            interval = sg.bootstrap_interval(stream, seed=i, resamples=200)
        covered += interval.lower <= 0 <= interval.upper
    # Binomial error of 300 streams is 1.3 points; a plain interval covers about 85 %.
    assert 0.89 <= covered / 300 <= 0.98


def test_bootstrap_is_repeatable_and_short_input_has_no_limits():
    values = [0.1, -0.2, 0.3, 0.4]
    assert sg.bootstrap_interval(values, seed=1) == sg.bootstrap_interval(values, seed=1)
    assert math.isnan(sg.bootstrap_interval([0.1], seed=1).lower)
    assert math.isnan(sg.hac_interval([], 0.95).estimate)


def test_sharpe_interval_surrounds_the_estimate():
    values = np.random.default_rng(6).normal(0.1, 1, 1000)
    estimate, lower, upper, _ = sg.sharpe_interval(values)
    assert lower < estimate < upper
    # For normal returns the standard error is sqrt((1 + SR² / 2) / (n - 1)).
    assert (upper - lower) / 2 / 1.959964 == pytest.approx(
        math.sqrt((1 + estimate**2 / 2) / 999), rel=0.02
    )
    assert math.isnan(sg.sharpe_interval([0.1]).lower)
