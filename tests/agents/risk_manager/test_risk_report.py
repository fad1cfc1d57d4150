from dataclasses import replace

import numpy as np
import pytest

from agents.risk_manager.filtered_returns import filter_returns
from agents.risk_manager.portfolio_risk import RiskInputs, deviation
from agents.risk_manager.risk_report import Method, risk_report

AFTER, BEFORE = np.array([0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.1])


def made(returns):
    filtered = filter_returns(returns)
    symbols = tuple("ABC"[: returns.shape[1]])
    return RiskInputs(
        symbols=symbols,
        returns=returns,
        filtered=filtered,
        correlation=np.eye(len(symbols)),
        clusters=[],
        volatilities=filtered.next_volatility,
        daily_values=dict.fromkeys(symbols, 1e6),
        betas=None,
    )


@pytest.fixture(scope="module")
def inputs():
    return made(np.random.default_rng(1).standard_normal((771, 3)) * 0.01)


@pytest.fixture(scope="module")
def report(inputs):
    return risk_report(BEFORE, AFTER, inputs)


def test_all_methods_agree_where_returns_are_normal(report):
    assert set(report.one_day) == set(report.ten_days) == set(Method)
    normal = report.one_day[Method.NORMAL].value_at_risk
    for risk in report.one_day.values():
        assert risk.value_at_risk == pytest.approx(normal, rel=0.35)
        assert risk.expected_shortfall >= risk.value_at_risk
    for method, risk in report.ten_days.items():
        assert risk.value_at_risk == pytest.approx(np.sqrt(10) * normal, rel=0.5), method


def test_contributions_sum_to_their_whole(report):
    split = report.value_at_risk_contributions.component.sum()
    assert split == pytest.approx(report.one_day[Method.NORMAL].value_at_risk)
    split = report.shortfall_contributions.component.sum()
    assert split == pytest.approx(report.one_day[Method.FILTERED_HISTORICAL].expected_shortfall)


def test_incremental_is_the_filtered_risk_with_less_that_without(report, inputs):
    alone = risk_report(np.zeros(3), BEFORE, inputs).one_day[Method.FILTERED_HISTORICAL]
    whole = report.one_day[Method.FILTERED_HISTORICAL]
    assert report.incremental == pytest.approx(
        (
            whole.value_at_risk - alone.value_at_risk,
            whole.expected_shortfall - alone.expected_shortfall,
        )
    )


def test_the_same_arguments_give_the_same_report(report, inputs):
    again = risk_report(BEFORE, AFTER, inputs)
    assert again.one_day == report.one_day
    assert again.ten_days == report.ten_days


def test_what_holds_nothing_risks_nothing(inputs):
    assert risk_report(BEFORE, np.zeros(3), inputs) is None


def test_one_asset_singular_correlation_and_a_constant_price(inputs):
    alone = made(inputs.returns[:, :1])
    assert risk_report(np.zeros(1), np.ones(1), alone).one_day[Method.MONTE_CARLO].value_at_risk > 0
    twins = replace(made(np.tile(inputs.returns[:, :1], 3)), correlation=np.ones((3, 3)))
    assert risk_report(BEFORE, AFTER, twins).one_day[Method.NORMAL].value_at_risk == pytest.approx(
        2.3263479 * deviation(np.array([0.6, 0, 0]), twins)
    )
    still = inputs.returns * np.array([1, 1, 0])
    found = risk_report(BEFORE, AFTER, made(still))
    assert np.isfinite([*found.one_day.values(), *found.ten_days.values()]).all()


def test_a_short_history_leaves_out_what_it_cannot_tell(inputs):
    found = risk_report(BEFORE, AFTER, made(inputs.returns[:60]))
    assert found.backtest is None
    assert np.isfinite(list(found.one_day.values())).all()


def test_an_expansion_that_is_no_distribution_is_left_out(inputs):
    crash = np.random.default_rng(2).standard_normal((771, 3)) * 0.001
    crash[-250:-240] = -0.05
    assert Method.CORNISH_FISHER not in risk_report(BEFORE, AFTER, made(crash)).one_day
