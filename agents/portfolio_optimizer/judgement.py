"""The Portfolio Optimizer's vote: the marginal utility of the trade after costs.

The classic target is the most diversified portfolio. It was chosen among the classic objectives by
walk-forward after costs (`benchmarks.allocation_walk_forward`, `docs/agents.md`), not by taste.
"""

from datetime import timedelta
from math import exp, sqrt
from typing import NamedTuple

import numpy as np

from agents.assessment import Abstention, Assessment, Case
from agents.exposure import (
    BASIS_POINTS,
    cost_bps,
    trade_fraction,
    weights_after,
    weights_before,
)
from agents.model import PLACES, Model
from agents.portfolio_optimizer.constraints import Constraints
from agents.portfolio_optimizer.estimation import Estimates
from agents.portfolio_optimizer.mean_variance import maximum_diversification
from agents.price_history import Floats, to_instant

CORRELATION_DAYS = 252
FEWEST_DAYS = 40
#: Beyond this a vote would take seconds: the work grows with the cube.
MOST_SYMBOLS = 500
#: An asset whose newest bar is older than this is no longer traded.
_STALE = timedelta(days=10)


class Allocation(NamedTuple):
    """Target weights over the symbols that can be held, and their daily covariance."""

    symbols: list[str]
    weights: Floats
    covariance: Floats


def classic_weights(covariance: Floats) -> Floats:
    """Return the most diversified long-only weights, sum 1."""
    symbols = tuple(str(asset) for asset in range(len(covariance)))
    deviations = np.sqrt(np.diagonal(covariance))
    return maximum_diversification(
        Estimates(symbols, deviations, covariance, deviations[None]), Constraints()
    ).weights


def allocation_weights(
    classic: Floats, preferences: Floats, exposure: float, largest: float
) -> Floats:
    """Return exposure × classic weights tilted by exp(preferences), each at most `largest`.

    The classic policy has no preferences: its weights are the classic ones.
    """
    shares = classic * np.exp(preferences - preferences.max())
    return np.minimum(exposure * shares / shares.sum(), largest)


class Outlook(NamedTuple):
    """What is known of the assets that can be held: estimates per day, and the model's inputs."""

    estimates: Estimates
    inputs: Floats


def outlook(model: Model, case: Case) -> Outlook | Abstention:
    """Return what is known as of the proposal; expected returns are the means of 252 days."""
    if len(case.view.symbols) > MOST_SYMBOLS:
        return Abstention(f"{len(case.view.symbols)} symbols, {MOST_SYMBOLS} can be allocated to")
    rows: dict[str, Floats] = {}
    volatilities: list[float] = []
    for symbol in case.view.symbols:
        own = symbol == case.proposal.symbol
        history = case.view.history(symbol, case.at, inclusive=own)
        if not history.length or case.at - to_instant(int(history.times[-1])) > _STALE:
            continue
        features = case.features(symbol)
        inputs = None if features is None else model.inputs_of(features)
        if features is not None and inputs is not None:
            rows[symbol] = inputs
            volatilities.append(exp(features["log_volatility_ewma"]))
    if case.proposal.symbol not in rows:
        return Abstention(f"history of {case.proposal.symbol} is too short for the features")
    symbols = list(rows)
    returns = case.view.returns(symbols, case.at, CORRELATION_DAYS)
    if len(returns) < FEWEST_DAYS:
        return Abstention(f"only {len(returns)} common days of returns, {FEWEST_DAYS} needed")
    covariance = present_covariance(returns, np.array(volatilities))
    known = Estimates(tuple(symbols), returns.mean(axis=0), covariance, returns)
    return Outlook(known, np.stack(list(rows.values())))


def target_allocation(model: Model, case: Case) -> Allocation | Abstention:
    """Return the model's target weights as of the proposal."""
    known = outlook(model, case)
    if isinstance(known, Abstention):
        return known
    covariance = known.estimates.covariance
    weights = allocation_weights(
        classic_weights(covariance),
        model.predict(known.inputs)[:, 0],
        model.specification.constants["exposure"],
        float(case.limits.maximum_position_fraction),
    )
    return Allocation(list(known.estimates.symbols), weights, covariance)


def present_covariance(returns: Floats, volatilities: Floats) -> Floats:
    """Return present volatilities with the past correlations, shrunk a fifth to none."""
    deviations = returns.std(axis=0)
    scaled = (returns - returns.mean(axis=0)) / np.where(deviations > 1e-12, deviations, 1.0)
    correlation = 0.8 * (scaled.T @ scaled) / len(scaled)
    np.fill_diagonal(correlation, 1.0)
    return correlation * np.outer(volatilities, volatilities)


def assess(model: Model, case: Case) -> Assessment | Abstention:
    """Judge a proposal by its marginal utility per unit traded, in volatilities of the horizon.

    Utility over the review period: the proposal's own view (target against reference, shrunk)
    minus half the risk aversion times the squared tracking risk against the target weights;
    the cost of the trade is taken off. The chance is that this utility, with the return that then
    comes in the view's place, is positive.
    """
    proposal, constants = case.proposal, model.specification.constants
    allocation = target_allocation(model, case)
    if isinstance(allocation, Abstention):
        return allocation
    change = trade_fraction(proposal)
    if change == 0.0:
        return Abstention("nothing is traded")
    own = allocation.symbols.index(proposal.symbol)
    before, after = weights_before(proposal.portfolio), weights_after(proposal)
    active = [
        np.array([weights.get(symbol, 0.0) for symbol in allocation.symbols]) - allocation.weights
        for weights in (before, after)
    ]
    tracking = [float(gap @ allocation.covariance @ gap) for gap in active]
    benefit = 0.5 * constants["risk_aversion"] * constants["review_days"]
    toward = benefit * (tracking[0] - tracking[1]) / abs(change) * BASIS_POINTS
    expected = float(proposal.price_target / proposal.reference_price) - 1.0
    view = constants["view_weight"] * case.direction * expected * BASIS_POINTS
    cost = cost_bps(
        case.limits,
        price=float(proposal.reference_price),
        daily_volatility=sqrt(float(allocation.covariance[own, own])),
        participation=0.0,
    )
    horizon = sqrt(float(allocation.covariance[own, own]) * constants["review_days"])
    support = round((toward + view - cost) / (horizon * BASIS_POINTS), PLACES)
    target = float(allocation.weights[own])
    return Assessment(
        support=support,
        chance=model.specification.confidence(support),
        rationale=(
            f"Moves {proposal.symbol} from {before.get(proposal.symbol, 0.0):.1%} to "
            f"{after.get(proposal.symbol, 0.0):.1%}, target {target:.1%}: "
            f"{toward:+.1f} bps from diversification, {view:+.1f} bps from the view, "
            f"{-cost:+.1f} bps cost per unit traded."
        ),
        measures={
            "marginal_utility_bps": toward + view - cost,
            "toward_target_bps": toward,
            "view_bps": view,
            "cost_bps": cost,
            "target_weight": target,
            "weight_after": after.get(proposal.symbol, 0.0),
        },
        bound=-toward / BASIS_POINTS,
    )
