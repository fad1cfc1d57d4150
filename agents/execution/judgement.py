"""The Execution agent's vote: whether the trade's cost leaves enough of its edge."""

from math import exp, log
from typing import NamedTuple

from agents.assessment import Abstention, Assessment, Case
from agents.exposure import BASIS_POINTS, cost_bps
from agents.model import PLACES, Model

VOLUME, RANGE = 0, 1
#: Share of the edge that getting in may cost.
COST_SHARE = 0.25
_LEAST_COST = 0.01
_WIDEST = 2.0


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


def room(cost: float, edge: float) -> float:
    """Return the log of how many times the forecast cost an edge (both in bps) leaves room for.

    Room is `COST_SHARE` of the edge: the way in and back out then take half of it at most.
    """
    return min(max(log(max(COST_SHARE * edge, _LEAST_COST) / cost), -_WIDEST), _WIDEST)


def assess(model: Model, case: Case) -> Assessment | Abstention:
    """Judge a proposal by the cost that its edge has room for.

    The chance is that getting in, at the volume that then comes, costs no more than that.
    """
    liquidity = forecast_liquidity(model, case)
    if liquidity is None:
        return Abstention(f"history of {case.proposal.symbol} is too short for the features")
    proposal = case.proposal
    cost = max(expected_cost(case, liquidity), _LEAST_COST)
    target = float(proposal.price_target / proposal.reference_price)
    edge = case.direction * (target - 1.0) * BASIS_POINTS
    support = round(room(cost, edge), PLACES)
    participation = float(proposal.quantity) / max(liquidity.volume, 1.0)
    return Assessment(
        support=support,
        chance=model.specification.confidence(support),
        rationale=(
            f"Costs {cost:.2f} bps of an edge of {edge:.1f} bps, of which a quarter may go: "
            f"{participation:.3%} of {liquidity.volume:,.0f} shares expected, daily volatility "
            f"{liquidity.volatility:.2%}."
        ),
        measures={
            "room": support,
            "cost_bps": cost,
            "edge_bps": edge,
            "participation": participation,
            "log_volume": log(max(liquidity.volume, 1.0)),
            "daily_volatility": liquidity.volatility,
        },
        bound=COST_SHARE * max(edge, 0.0) / BASIS_POINTS,
    )
