"""What each specialist's judgement is made of, and how a judgement becomes a vote."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from agents.market_view import MarketView
from agents.model import PLACES, Model
from agents.scores import EVEN_CHANCE, score_of
from domain.identity import derive_id
from domain.money import canonical
from domain.settings import TradingSettings
from domain.voting import BOUND, Action, TradingProposal, Vote, confidence_ppm

#: Bounds are small fractions (a cost of a basis point is 0.0001), kept to a billionth.
BOUND_PLACES = 9


class Case(NamedTuple):
    """A proposal with everything a judgement may read.

    Parameters
    ----------
    at
        Close instant of the bar that the proposal was made on.
    limits
        The trading settings: limits and costs.
    """

    view: MarketView
    proposal: TradingProposal
    at: datetime
    limits: TradingSettings

    @property
    def direction(self) -> int:
        """1 for a buy, -1 for a sale, 0 for a hold."""
        return {Action.BUY: 1, Action.SELL: -1, Action.HOLD: 0}[self.proposal.action]

    def features(self, symbol: str) -> dict[str, float] | None:
        """Return the newest features of `symbol` that a vote on this proposal may read."""
        return self.view.features(symbol, self.at, inclusive=symbol == self.proposal.symbol)


class Assessment(NamedTuple):
    """A judgement in the agent's own unit.

    Parameters
    ----------
    support
        How much speaks for executing; the model's score knots turn it into a score.
    chance
        Calibrated probability that executing proves right, as `agents.verdicts` defines it; from
        one half on the agent accepts.
    rationale
        Drivers with numbers, in a trader's words.
    measures
        The same as named numbers.
    veto
        Name of the hard limit that is breached, or empty.
    bound
        The figure that what comes is held against, for an agent whose verdict needs one
        (`agents.verdicts`); None where the verdict states a fact that nothing later can refute.
    """

    support: float
    chance: float
    rationale: str
    measures: Mapping[str, float]
    veto: str = ""
    bound: float | None = None


class Abstention(NamedTuple):
    """The agent has no say, for this reason."""

    reason: str


def model_too_old(model: Model, at: datetime, maximum_age_days: int) -> Abstention | None:
    """Return why a model that saw too old data abstains at instant `at`, or None."""
    age = (at - model.specification.trained_until).days
    if age <= maximum_age_days:
        return None
    return Abstention(f"model too old: {age} days, {maximum_age_days} allowed")


def in_doubt(
    judgement: Assessment | Abstention, drift: float, most: float
) -> Assessment | Abstention:
    """Return what a drift score leaves of a judgement.

    Up to 1 the chance stays as calibrated. From there to `most` it is drawn in proportion
    towards one half: confidence falls, the verdict stays. Beyond, the agent abstains. A breached
    hard limit is a fact about the portfolio and is told whatever the inputs are like.
    """
    if isinstance(judgement, Abstention) or judgement.veto or drift <= 1.0:
        return judgement
    if drift >= most:
        return Abstention(f"inputs unlike the training data: drift {drift:.2f}, {most:g} allowed")
    left = (most - drift) / (most - 1.0)
    return judgement._replace(
        chance=EVEN_CHANCE + left * (judgement.chance - EVEN_CHANCE),
        rationale=f"{judgement.rationale} Inputs are unlike the training data (drift {drift:.2f}): "
        f"{left:.0%} of the confidence above one half is left.",
        measures={**judgement.measures, "drift": drift},
    )


def to_vote(
    judgement: Assessment | Abstention,
    model: Model,
    label: str,
    proposal: TradingProposal,
    occurred_at: datetime,
) -> Vote:
    """Return the vote that a judgement amounts to; an abstention has confidence 0.

    The confidence is that of the verdict: the chance that executing is right where the score
    accepts, that it is wrong where it does not.
    """
    agent = model.specification.agent
    score, confidence = 50, 0.0
    rationale, measures, veto, abstention = "", {}, "", ""
    if isinstance(judgement, Abstention):
        abstention = judgement.reason
        rationale = f"Abstains: {abstention}."
    else:
        chance = round(judgement.chance, PLACES)
        accepts = chance >= EVEN_CHANCE and not judgement.veto
        score = score_of(judgement.support, model.specification.score, accepts=accepts)
        confidence = chance if accepts else 1.0 - chance
        rationale, veto = judgement.rationale, judgement.veto
        measures = {
            name: canonical(round(float(value), PLACES))
            for name, value in judgement.measures.items()
        }
        if judgement.bound is not None:
            measures[BOUND] = canonical(round(judgement.bound, BOUND_PLACES))
    return Vote(
        message_id=derive_id("vote", agent, proposal.proposal_id, label),
        correlation_id=proposal.correlation_id,
        causation_id=proposal.message_id,
        occurred_at=occurred_at,
        agent_id=agent.value,
        proposal_id=proposal.proposal_id,
        symbol=proposal.symbol,
        score=score,
        confidence_ppm=confidence_ppm(confidence),
        rationale=rationale,
        risk_assessment=measures,
        model_version=label,
        veto=veto,
        abstention=abstention,
    )
