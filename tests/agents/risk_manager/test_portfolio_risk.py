from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from agents.assessment import Abstention, Case
from agents.exposure import weights_after
from agents.risk_manager import portfolio_risk
from agents.risk_manager.exposure_limits import Limit
from agents.risk_manager.filtered_value_at_risk import filtered_value_at_risk
from agents.risk_manager.parametric_value_at_risk import normal
from agents.risk_manager.portfolio_risk import (
    deviation,
    risk_figures,
    risk_inputs,
    worst_risk,
)
from domain.voting import AgentId


@pytest.fixture
def model(classics):
    return classics[AgentId.RISK_MANAGER].model


@pytest.fixture
def case(view, until, limits, proposal_of):
    return Case(view, proposal_of(fraction=0.1, held=(("BBB", 0.2), ("CCC", -0.1))), until, limits)


@pytest.fixture
def inputs(model, case):
    return risk_inputs(model, case, weights_after(case.proposal))


def test_forecasts_and_history_are_those_known_at_the_proposal(inputs, case, until):
    assert inputs.symbols == ("AAA", "BBB", "CCC")
    assert inputs.returns == pytest.approx(case.view.returns(["AAA", "BBB", "CCC"], until, 771))
    classic = [np.exp(case.features(s)["log_volatility_ewma"]) for s in inputs.symbols]
    assert inputs.volatilities == pytest.approx(classic, rel=1e-5)
    newest = case.view.history("AAA", until)
    usual = np.exp(np.log(newest.volume[-20:]).mean()) * newest.close[-1]
    assert inputs.daily_values["AAA"] == pytest.approx(usual)


def test_the_back_test_holds_the_models_own_forecasts_against_what_came(
    inputs, case, trained_risk, view, features
):
    learned = risk_inputs(trained_risk.model, case, weights_after(case.proposal))
    for found, model in ((inputs, None), (learned, trained_risk.model)):
        for place, symbol in enumerate(found.symbols):
            known = features.filter((pl.col("symbol") == symbol) & (pl.col("timestamp") < case.at))
            # The last return ends on the last bar, so its forecast was made on the one before.
            row = known.row(-2, named=True)
            expected = np.exp(row["log_volatility_ewma"])
            if model is not None:
                expected = np.exp(0.5 * model.predict(model.inputs_of(row)[None])[0, 0])
            assert found.filtered.expected[-1, place] == pytest.approx(expected, rel=1e-5)
    assert (learned.filtered.expected[-200:] != inputs.filtered.expected[-200:]).mean() > 0.9


def test_the_worse_of_two_risks_counts(inputs, case):
    weights = inputs.vector(weights_after(case.proposal))
    sigma = deviation(weights, inputs)
    covariance = inputs.correlation * np.outer(inputs.volatilities, inputs.volatilities)
    assert sigma == pytest.approx(np.sqrt(weights @ covariance @ weights))
    both = np.array([filtered_value_at_risk(weights, inputs.filtered), normal(0, sigma)])
    assert worst_risk(weights, inputs) == pytest.approx(both.max(axis=0))
    assert worst_risk(np.zeros(3), inputs) == (0.0, 0.0)


def test_every_figure_by_hand(inputs, case):
    weights = weights_after(case.proposal)
    risk = worst_risk(inputs.vector(weights), inputs)
    figures = risk_figures(weights, risk, inputs, case)
    assert figures[Limit.POSITION_FRACTION] == pytest.approx(0.1, abs=1e-4)
    assert figures[Limit.GROSS_EXPOSURE] == pytest.approx(0.4, abs=1e-4)
    assert figures[Limit.SECTOR_EXPOSURE] == 0.0
    assert figures[Limit.VALUE_AT_RISK], figures[Limit.EXPECTED_SHORTFALL] == risk
    value = weights["AAA"] * 1e6
    assert figures[Limit.LIQUIDATION_DAYS] == pytest.approx(
        value / (0.05 * inputs.daily_values["AAA"]), rel=1e-3
    )
    assert Limit.BETA not in figures


def test_beta_is_measured_against_the_market_symbol(model, case):
    marked = case._replace(limits=case.limits.model_copy(update={"market_symbol": "BBB"}))
    weights = weights_after(marked.proposal)
    inputs = risk_inputs(model, marked, weights)
    slope = np.cov(inputs.returns.T)[1] / np.var(inputs.returns[:, 1], ddof=1)
    assert inputs.betas == pytest.approx(slope)
    figures = risk_figures(weights, worst_risk(inputs.vector(weights), inputs), inputs, marked)
    assert figures[Limit.BETA] == pytest.approx(abs(inputs.vector(weights) @ slope))
    unknown = case._replace(limits=case.limits.model_copy(update={"market_symbol": "ZZZ"}))
    assert risk_inputs(model, unknown, weights).betas is None


def test_what_lacks_history_is_an_abstention(model, case, view, limits, proposal_of, bars):
    assert "ZZZ" in risk_inputs(model, case, {"ZZZ": 0.1}).reason
    at = bars["timestamp"].min() + timedelta(days=20)
    early = Case(view, proposal_of(at=at), at, limits)
    assert isinstance(risk_inputs(model, early, {"AAA": 0.1}), Abstention)


def test_two_common_days_and_a_gap_are_abstentions(model, case, monkeypatch):
    two = case.view.dated_returns(["AAA"], case.at, 2)
    monkeypatch.setattr(case.view, "dated_returns", lambda *_: two)
    assert "only 2 common days" in risk_inputs(model, case, {"AAA": 0.1}).reason
    gap = np.arange(100), np.full((100, 1), np.nan)
    monkeypatch.setattr(case.view, "dated_returns", lambda *_: gap)
    assert "not finite" in risk_inputs(model, case, {"AAA": 0.1}).reason


def test_more_symbols_than_fit_are_an_abstention(model, case, monkeypatch):
    monkeypatch.setattr(portfolio_risk, "MOST_SYMBOLS", 2)
    assert "2 can be measured" in risk_inputs(model, case, weights_after(case.proposal)).reason
