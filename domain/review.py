"""Manual review in messages: it is opened, answered by persons, escalated, and ended.

The end is a `domain.voting.ConsensusResult` of its own, caused by the verdict that decided.
"""

import re
import unicodedata
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from domain.errors import InvalidValue
from domain.identity import derive_id
from domain.messages import Identifier, Message, Value, message_type, set_field, utc
from domain.money import canonical, positive

LONGEST_REASON = 2000
_ACTOR = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


@message_type
class ReviewOpened(Message, frozen=True, kw_only=True):
    """The terms under which a person answers; a setting that changes later does not change them.

    Parameters
    ----------
    decision_id
        The decision that waits.
    value
        What the trade is worth at the proposal's price, in the account's currency.
    approvals_needed
        How many persons must approve; one who rejects is enough.
    escalates_at, deadline
        When it becomes urgent, and when it is rejected unanswered.
    lowest_price, highest_price
        Where the price may be at an approval, both included.
    """

    decision_id: Identifier
    value: Decimal
    approvals_needed: Annotated[int, msgspec.Meta(ge=1, le=2)]
    escalates_at: datetime
    deadline: datetime
    lowest_price: Decimal
    highest_price: Decimal

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("value", "lowest_price", "highest_price"):
            set_field(self, name, canonical(getattr(self, name)))
        for name in ("escalates_at", "deadline"):
            set_field(self, name, utc(getattr(self, name), name))


@message_type
class ReviewVerdict(Message, frozen=True, kw_only=True):
    """A person's answer to a decision that was sent to manual review.

    Parameters
    ----------
    price_now
        The price that the answer was given at.
    price_observed_at
        When the market showed that price; absent where it is the person's word.
    decided_at
        When the person answered.
    """

    decision_id: Identifier
    approved: bool
    actor: str
    reason: str
    price_now: Decimal
    price_observed_at: datetime | None = None
    decided_at: datetime

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "actor", actor_name(self.actor))
        set_field(self, "reason", statement(self.reason))
        set_field(self, "price_now", positive(self.price_now, "price_now"))
        set_field(self, "decided_at", utc(self.decided_at, "decided_at"))
        if self.price_observed_at is not None:
            set_field(self, "price_observed_at", utc(self.price_observed_at, "price_observed_at"))


@message_type
class ReviewEscalated(Message, frozen=True, kw_only=True):
    """Nobody has decided for so long that it is urgent."""

    decision_id: Identifier
    deadline: datetime

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "deadline", utc(self.deadline, "deadline"))


def opened_id(decision_id: str) -> str:
    """Return the id of a review's opening."""
    return derive_id("review opened", decision_id)


def escalated_id(decision_id: str) -> str:
    """Return the id of a review's escalation."""
    return derive_id("review escalated", decision_id)


def final_id(decision_id: str) -> str:
    """Return the id of the decision that ends the review of `decision_id`."""
    return derive_id("review", decision_id)


def verdict_id(decision_id: str, actor: str, *, approved: bool) -> str:
    """Return the id of a person's answer: who says the same twice has said it once."""
    return derive_id("verdict", decision_id, actor, "approved" if approved else "rejected")


def actor_name(text: str) -> str:
    """Return a person's name as it goes on record; one spelling, so two names are two persons.

    Raises
    ------
    InvalidValue
        If it is not 1 to 64 lower-case letters, digits, or ``. _ @ -`` after the first.
    """
    if _ACTOR.fullmatch(text):
        return text
    raise InvalidValue(
        f"{text[:80]!r} can't be a person's name here.",
        next_step="Take up to 64 lower-case letters, digits, dots, dashes, underscores or @.",
    )


def statement(text: str) -> str:
    """Return a person's reason as it goes on record, without the space around it.

    Raises
    ------
    InvalidValue
        If it says nothing, too much, or holds characters that don't print.
    """
    stripped = text.strip()
    if not stripped or len(stripped) > LONGEST_REASON:
        raise InvalidValue(
            f"A reason has 1 to {LONGEST_REASON} characters, this one {len(stripped)}.",
            next_step="Say why in a few sentences; it goes on record.",
        )
    # Cc, Cf, Co, Cs, Cn: what could forge a line of a log or hide words from a reader.
    odd = next((c for c in stripped if c != "\n" and unicodedata.category(c)[0] == "C"), None)
    if odd is not None:
        raise InvalidValue(
            f"The reason holds the character U+{ord(odd):04X}, which does not print.",
            next_step="Write it in plain text.",
        )
    return stripped


class Claim(Value, frozen=True, kw_only=True):
    """Who looks at a review just now, so that others look at another one.

    Parameters
    ----------
    expires_at
        Until when, unless it is renewed.
    """

    decision_id: str
    actor: str
    claimed_at: datetime
    expires_at: datetime
