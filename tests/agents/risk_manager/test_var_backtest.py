"""Back-tests against printed tables, scipy's likelihoods, and their own size by simulation."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agents.risk_manager.parametric_value_at_risk import normal
from agents.risk_manager.var_backtest import (
    Zone,
    conditional_coverage,
    coverage,
    independence,
    reliability,
    shortfall_test,
    traffic_light,
)
from domain.errors import InvalidValue

HITS = st.lists(st.booleans(), min_size=2, max_size=60)


def seen(breaches, days):
    return np.arange(days) < breaches


@pytest.mark.parametrize(
    ("share", "days", "inside", "outside"),
    [
        # Kupiec (1995), table 3, at a test level of 5 %: p = 0.05 keeps 6 < N < 21 of 255 days,
        # 16 < N < 36 of 510; p = 0.01 keeps N < 7 of 255 days, 1 < N < 11 of 510.
        (0.05, 255, (7, 20), (6, 21)),
        (0.05, 510, (17, 35), (16, 36)),
        (0.01, 255, (1, 6), (7, 8)),
        (0.01, 510, (2, 10), (1, 11)),
    ],
)
def test_kupiec_non_rejection_regions_as_printed(share, days, inside, outside):
    assert all(coverage(seen(n, days), share).p_value >= 0.05 for n in inside)
    assert all(coverage(seen(n, days), share).p_value < 0.05 for n in outside)


def test_kupiec_equals_scipy():
    found = coverage(seen(9, 250), 0.05)
    likelihood = 2 * (stats.binom.logpmf(9, 250, 9 / 250) - stats.binom.logpmf(9, 250, 0.05))
    assert found.statistic == pytest.approx(likelihood)
    assert found.p_value == pytest.approx(stats.chi2.sf(likelihood, 1))
    assert (found.breaches, found.expected) == (9, 12.5)
    assert math.isnan(coverage([], 0.05).p_value)


def test_christoffersen_by_the_likelihoods_of_its_markov_chain():
    hits = np.zeros(250, bool)
    hits[[10, 11, 12, 90, 91, 200]] = True
    pairs = list(pairwise(hits))
    counts = {key: pairs.count(key) for key in ((0, 0), (0, 1), (1, 0), (1, 1))}

    def likelihood(x, n, p):
        return (
            stats.binom.logpmf(x, n, p)
            - np.log(stats.binom.pmf(0, 0, p))
            - math.log(math.comb(n, x))
        )

    calm, hit = counts[0, 0] + counts[0, 1], counts[1, 0] + counts[1, 1]
    both = counts[0, 1] + counts[1, 1]
    expected = 2 * (
        likelihood(counts[0, 1], calm, counts[0, 1] / calm)
        + likelihood(counts[1, 1], hit, counts[1, 1] / hit)
        - likelihood(both, 249, both / 249)
    )
    found = independence(hits)
    assert (counts[1, 1], counts[0, 1]) == (3, 3)
    assert found.statistic == pytest.approx(expected)
    assert found.p_value == pytest.approx(stats.chi2.sf(expected, 1))
    together = conditional_coverage(coverage(hits, 0.01), found)
    assert together.statistic == pytest.approx(expected + coverage(hits, 0.01).statistic)
    assert together.p_value == pytest.approx(stats.chi2.sf(together.statistic, 2))


@given(HITS)
def test_statistics_are_never_negative_and_the_whole_is_the_sum(hits):
    covered, apart = coverage(np.array(hits), 0.05), independence(np.array(hits))
    assert covered.statistic >= 0
    assert apart.statistic >= 0
    both = conditional_coverage(covered, apart)
    assert both.statistic == pytest.approx(covered.statistic + apart.statistic)


def test_exceptions_in_a_row_are_caught_though_their_number_is_right():
    in_a_row = np.zeros(500, bool)
    in_a_row[100:105] = True
    scattered = np.zeros(500, bool)
    scattered[::100] = True
    assert coverage(in_a_row, 0.01).p_value == coverage(scattered, 0.01).p_value > 0.9
    assert independence(in_a_row).p_value < 0.001
    assert independence(scattered).p_value > 0.5


def test_the_traffic_light_as_printed():
    # BCBS, Supervisory framework for the use of backtesting (January 1996), table 2: 99 %, 250
    # days; green up to 4, yellow 5 … 9, red from 10.
    zones = [traffic_light(n, 250) for n in range(12)]
    assert zones == [Zone.GREEN] * 5 + [Zone.YELLOW] * 5 + [Zone.RED] * 2


@pytest.mark.parametrize("days", [100, 500, 1000])
def test_the_traffic_light_of_other_lengths_follows_the_cumulative_probability(days):
    below = stats.binom.cdf(np.arange(40), days, 0.01)
    for number, probability in enumerate(below):
        expected = Zone.RED if probability >= 0.9999 else Zone(int(probability >= 0.95))
        assert traffic_light(number, days) is expected


def test_the_printed_limits_of_the_shortfall_test_hold_by_simulation():
    # Acerbi & Székely (2014): -0.70 is the 5 % quantile of Z₂ for 97.5 % over 250 days; so an
    # honest forecast is yellow in about 5 % of years, and hardly ever red.
    random = np.random.default_rng(6)
    risk = normal(0, 1, 0.975)
    zones = [
        shortfall_test(random.standard_normal(250), *(np.full(250, x) for x in risk)).zone
        for _ in range(2_000)
    ]
    assert np.mean([zone is not Zone.GREEN for zone in zones]) == pytest.approx(0.05, abs=0.015)
    assert np.mean([zone is Zone.RED for zone in zones]) < 0.002


def test_a_shortfall_that_is_too_small_is_caught():
    random = np.random.default_rng(7)
    risk = normal(0, 0.6, 0.975)
    found = shortfall_test(random.standard_normal(250), *(np.full(250, x) for x in risk))
    assert found.statistic < -1.8
    assert found.zone is Zone.RED


def test_the_shortfall_statistic_by_hand():
    losses = np.array([3.0, 0.0, 5.0, 1.0])
    found = shortfall_test(losses, np.full(4, 2.0), np.full(4, 4.0), 0.25)
    assert found.statistic == pytest.approx(1 - (3 / 4 + 5 / 4) / (4 * 0.25))


def test_reliability_falls_from_zone_to_zone():
    kept = [reliability(traffic_light(n, 250), n) for n in range(12)]
    assert kept[:5] == [1.0] * 5
    assert kept[5:10] == [3 / m for m in (3.40, 3.50, 3.65, 3.75, 3.85)]
    assert kept[10:] == [0.0, 0.0]
    assert reliability(Zone.YELLOW, 0) == 3 / 3.40


def test_what_is_no_back_test_is_a_typed_error():
    for call in (
        lambda: coverage([0.0], 1.0),
        lambda: coverage([0.5], 0.01),
        lambda: coverage([np.nan], 0.01),
        lambda: independence(np.zeros((2, 2))),
        lambda: traffic_light(5, 4),
        lambda: shortfall_test(np.ones(2), np.ones(3), np.ones(3)),
        lambda: shortfall_test(np.ones(2), np.zeros(2), np.zeros(2)),
        lambda: shortfall_test(np.ones(0), np.ones(0), np.ones(0)),
    ):
        with pytest.raises(InvalidValue):
            call()
    assert math.isnan(independence([1.0]).p_value)
