"""What the engine is told, and what it knows between two messages."""

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from consensus.rule import DEFAULT_THRESHOLDS
from domain.messages import Value
from domain.voting import ConsensusResult, IgnoredVote, Thresholds, TradingProposal, Vote


class Rules(Value, frozen=True, kw_only=True):
    """What the engine is told by the settings.

    Parameters
    ----------
    vote_deadline
        How long a round stays open for votes.
    vote_time_to_live
        Age at which a vote no longer counts, and how long one waits for its proposal.
    review_timeout
        How long a person has to answer.
    review_price_collar
        How far, as a fraction, the price may be from the proposal's when a person approves.
    """

    thresholds: Thresholds = DEFAULT_THRESHOLDS
    vote_deadline: timedelta = timedelta(seconds=2)
    vote_time_to_live: timedelta = timedelta(seconds=30)
    review_timeout: timedelta = timedelta(hours=1)
    review_price_collar: Decimal = Decimal("0.10")

    @property
    def memory(self) -> timedelta:
        """How long a decided proposal is remembered: no timely vote on it can come later."""
        return self.vote_deadline + 2 * self.vote_time_to_live


class Round(msgspec.Struct, kw_only=True):
    """An open round: the proposal, the votes that may count, and those that may not."""

    proposal: TradingProposal
    deadline: datetime
    votes: list[Vote] = []
    refused: list[IgnoredVote] = []


class Held(msgspec.Struct, kw_only=True):
    """Votes that came before their proposal; `since` is the first tick that saw them."""

    votes: list[Vote] = []
    since: datetime | None = None


class Review(msgspec.Struct, kw_only=True):
    """A decision that waits for a person until `deadline`."""

    decision: ConsensusResult
    deadline: datetime


class State(msgspec.Struct, kw_only=True):
    """All that the engine knows, in the order in which it learnt it."""

    rounds: dict[str, Round] = {}
    held: dict[str, Held] = {}
    reviews: dict[str, Review] = {}
    decided: dict[str, datetime] = {}
    forgotten_until: datetime | None = None
