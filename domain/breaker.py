"""Cutting off an agent that fails: the states, why, when, and the event that says so."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

from domain.messages import Message, Value, message_type

_AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class BreakerState(StrEnum):
    """Whether an agent takes part."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class Cause(StrEnum):
    """What an agent is cut off for."""

    DEAD = "dead"
    SLOW = "slow"
    GARBAGE = "garbage"


class BreakerRules(Value, frozen=True, kw_only=True):
    """How much failure in a row opens an agent's breaker, and for how long.

    Parameters
    ----------
    missed_rounds
        Rounds that ended at their deadline without its vote: it is dead.
    late_votes
        Votes that came after the decision: it is slow.
    refused_votes
        Votes that were refused for what they say: it is insane.
    pause
        Logical time until one round admits it again, as a probe.
    """

    missed_rounds: _AtLeastOne = 5
    late_votes: _AtLeastOne = 3
    refused_votes: _AtLeastOne = 3
    pause: timedelta = timedelta(seconds=60)


@message_type
class BreakerChanged(Message, frozen=True, kw_only=True):
    """An agent was cut off, is probed, or takes part again; caused by the message it names.

    Parameters
    ----------
    cause
        What it was cut off for; kept while it is probed and when it has recovered.
    proposal_id
        The round in which it changed.
    """

    agent_id: str
    before: BreakerState
    after: BreakerState
    cause: Cause
    proposal_id: str
