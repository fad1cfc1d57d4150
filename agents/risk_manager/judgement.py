"""The Risk Manager's vote: how much of the risk budget is used once the trade is done."""

from collections.abc import Callable
from math import exp, sqrt

import numpy as np

from agents.assessment import Abstention, Assessment, Case
from agents.exposure import weights_after, weights_before
from agents.model import PLACES, Model
from agents.risk_manager.exposure_limits import Utilisation, utilisation
from agents.risk_manager.value_at_risk import ValueAtRisk, value_at_risk

_RETURN_DAYS = 500
_FEWEST_DAYS = 40

#: Symbol → daily volatility, or None where it is not known.
Volatility = Callable[[str], float | None]


def forecast_volatility(model: Model, case: Case) -> Volatility:
    """Return the model's forecast of daily volatility, per symbol, as of the proposal."""

    def forecast(symbol: str) -> float | None:
        if symbol not in case.view.symbols or (features := case.features(symbol)) is None:
            return None
        inputs = model.inputs_of(features)
        return None if inputs is None else sqrt(exp(float(model.predict(inputs)[0])))

    return forecast


def portfolio_risk(
    weights: dict[str, float], case: Case, volatility: Volatility
) -> ValueAtRisk | Abstention | None:
    """Return the portfolio's value at risk; None where nothing is held."""
    symbols = sorted(weights)
    if not symbols:
        return None
    forecasts = [volatility(symbol) for symbol in symbols]
    known = [value for value in forecasts if value is not None]
    if len(known) < len(symbols):
        missing = symbols[forecasts.index(None)]
        return Abstention(f"history of {missing} is too short for a volatility forecast")
    returns = case.view.returns(symbols, case.at, _RETURN_DAYS)
    if len(returns) < _FEWEST_DAYS:
        return Abstention(f"only {len(returns)} common days of returns, {_FEWEST_DAYS} needed")
    return value_at_risk(
        np.array([weights[symbol] for symbol in symbols]), returns, np.array(known)
    )


def headroom(before: Utilisation, after: Utilisation) -> float:
    """Return the free part of the tightest limit, plus what the trade itself sets free.

    A trade that leads out of a breach is supported, even where it doesn't lead out all the way.
    """
    freed = before.highest - after.highest
    free = 1.0 - after.highest
    return min(1.0, max(free, 0.0) + freed) if freed > 0.0 else free


def assess(model: Model, case: Case) -> Assessment | Abstention:
    """Judge a proposal by the headroom it leaves; a breach that it causes is vetoed.

    The chance is that the headroom, measured with the volatility that then comes, stays above
    what the agent accepts.
    """
    return assess_with(model, case, forecast_volatility(model, case))


def assess_with(model: Model, case: Case, volatility: Volatility) -> Assessment | Abstention:
    """Judge a proposal under the given volatilities: forecast ones, or those that came."""
    proposal, limits = case.proposal, case.limits
    used: list[Utilisation] = []
    risk: ValueAtRisk | None = None
    for weights in (weights_before(proposal.portfolio), weights_after(proposal)):
        measured = portfolio_risk(weights, case, volatility)
        if isinstance(measured, Abstention):
            return measured
        risk = measured
        used.append(utilisation(weights, proposal.symbol, risk, limits))
    before, after = used
    support = round(headroom(before, after), PLACES)
    breached = after.highest > 1.0 and after.highest > before.highest
    cvar = risk.historical_cvar if risk else 0.0
    worst = risk.worst if risk else 0.0
    return Assessment(
        support=support,
        chance=model.specification.confidence(support),
        rationale=(
            f"After the trade {after.binding} stands at {after.highest:.1%} of its limit "
            f"({before.highest:.1%} before); 1-day 99% VaR {worst:.2%} of equity, "
            f"expected shortfall {cvar:.2%}."
        ),
        measures={
            "headroom": support,
            "value_at_risk": worst,
            "expected_shortfall": cvar,
            "portfolio_volatility": risk.volatility if risk else 0.0,
            "position_utilisation": after.position_fraction,
            "gross_utilisation": after.gross_exposure,
            "value_at_risk_utilisation": after.value_at_risk,
        },
        veto=after.binding if breached else "",
    )
