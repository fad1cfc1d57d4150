"""The Risk Manager's vote: how much of the risk budget is used once the trade is done."""

from math import log
from typing import NamedTuple

from agents.assessment import Abstention, Assessment, Case
from agents.exposure import weights_after, weights_before
from agents.model import PLACES, Model
from agents.risk_manager.exposure_limits import Limit, Utilisation, binding, breached, utilisation
from agents.risk_manager.filtered_value_at_risk import backtest
from agents.risk_manager.portfolio_risk import (
    RiskInputs,
    deviation,
    risk_figures,
    risk_inputs,
    worst_risk,
)
from agents.risk_manager.risk_parameters import excursions, risk_parameters
from agents.risk_manager.value_at_risk import TailRisk
from agents.risk_manager.var_backtest import Backtest, Zone, reliability
from agents.scores import EVEN_CHANCE
from domain.errors import InvalidValue

#: Share of the limit on value at risk that one position alone may use.
ALONE_SHARE = 0.25
#: 99 % quantile of the normal distribution.
_QUANTILE = 2.3263
#: Below this share of the budget it makes no difference how little is used.
_LEAST_USED = 0.05
#: Support, in log multiples of the forecast, of a trade that takes risk off: as if half was used.
_RELIEF = log(2.0)
#: What a confidence keeps of its distance from one half where no back-test could be made.
_UNTESTED = reliability(Zone.YELLOW, 0)


class Standing(NamedTuple):
    """A portfolio's risk, its use of the limits, and the share of the budgets that it uses."""

    risk: TailRisk
    used: dict[Limit, Utilisation]
    share: float


def share_used(weights: dict[str, float], case: Case, value_at_risk: float, own: float) -> float:
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
    return max(value_at_risk / limit, alone / (ALONE_SHARE * limit), _LEAST_USED)


def standing(weights: dict[str, float], inputs: RiskInputs, case: Case, own: float) -> Standing:
    """Return where a portfolio stands."""
    risk = worst_risk(inputs.vector(weights), inputs)
    used = utilisation(risk_figures(weights, risk, inputs, case), case.limits)
    return Standing(risk, used, share_used(weights, case, risk.value_at_risk, own))


def assess(model: Model, case: Case) -> Assessment | Abstention:
    """Judge a proposal by the volatility that the limits have room for once it is done.

    The chance is that the volatility that then comes stays below that, drawn towards one half
    where the value at risk has failed its back-test on this portfolio. A breach of a hard limit
    that the trade causes is vetoed; a trade that takes risk off where too much is used is
    accepted as such, without a claim on what comes.
    """
    proposal = case.proposal
    weights = weights_before(proposal.portfolio), weights_after(proposal)
    inputs = risk_inputs(model, case, weights[0] | weights[1])
    if isinstance(inputs, Abstention):
        return inputs
    own = float(inputs.volatilities[inputs.symbols.index(proposal.symbol)])
    before, after = (standing(each, inputs, case, own) for each in weights)
    tested = backtest(inputs.vector(weights[1]), inputs.returns, inputs.filtered)
    veto = breached(before.used, after.used)
    relieves = 1.0 < after.share < before.share and veto is None
    support = round(_RELIEF if relieves else -log(after.share), PLACES)
    kept = _UNTESTED if tested is None else reliability(tested.zone, tested.coverage.breaches)
    chance = EVEN_CHANCE + kept * (model.specification.confidence(support) - EVEN_CHANCE)
    return Assessment(
        support=support,
        chance=0.0 if veto else chance,
        rationale=_rationale(before, after, own, tested),
        measures={
            "risk_budget_used": after.share,
            "forecast_volatility": own,
            "value_at_risk": after.risk.value_at_risk,
            "expected_shortfall": after.risk.expected_shortfall,
            "portfolio_volatility": deviation(inputs.vector(weights[1]), inputs),
            **{f"{limit}_utilisation": used.share for limit, used in after.used.items()},
            **_measures(tested),
            **_bracket(case, own),
        },
        veto=veto.value if veto else "",
        bound=None if veto or relieves else own / after.share,
    )


def _rationale(before: Standing, after: Standing, own: float, tested: Backtest | None) -> str:
    most = binding(after.used)
    return (
        f"After the trade {most} stands at {after.used[most].share:.1%} of its limit "
        f"({before.used[most].share:.1%} before); 1-day 99% VaR {after.risk.value_at_risk:.2%} of "
        f"equity, expected shortfall {after.risk.expected_shortfall:.2%}; forecast volatility "
        f"{own:.2%} a day, room for {own / after.share:.2%}. {_told(tested)}"
    )


def _told(tested: Backtest | None) -> str:
    if tested is None:
        return "VaR not back-tested: history is too short."
    return (
        f"VaR back-test {tested.zone.name.lower()}: exceeded on {tested.coverage.breaches} of "
        f"{tested.days} days, {tested.coverage.expected:.1f} expected."
    )


def _bracket(case: Case, own: float) -> dict[str, float]:
    """Return where the position is to be closed; nothing where nobody asks, or can be told."""
    if not case.limits.brackets:
        return {}
    proposal, direction = case.proposal, case.direction
    history = case.view.history(proposal.symbol, case.at)
    try:
        past = excursions(history, direction, proposal.horizon_days)
    except InvalidValue:
        return {}
    found = risk_parameters(
        past,
        price=float(proposal.reference_price),
        direction=direction,
        daily_volatility=own,
        horizon_days=proposal.horizon_days,
    )
    return {
        "stop_price": found.stop,
        "target_price": found.take_profit,
        "trailing_distance": found.trailing_distance,
        "time_stop_days": float(found.time_stop_days),
    }


def _measures(tested: Backtest | None) -> dict[str, float]:
    if tested is None:
        return {}
    return {
        "backtest_zone": float(tested.zone),
        "backtest_exceptions": float(tested.coverage.breaches),
        "backtest_shortfall": tested.shortfall.statistic,
    }
