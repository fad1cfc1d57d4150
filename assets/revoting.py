"""Voting again on recorded proposals, with another model. Imports torch, so assets do it late.

A vote is a pure function of model, history up to the proposal's bar, and proposal; so a recorded
proposal gets from the champion the vote it got live, and from a challenger the one it would get.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from agents.learning.samples import HORIZON_DAYS
from agents.market_view import MarketView
from agents.model_files import load
from agents.voting import vote
from domain.experience import Experience
from domain.messages import Message
from domain.ports.model_source import DeployedModel
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import PromotionSettings, Settings
from domain.voting import AgentId, ConsensusResult, TradingProposal, Vote
from evaluation.sequential import SequentialVerdict, compare
from evaluation.skill import paired_skill, squared_error

_ACCEPTANCE = 75


class Lived(NamedTuple):
    """A recorded proposal, when its bar closed, and what executing it earned after costs."""

    proposal: TradingProposal
    at: datetime
    reward: float


def lived_proposals(decisions: Iterable[Message], orders: Iterable[Message]) -> list[Lived]:
    """Return the decided proposals whose horizon has passed, oldest first."""
    rewards = {e.decision_id: float(e.reward) for e in orders if isinstance(e, Experience)}
    found = {
        d.proposal.proposal_id: Lived(d.proposal, d.proposal.occurred_at, rewards[d.decision_id])
        for d in decisions
        if isinstance(d, ConsensusResult) and d.decision_id in rewards
    }
    return sorted(found.values(), key=lambda lived: (lived.at, lived.proposal.symbol))


def market_view(store: TimeSeriesStore) -> MarketView:
    """Return a view of all that is stored."""
    view = MarketView()
    view.warm_up(store.read(Table.BARS), features=store.read(Table.FEATURES))
    return view


def votes(
    model: DeployedModel, lived: Sequence[Lived], view: MarketView, settings: Settings
) -> list[Vote]:
    """Return the model's vote on each proposal."""
    loaded = load(model.folder, model.version.agent_type)
    return [
        vote(
            loaded,
            model.version.label,
            view,
            each.proposal,
            occurred_at=each.proposal.occurred_at,
            limits=settings.trading,
            serving=settings.serving,
        )
        for each in lived
    ]


def measure_of(agent: AgentId) -> str:
    """Return what is compared per proposal."""
    if agent is AgentId.MARKET_ANALYST:
        return "Brier score of the chance that executing earns after costs"
    return "reward of the proposals that the agent accepts"


class Compared(NamedTuple):
    """The verdict, and the differences (challenger minus champion) that it rests on."""

    verdict: SequentialVerdict
    instants: Sequence[datetime]
    differences: Sequence[float]


def compared(
    agent: AgentId,
    lived: Sequence[Lived],
    champion: Sequence[Vote],
    challenger: Sequence[Vote],
    *,
    policy: PromotionSettings,
) -> Compared:
    """Compare two models' votes on the same proposals; where either abstains, none counts."""
    rows = [
        i for i in range(len(lived)) if not champion[i].abstention and not challenger[i].abstention
    ]
    rewards = np.array([lived[i].reward for i in rows])
    losses = [_losses(agent, [side[i] for i in rows], rewards) for side in (champion, challenger)]
    instants = [lived[i].at for i in rows]
    differences = paired_skill(instants, *losses)
    verdict = compare(
        differences,
        alpha=policy.alpha,
        horizon=policy.horizon,
        overlap=HORIZON_DAYS,
        smallest_effect=policy.smallest_effect,
    )
    return Compared(verdict, sorted(set(instants)), differences.tolist())


def _losses(agent: AgentId, cast: Sequence[Vote], rewards: "np.ndarray") -> "np.ndarray":
    accepts = np.array([v.score >= _ACCEPTANCE and not v.veto for v in cast], dtype=bool)
    if agent is AgentId.MARKET_ANALYST:
        # Each model has a hurdle of its own; that a trade earns anything is asked of both.
        chances = np.array([float(v.risk_assessment["chance_right"]) for v in cast])
        return squared_error(chances, (rewards > 0).astype(float))
    return -np.where(accepts, rewards, 0.0)
