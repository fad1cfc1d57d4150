"""The Risk Manager's vote: how much of the risk budget is used once the trade is done."""

from collections.abc import Callable
from math import exp, log, sqrt

import numpy as np

from agents.assessment import Abstention, Assessment, Case
from agents.exposure import weights_after, weights_before
from agents.model import PLACES, Model
from agents.risk_manager.exposure_limits import Utilisation, utilisation
from agents.risk_manager.value_at_risk import ValueAtRisk, value_at_risk

_RETURN_DAYS = 500
_FEWEST_DAYS = 40
#: Share of the limit on value at risk that one position alone may use.
ALONE_SHARE = 0.25
#: 99 % quantile of the normal distribution.
_QUANTILE = 2.3263
#: Below this share of the budget it makes no difference how little is used.
_LEAST_USED = 0.05
#: Support, in log multiples of the forecast, of a trade that takes risk off: as if half was used.
_RELIEF = log(2.0)

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


def share_used(weights: dict[str, float], case: Case, after: Utilisation, own: float) -> float:
    """Return the used share of the tighter of two risk budgets.

    The portfolio's value at risk, and a quarter of its limit for the proposal's symbol alone: four
    times a position's value at risk is what sixteen uncorrelated, or five positions correlated to
    three quarters, come to together.

    Parameters
    ----------
    own
        Daily volatility of the proposal's symbol.
    """
    symbol, limit = case.proposal.symbol, float(case.limits.maximum_value_at_risk)
    alone = abs(weights.get(symbol, 0.0)) * _QUANTILE * own
    return max(after.value_at_risk, alone / (ALONE_SHARE * limit), _LEAST_USED)


def assess(model: Model, case: Case) -> Assessment | Abstention:
    """Judge a proposal by the volatility that the limits have room for once it is done.

    The chance is that the volatility that then comes stays below that. A breach of a hard limit
    that the trade causes is vetoed; a trade that takes risk off where too much is used is
    accepted as such, without a claim on what comes.
    """
    return assess_with(model, case, forecast_volatility(model, case))


def assess_with(model: Model, case: Case, volatility: Volatility) -> Assessment | Abstention:
    """Judge a proposal under the given forecasts of volatility."""
    proposal, limits = case.proposal, case.limits
    own = volatility(proposal.symbol)
    if own is None:
        return Abstention(f"history of {proposal.symbol} is too short for a volatility forecast")
    used: list[Utilisation] = []
    shares: list[float] = []
    risk: ValueAtRisk | None = None
    for weights in (weights_before(proposal.portfolio), weights_after(proposal)):
        measured = portfolio_risk(weights, case, volatility)
        if isinstance(measured, Abstention):
            return measured
        risk = measured
        used.append(utilisation(weights, proposal.symbol, risk, limits))
        shares.append(share_used(weights, case, used[-1], own))
    before, after = used
    breached = after.highest > 1.0 and after.highest > before.highest
    relieves = 1.0 < shares[1] < shares[0] and not breached
    support = round(_RELIEF if relieves else -log(shares[1]), PLACES)
    cvar = risk.historical_cvar if risk else 0.0
    worst = risk.worst if risk else 0.0
    return Assessment(
        support=support,
        chance=0.0 if breached else model.specification.confidence(support),
        rationale=(
            f"After the trade {after.binding} stands at {after.highest:.1%} of its limit "
            f"({before.highest:.1%} before); 1-day 99% VaR {worst:.2%} of equity, expected "
            f"shortfall {cvar:.2%}; forecast volatility {own:.2%} a day, room for "
            f"{own / shares[1]:.2%}."
        ),
        measures={
            "risk_budget_used": shares[1],
            "forecast_volatility": own,
            "value_at_risk": worst,
            "expected_shortfall": cvar,
            "portfolio_volatility": risk.volatility if risk else 0.0,
            "position_utilisation": after.position_fraction,
            "gross_utilisation": after.gross_exposure,
            "value_at_risk_utilisation": after.value_at_risk,
        },
        veto=after.binding if breached else "",
        bound=None if breached or relieves else own / shares[1],
    )
