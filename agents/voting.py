"""One pure function from (model, market view, proposal) to a vote: the same live and offline."""

from collections.abc import Callable, Mapping
from datetime import datetime

from agents.assessment import Abstention, Assessment, Case, in_doubt, model_too_old, to_vote
from agents.execution import judgement as execution
from agents.explanation import explained
from agents.market_analyst import judgement as market_analyst
from agents.market_view import MarketView
from agents.model import Model
from agents.portfolio_optimizer import judgement as portfolio_optimizer
from agents.risk_manager import judgement as risk_manager
from domain.market import FeedState
from domain.settings import ServingSettings, TradingSettings
from domain.voting import Action, AgentId, TradingProposal, Vote

Assess = Callable[[Model, Case], Assessment | Abstention]

ASSESS: Mapping[AgentId, Assess] = {
    AgentId.MARKET_ANALYST: market_analyst.assess,
    AgentId.RISK_MANAGER: risk_manager.assess,
    AgentId.PORTFOLIO_OPTIMIZER: portfolio_optimizer.assess,
    AgentId.EXECUTION: execution.assess,
}


def vote(
    model: Model,
    label: str,
    view: MarketView,
    proposal: TradingProposal,
    *,
    occurred_at: datetime,
    limits: TradingSettings,
    serving: ServingSettings,
) -> Vote:
    """Return the vote of the model's agent on a proposal.

    Nothing but the arguments enters: of `view`, what was known at the proposal's bar; so a
    recorded proposal gets the same vote again from the same model.

    Parameters
    ----------
    label
        `ModelVersion.label` of `model`.
    occurred_at
        When the vote is cast; it is only written into the vote.
    """
    return to_vote(
        judge(model, view, proposal, limits=limits, serving=serving),
        model,
        label,
        proposal,
        occurred_at,
    )


def judge(
    model: Model,
    view: MarketView,
    proposal: TradingProposal,
    *,
    limits: TradingSettings,
    serving: ServingSettings,
) -> Assessment | Abstention:
    """Return the judgement behind a vote, or why there is none."""
    at = view.bar_time(proposal.symbol, proposal.correlation_id)
    if at is None:
        return Abstention("inputs missing: the proposal's bar")
    feed = view.feed_state(proposal.symbol, at)
    if feed is not FeedState.LIVE:
        return Abstention(f"feed {feed.lower()}: the proposal's bar came late")
    if proposal.action is Action.HOLD:
        return Abstention("nothing is traded")
    too_old = model_too_old(model, at, serving.maximum_model_age_days)
    if too_old is not None:
        return too_old
    case = Case(view, proposal, at, limits)
    judgement = explained(ASSESS[model.specification.agent](model, case), model, case)
    drift = model.drift(case.features(proposal.symbol) or {})
    return in_doubt(judgement, drift, serving.maximum_drift_score)
