"""What the engine knows between two messages."""

from datetime import datetime

import msgspec

from consensus.review import Review
from domain.voting import IgnoredVote, TradingProposal, Vote


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


class State(msgspec.Struct, kw_only=True):
    """All that the engine knows, in the order in which it learnt it."""

    rounds: dict[str, Round] = {}
    held: dict[str, Held] = {}
    reviews: dict[str, Review] = {}
    decided: dict[str, datetime] = {}
    forgotten_until: datetime | None = None
