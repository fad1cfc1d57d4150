"""The Execution agent's vote: how much of the expected edge is left after the trade's cost."""

from math import exp, log
from typing import NamedTuple

from agents.assessment import Abstention, Assessment, Case
from agents.exposure import BASIS_POINTS, cost_bps
from agents.model import Model

VOLUME, RANGE = 0, 1
_WORST = -1.0


class Liquidity(NamedTuple):
    """Shares and daily volatility (from the high–low range) of a day."""

    volume: float
    volatility: float


def forecast_liquidity(model: Model, case: Case) -> Liquidity | None:
    """Return the forecast of the next day; None where an input is missing."""
    symbol = case.proposal.symbol
    features = case.features(symbol)
    inputs = None if features is None else model.inputs_of(features)
    if inputs is None:
        return None
    outputs = model.predict(inputs)
    usual = case.view.history(symbol, case.at).usual_log_volume()
    return Liquidity(exp(usual + float(outputs[VOLUME])), exp(float(outputs[RANGE])))


def expected_cost(case: Case, liquidity: Liquidity) -> float:
    """Return the expected one-way cost of the proposal in basis points."""
    return cost_bps(
        case.limits,
        price=float(case.proposal.reference_price),
        daily_volatility=liquidity.volatility,
        participation=float(case.proposal.quantity) / max(liquidity.volume, 1.0),
    )


def edge_kept(cost: float, edge: float) -> float:
    """Return the share of the edge that is left after the cost; -1 where there is no edge."""
    return _WORST if edge <= 0.0 else max(1.0 - cost / edge, _WORST)


def assess(model: Model, case: Case) -> Assessment | Abstention:
    """Judge a proposal by the share of its edge that execution leaves.

    The chance is that the share, measured with the volume and range that then come, stays above
    what the agent accepts.
    """
    liquidity = forecast_liquidity(model, case)
    if liquidity is None:
        return Abstention(f"history of {case.proposal.symbol} is too short for the features")
    return assess_with(model, case, liquidity)


def assess_with(model: Model, case: Case, liquidity: Liquidity) -> Assessment:
    """Judge a proposal under the given liquidity: the forecast one, or the one that came."""
    proposal = case.proposal
    cost = expected_cost(case, liquidity)
    target = float(proposal.price_target / proposal.reference_price)
    edge = case.direction * (target - 1.0) * BASIS_POINTS
    share = edge_kept(cost, edge)
    participation = float(proposal.quantity) / max(liquidity.volume, 1.0)
    return Assessment(
        support=round(share, 6),
        chance=model.specification.confidence(round(share, 6)),
        rationale=(
            f"Costs {cost:.2f} bps of an edge of {edge:.1f} bps: {participation:.3%} of "
            f"{liquidity.volume:,.0f} shares expected, daily volatility {liquidity.volatility:.2%}."
        ),
        measures={
            "edge_kept": share,
            "cost_bps": cost,
            "edge_bps": edge,
            "participation": participation,
            "log_volume": log(max(liquidity.volume, 1.0)),
            "daily_volatility": liquidity.volatility,
        },
    )
