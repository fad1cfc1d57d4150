"""Measures against hand-computed and independent numbers, and the properties that must hold."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from domain.errors import InvalidValue
from evaluation import performance as pf

EQUITY = [100.0, 110.0, 99.0, 108.9, 130.68]
RETURNS = [0.1, -0.1, 0.1, 0.2]
DAYS = [datetime(2024, 1, 30, 21, tzinfo=UTC) + timedelta(days=i) for i in range(5)]

returns = st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=60)


def test_simple_returns_are_those_of_the_hand_computed_series():
    assert pf.simple_returns(EQUITY) == pytest.approx(RETURNS)


def test_total_return_is_final_over_initial_wealth():
    assert pf.total_return(RETURNS) == pytest.approx(0.3068)


def test_annualised_return_of_one_year_is_the_total_return():
    assert pf.annualised_return(RETURNS, periods_per_year=4) == pytest.approx(0.3068)


def test_volatility_equals_scipy():
    assert pf.volatility(RETURNS) == pytest.approx(stats.tstd(RETURNS))
    assert pf.annualised_volatility(RETURNS, 4) == pytest.approx(2 * 0.12583057392117916)


def test_sharpe_of_the_hand_computed_series():
    # mean 0.075, standard deviation 0.1258305739
    assert pf.sharpe_ratio(RETURNS) == pytest.approx(0.5960395606792698)
    assert pf.annualised_sharpe_ratio(RETURNS) == pytest.approx(9.461835, rel=1e-6)
    assert pf.sharpe_ratio(RETURNS, risk_free=0.075) == pytest.approx(0.0, abs=1e-12)


def test_sortino_counts_all_periods_in_the_denominator():
    # One shortfall of 0.1 in four periods: sqrt(0.01 / 4) = 0.05; 0.075 / 0.05 = 1.5.
    assert pf.sortino_ratio(RETURNS, periods_per_year=1) == pytest.approx(1.5)


def test_drawdown_with_its_dates():
    assert pf.drawdowns(EQUITY) == pytest.approx([0, 0, -0.1, -0.01, 0])
    worst = pf.worst_drawdown(EQUITY, DAYS)
    assert worst.depth == pytest.approx(-0.1)
    assert worst[1:] == (DAYS[1], DAYS[2], DAYS[4])
    assert pf.worst_drawdown(EQUITY[:4], DAYS[:4]).recovered is None
    assert pf.worst_drawdown([1.0, 2.0], DAYS[:2]) is None


def test_calmar_is_annual_return_over_depth():
    assert pf.calmar_ratio(RETURNS, periods_per_year=4) == pytest.approx(3.068)


def test_hit_rate_leaves_flat_periods_out():
    assert pf.hit_rate([0.1, 0.0, -0.1, 0.2, 0.0]) == pytest.approx(2 / 3)


def test_turnover_of_one_round_trip_in_a_year_is_two():
    assert pf.turnover([100.0, 0, 0, 100.0], [100.0] * 4, periods_per_year=4) == pytest.approx(2.0)


def test_exposure_is_mean_gross_over_equity():
    assert pf.exposure([50.0, -100.0], [100.0, 100.0]) == pytest.approx(0.75)


def test_monthly_returns_chain_to_the_total_return():
    table = pf.monthly_returns(DAYS, EQUITY)
    assert table.select("year", "month").rows() == [(2024, 1), (2024, 2)]
    assert table["return"].to_list() == pytest.approx([0.10, 130.68 / 110 - 1])
    assert np.prod(table["return"].to_numpy() + 1) == pytest.approx(1.3068)


def test_buy_and_hold_keeps_money_in_cash_until_the_first_bar():
    bars = pl.DataFrame(
        {
            "symbol": ["A", "A", "A", "B", "B"],
            "timestamp": [DAYS[0], DAYS[1], DAYS[3], DAYS[1], DAYS[2]],
            "close": [10.0, 20.0, 30.0, 5.0, 4.0],
        }
    )
    held = pf.buy_and_hold(bars, 1_000.0)
    assert held["timestamp"].to_list() == DAYS[:4]
    assert held["equity"].to_list() == pytest.approx([1000.0, 1500.0, 1400.0, 1900.0])


@pytest.mark.parametrize(
    "measure",
    [
        pf.total_return,
        pf.annualised_return,
        pf.volatility,
        pf.sharpe_ratio,
        pf.sortino_ratio,
        pf.calmar_ratio,
        pf.hit_rate,
        pf.maximum_drawdown,
    ],
)
def test_too_short_is_nan_and_not_finite_is_refused(measure):
    assert math.isnan(measure([]))
    with pytest.raises(InvalidValue, match="not finite"):
        measure([0.1, math.nan])


def test_a_constant_series_has_no_sharpe_ratio():
    assert math.isnan(pf.sharpe_ratio([0.1] * 7))


def test_lost_account_has_no_returns():
    with pytest.raises(InvalidValue, match="above zero"):
        pf.simple_returns([1.0, 0.0])


@given(returns, st.floats(0.1, 10))
def test_sharpe_does_not_change_with_leverage(values, leverage):
    if np.std(values) < 1e-6:
        return
    scaled = pf.sharpe_ratio([v * leverage for v in values])
    assert scaled == pytest.approx(pf.sharpe_ratio(values), rel=1e-6, abs=1e-9)


@given(returns)
def test_compounding_returns_rebuilds_equity(values):
    equity = np.concatenate(([1.0], np.cumprod(1 + np.array(values))))
    assert pf.simple_returns(equity) == pytest.approx(values, abs=1e-9)
    assert pf.total_return(values) == pytest.approx(equity[-1] - 1, rel=1e-9, abs=1e-9)
    assert -1 < pf.maximum_drawdown(equity) <= 0


#: Of the returns below, made with empyrical-reloaded 0.7.1 and, where it has the measure,
#: quantstats 0.0.86 (`cum_returns_final`, `annual_return`, `annual_volatility`, `sharpe_ratio`,
#: `sharpe_ratio(risk_free=1e-4)`, `downside_risk(annualization=1)`, `sortino_ratio`,
#: `max_drawdown`, `calmar_ratio`; `win_rate`).
_PEERS = [
    (pf.total_return, -0.33885990357569096),
    (pf.annualised_return, -0.1882394859566877),
    (pf.annualised_volatility, 0.1488858142055155),
    (pf.annualised_sharpe_ratio, -1.3257918563519366),
    (lambda r: pf.annualised_sharpe_ratio(r, 1e-4), -1.495049083002254),
    (pf.downside_deviation, 0.007072734414779054),
    (pf.sortino_ratio, -1.7580897687545642),
    (lambda r: pf.maximum_drawdown([1.0, *np.cumprod(1 + r)]), -0.34183202901442794),
    (pf.calmar_ratio, -0.55067831560261),
    (pf.hit_rate, 0.47),
]


@pytest.mark.parametrize(("measure", "expected"), _PEERS)
def test_measures_equal_an_independent_library(measure, expected):
    returns = np.random.default_rng(7).normal(0.0005, 0.01, 500).round(6)
    assert measure(returns) == pytest.approx(expected, rel=1e-12)
