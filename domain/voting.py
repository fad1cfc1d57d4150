"""Proposals, votes and what the consensus made of them."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import msgspec

from domain.market import Symbol
from domain.messages import (
    FIRST_YEAR,
    LAST_YEAR,
    Identifier,
    Message,
    Value,
    message_type,
    set_field,
    utc,
)
from domain.money import canonical, not_negative, positive
from domain.portfolio import Portfolio

MILLION = 1_000_000
#: Score from which on a vote says that executing proves right.
ACCEPTANCE = 75
#: Name, in a vote's risk assessment, of the figure that what comes is held against.
BOUND = "bound"

Score = Annotated[int, msgspec.Meta(ge=0, le=100)]
ConfidencePpm = Annotated[int, msgspec.Meta(ge=0, le=MILLION)]


class AgentId(StrEnum):
    """The four specialists."""

    MARKET_ANALYST = "market_analyst"
    RISK_MANAGER = "risk_manager"
    PORTFOLIO_OPTIMIZER = "portfolio_optimizer"
    EXECUTION = "execution"


class Action(StrEnum):
    """What a proposal wants done."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


def confidence_ppm(probability: float) -> int:
    """Return a probability (0–1) in whole millionths, rounded half to even.

    Raises
    ------
    ValueError
        If it is NaN or outside 0–1.
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"confidence must lie in 0..1, not {probability!r}")
    return round(probability * MILLION)


class _Confident:
    """A confidence kept in whole millionths, so that the rule is exact integer arithmetic."""

    __slots__ = ()

    confidence_ppm: int

    @property
    def confidence(self) -> float:
        """Calibrated probability (0–1) that the verdict proves right."""
        return self.confidence_ppm / MILLION


@message_type
class TradingProposal(Message, _Confident, frozen=True, kw_only=True):
    """What the Market Analyst wants to trade; its `message_id` is the proposal id.

    Parameters
    ----------
    symbol, action, quantity
        The trade; quantity in units of the instrument, 0 for HOLD.
    reference_price
        The last price the proposer saw.
    price_target
        Where it expects the price at the horizon.
    horizon_days
        Trading days until the target.
    rationale
        The drivers with numbers, in a trader's words.
    confidence_ppm
        Calibrated probability, in millionths, that the action earns after costs.
    risk_metrics
        Named measures the proposer used, quantised.
    features
        Feature name → value it cites, quantised.
    portfolio
        The portfolio the proposal was made for: votes are functions of it.
    model_version, data_version
        Which model proposed, from which data.
    """

    symbol: Symbol
    action: Action
    quantity: Decimal
    reference_price: Decimal
    price_target: Decimal
    horizon_days: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    rationale: str
    confidence_ppm: ConfidencePpm
    risk_metrics: dict[str, Decimal] = {}
    features: dict[str, Decimal] = {}
    portfolio: Portfolio
    model_version: str
    data_version: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check = not_negative if self.action is Action.HOLD else positive
        set_field(self, "quantity", check(self.quantity, "quantity"))
        set_field(self, "reference_price", positive(self.reference_price, "reference_price"))
        set_field(self, "price_target", positive(self.price_target, "price_target"))
        set_field(self, "risk_metrics", {k: canonical(v) for k, v in self.risk_metrics.items()})
        set_field(self, "features", {k: canonical(v) for k, v in self.features.items()})

    @property
    def proposal_id(self) -> str:
        """The id that votes and the decision refer to."""
        return self.message_id


@message_type
class Vote(Message, _Confident, frozen=True, kw_only=True):
    """One agent's verdict on one proposal.

    Parameters
    ----------
    agent_id
        Who votes; the engine, not the decoder, refuses an unknown agent.
    symbol
        The proposal's; the engine refuses any other, so its form needs no check here.
    score
        0–100: how much the agent supports executing; 75 is its own acceptance threshold, where
        executing is as likely right as wrong.
    confidence_ppm
        Calibrated probability, in millionths, that this verdict proves right.
    risk_assessment
        Named measures behind the verdict, quantised.
    veto
        Name of the hard limit that is breached; no score of the others outweighs it.
    abstention
        Why the agent has no say on this proposal (model too old, inputs missing); not counted.
    """

    # In the order of their bytes: so a decoder finds each where it looks first.
    abstention: str = ""
    agent_id: Identifier
    confidence_ppm: ConfidencePpm
    model_version: str
    proposal_id: Identifier
    rationale: str
    risk_assessment: dict[str, Decimal] = {}
    score: Score
    symbol: Annotated[str, msgspec.Meta(max_length=32)]
    veto: str = ""

    def __post_init__(self) -> None:
        moment = self.occurred_at  # what `super` does, which takes longer; there are many votes
        if moment.tzinfo is not UTC or not FIRST_YEAR <= moment.year <= LAST_YEAR:
            set_field(self, "occurred_at", utc(moment, "occurred_at"))
        if self.risk_assessment:
            canonised = {name: canonical(value) for name, value in self.risk_assessment.items()}
            set_field(self, "risk_assessment", canonised)


@message_type
class VoteRefused(Message, frozen=True, kw_only=True):
    """A vote that certainly came from an agent and that no decoder takes.

    Parameters
    ----------
    agent_id
        Whose seal it carries; bytes without one are nobody's and become no `VoteRefused`.
    proposal_id
        What it was on, as far as can be told.
    reason
        The typed refusal.
    """

    agent_id: str
    proposal_id: str = ""
    reason: str


@message_type
class ProposalDecided(Message, frozen=True, kw_only=True):
    """Tells an engine that the record decided a proposal whose round is open in it.

    Another partition did, under another symbol, or this one by another release's rule.
    """

    proposal_id: str


class Outcome(StrEnum):
    """What the consensus decided."""

    EXECUTE = "EXECUTE"
    REJECT = "REJECT"
    MANUAL_REVIEW = "MANUAL_REVIEW"


class Thresholds(Value, frozen=True, kw_only=True):
    """The rule's two limits; both are inclusive on the executing side."""

    execute_at_weighted_score: Decimal = Decimal(75)
    review_above_variance: Decimal = Decimal(40)

    def __post_init__(self) -> None:
        for name in ("execute_at_weighted_score", "review_above_variance"):
            set_field(self, name, canonical(getattr(self, name)))


class CountedVote(Value, frozen=True, kw_only=True):
    """A vote as it entered the rule; `weight` is its share of all confidence, quantised."""

    agent_id: str
    message_id: str
    occurred_at: datetime | None = None
    score: Score
    confidence_ppm: ConfidencePpm
    weight: Decimal
    rationale: str
    risk_assessment: dict[str, Decimal]
    model_version: str
    veto: str = ""


class IgnoredVote(Value, frozen=True, kw_only=True):
    """A vote that was not counted, and why."""

    agent_id: str
    message_id: str
    reason: str
    model_version: str = ""


class LateVote(Value, frozen=True, kw_only=True):
    """A vote that came after its decision: on record and scored, never counted."""

    agent_id: str
    message_id: str
    score: Score
    confidence_ppm: ConfidencePpm
    rationale: str
    model_version: str


@message_type
class ConsensusResult(Message, frozen=True, kw_only=True):
    """A decision; its `message_id` is the decision id.

    Parameters
    ----------
    outcome, reason
        What was decided, and the typed reason (``consensus``, ``no_quorum``, ``hold``, ``veto`` …).
    weighted_score, variance
        The rule's two figures, quantised; absent where nothing could be counted.
    participation
        Number of counted votes (0–4).
    degraded
        Fewer than four votes counted.
    rules_digest
        The rules that were in force (`domain.rules.Rules.digest`); the log says what they are.
    """

    proposal: TradingProposal
    outcome: Outcome
    reason: str
    weighted_score: Decimal | None
    variance: Decimal | None
    participation: Annotated[int, msgspec.Meta(ge=0, le=4)]
    degraded: bool
    counted: tuple[CountedVote, ...]
    ignored: tuple[IgnoredVote, ...]
    rule_version: str
    thresholds: Thresholds
    rules_digest: str = ""

    @property
    def decision_id(self) -> str:
        """The id that orders derive from."""
        return self.message_id
