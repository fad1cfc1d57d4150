"""What the engine knows between two messages."""

from datetime import datetime

import msgspec

from consensus.breaker import Breaker
from consensus.review import Review
from consensus.rounds import Round
from domain.rules import Rules
from domain.voting import Vote


class Held(msgspec.Struct, kw_only=True):
    """Votes that came before their proposal; `since` is the first tick that saw them."""

    votes: dict[str, Vote] = {}
    since: datetime | None = None


class State(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All that the engine knows, in the order in which it learnt it.

    Parameters
    ----------
    rules
        Those in force.
    now
        Logical time as it was last told.
    rounds, held, reviews
        What is open, by the id of the proposal or of the decision under review.
    decided
        When each proposal that is still remembered was decided.
    absent
        The agents that a remembered round ended without, so that their late votes are known.
    breakers
        Of the agents that are not beyond all doubt.
    garbage
        The last votes that were held against their agents, by id, so that none is twice.
    announced
        Events so far that are of no proposal's, which numbers them.
    forgotten_until
        The time of the latest decision that is no longer remembered.
    """

    rules: Rules = Rules()
    now: datetime | None = None
    rounds: dict[str, Round] = {}
    held: dict[str, Held] = {}
    reviews: dict[str, Review] = {}
    decided: dict[str, datetime] = {}
    absent: dict[str, list[str]] = {}
    breakers: dict[str, Breaker] = {}
    garbage: dict[str, None] = {}
    announced: int = 0
    forgotten_until: datetime | None = None
