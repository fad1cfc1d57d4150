"""Limits of the controls while trading goes on: asked for, confirmed, in force, all on record."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import msgspec

from domain.errors import InvalidValue
from domain.messages import Identifier, Message, message_type, set_field, utc
from domain.money import canonical

#: Name of a limit: a field of `domain.settings.ControlSettings`.
LimitName = Annotated[str, msgspec.Meta(max_length=64)]


class LimitChangeStatus(StrEnum):
    """What came of a wish: it holds, it waits for another person, or it is refused."""

    EFFECTIVE = "EFFECTIVE"
    PROPOSED = "PROPOSED"
    REFUSED = "REFUSED"


class LimitRefusal(StrEnum):
    """Why a wish to change a limit is refused."""

    UNKNOWN_LIMIT = "unknown_limit"
    IMPOSSIBLE_VALUE = "impossible_value"
    UNCHANGED = "unchanged"
    NOTHING_PROPOSED = "nothing_proposed"
    """Nothing of that id waits: it was replaced, or is in force."""
    SAME_PERSON = "same_person"
    """Who asked can't confirm."""
    EXPIRED = "expired"


@message_type
class LimitChangeRequested(Message, frozen=True, kw_only=True):
    """A person asks for another value of a limit; who and why are required."""

    limit: LimitName
    value: Decimal
    actor: str
    reason: str

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "value", canonical(self.value))
        _demand_words(self.actor, self.reason)


@message_type
class LimitChangeConfirmed(Message, frozen=True, kw_only=True):
    """A person confirms what another one asked for, named by the request's id."""

    request_id: Identifier
    actor: str
    reason: str

    def __post_init__(self) -> None:
        super().__post_init__()
        _demand_words(self.actor, self.reason)


@message_type
class LimitChangeUpdated(Message, frozen=True, kw_only=True):
    """What came of a request, or of a confirmation, which is what caused this.

    Parameters
    ----------
    limit, previous, value
        Which limit, its value before, and the one asked for; empty and zero where nothing of
        that id waits.
    actor, reason
        Who asked for it and why; for a confirmation that is refused, who confirmed.
    confirmed_by
        Who confirmed it; empty where one person is enough, or it still waits.
    expires_at
        Until when it waits for another person.
    refusal
        Why it is refused.
    """

    limit: LimitName
    previous: Decimal
    value: Decimal
    actor: str
    reason: str
    status: LimitChangeStatus
    confirmed_by: str = ""
    expires_at: datetime | None = None
    refusal: LimitRefusal | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("previous", "value"):
            set_field(self, name, canonical(getattr(self, name)))
        if self.expires_at is not None:
            set_field(self, "expires_at", utc(self.expires_at, "expires_at"))


@message_type
class LimitsDeclared(Message, frozen=True, kw_only=True):
    """What the settings say, when they say it first and whenever they say something else.

    A stricter value holds from here on; a looser one takes two persons, as every raise does.
    """

    limits: dict[LimitName, Decimal]


def _demand_words(actor: str, reason: str) -> None:
    if not actor.strip() or not reason.strip():
        raise InvalidValue(
            "A limit is to change without an actor or a reason.",
            next_step="Say who asks for it and why.",
        )
