"""Voting again on recorded proposals, with another model. Imports torch, so assets do it late.

A vote is a pure function of model, history up to the proposal's bar, and proposal; so a recorded
proposal gets from the champion the vote it got live, and from a challenger the one it would get.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from agents.assessment import Abstention
from agents.learning.online import came_true, chance_of
from agents.learning.samples import HORIZON_DAYS
from agents.market_view import MarketView
from agents.model_files import load
from agents.voting import judge, vote
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
    """A recorded proposal, when its bar closed, and what came of it."""

    proposal: TradingProposal
    at: datetime
    experience: Experience

    @property
    def reward(self) -> float:
        """What executing it earned after costs."""
        return float(self.experience.reward)


class Claim(NamedTuple):
    """A model's chance that executing a proposal proves right, and whether it did."""

    chance: float
    right: bool


def lived_proposals(decisions: Iterable[Message], orders: Iterable[Message]) -> list[Lived]:
    """Return the decided proposals whose horizon has passed, oldest first."""
    came = {e.decision_id: e for e in orders if isinstance(e, Experience)}
    found = {
        d.proposal.proposal_id: Lived(d.proposal, d.proposal.occurred_at, came[d.decision_id])
        for d in decisions
        if isinstance(d, ConsensusResult) and d.decision_id in came
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


def claims(
    model: DeployedModel, lived: Sequence[Lived], view: MarketView, settings: Settings
) -> list[Claim | None]:
    """Return what the model claims of each proposal; None where it can't be held to anything."""
    loaded = load(model.folder, model.version.agent_type)

    def claim(each: Lived) -> Claim | None:
        judgement = judge(
            loaded, view, each.proposal, limits=settings.trading, serving=settings.serving
        )
        if isinstance(judgement, Abstention):
            return None
        right = came_true(model.version.agent_type, judgement, each.experience)
        return None if right is None else Claim(chance_of(loaded.specification, judgement), right)

    return [claim(each) for each in lived]


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


def compared_claims(
    lived: Sequence[Lived],
    parent: Sequence[Claim | None],
    child: Sequence[Claim | None],
    *,
    horizon: int,
) -> Compared:
    """Compare the Brier scores of what two models claim of the same proposals.

    The limits are narrowest at `horizon` instants.
    """
    both = [(x.at, p, c) for x, p, c in zip(lived, parent, child, strict=True) if p and c]
    instants = [at for at, *_ in both]
    losses = [
        squared_error(
            np.array([claim.chance for claim in side]),
            np.array([float(claim.right) for claim in side]),
        )
        for side in ([p for _, p, _ in both], [c for *_, c in both])
    ]
    differences = paired_skill(instants, *losses)
    verdict = compare(differences, overlap=HORIZON_DAYS, horizon=horizon)
    return Compared(verdict, sorted(set(instants)), differences.tolist())


def _losses(agent: AgentId, cast: Sequence[Vote], rewards: "np.ndarray") -> "np.ndarray":
    accepts = np.array([v.score >= _ACCEPTANCE and not v.veto for v in cast], dtype=bool)
    if agent is AgentId.MARKET_ANALYST:
        # Each model has a hurdle of its own; that a trade earns anything is asked of both.
        chances = np.array([float(v.risk_assessment["chance_right"]) for v in cast])
        return squared_error(chances, (rewards > 0).astype(float))
    return -np.where(accepts, rewards, 0.0)
