"""The voting VaR's back-test against the forecast itself, made anew for each past day."""

import numpy as np
import pytest

from agents.risk_manager.filtered_returns import filter_returns
from agents.risk_manager.filtered_value_at_risk import (
    DAYS,
    SHORTFALL_LEVEL,
    TESTED_DAYS,
    backtest,
    filtered_value_at_risk,
)
from agents.risk_manager.var_backtest import Zone, shortfall_test

WEIGHTS = np.array([0.4, 0.3, -0.2])


def made(seed=0, days=DAYS):
    return np.random.default_rng(seed).standard_t(5, (days, 3)) * 0.01


def test_the_back_test_is_the_forecast_of_each_day_held_against_it():
    returns = made()
    found = backtest(WEIGHTS, returns, filter_returns(returns))
    exceeded, deep, came = 0, [], []
    for day in range(DAYS - TESTED_DAYS, DAYS):
        known = filter_returns(returns[:day])
        loss = -float(returns[day] @ WEIGHTS)
        exceeded += loss > filtered_value_at_risk(WEIGHTS, known).value_at_risk
        deep.append(filtered_value_at_risk(WEIGHTS, known, SHORTFALL_LEVEL))
        came.append(loss)
    values, shortfalls = np.array(deep).T
    expected = shortfall_test(np.array(came), values, shortfalls, 1 - SHORTFALL_LEVEL)
    assert found.coverage.breaches == exceeded
    assert found.shortfall.statistic == pytest.approx(expected.statistic)
    assert found.days == TESTED_DAYS


def test_a_year_of_ever_larger_crashes_out_of_the_blue_is_red():
    returns = made()
    returns[-TESTED_DAYS::10] = -0.03 * 1.1 ** np.arange(25)[:, None]
    found = backtest(WEIGHTS, returns, filter_returns(returns))
    assert found.zone is Zone.RED
    assert found.coverage.p_value < 0.01


def test_a_steady_market_is_green():
    returns = made(seed=5)
    assert backtest(WEIGHTS, returns, filter_returns(returns)).zone is Zone.GREEN


def test_too_short_a_history_is_not_back_tested():
    returns = made(days=21 + 100 + TESTED_DAYS)
    assert backtest(WEIGHTS, returns, filter_returns(returns)).days == TESTED_DAYS
    returns = returns[1:]
    assert backtest(WEIGHTS, returns, filter_returns(returns)) is None


def test_value_at_risk_scales_with_the_position():
    filtered = filter_returns(made())
    once, thrice = (filtered_value_at_risk(k * WEIGHTS, filtered) for k in (1, 3))
    assert thrice == pytest.approx([3 * x for x in once])
