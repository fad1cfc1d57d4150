"""What venues outside have in common: how their answers are read, and what silence means."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from domain.errors import ConfigurationError, VenueUnavailable


class VenueAnswerUnusable(VenueUnavailable):
    """A venue answered what can't be read; what it did with the question is not known."""


class VenueKeysRefused(ConfigurationError):
    """A venue does not know the keys that it was shown, or they may not do this."""


def unanswered(venue: str, operation: str, why: str) -> VenueUnavailable:
    """Return the error for a question that a venue did not answer."""
    return VenueUnavailable(
        f"{venue} did not answer {operation}: {why}.",
        kept="What is in doubt is asked about and never sent again.",
        next_step="Nothing is to be done unless it lasts; then look at the venue's status page.",
    )


def unusable(venue: str, what: str) -> VenueAnswerUnusable:
    """Return the error for an answer that can't be read."""
    return VenueAnswerUnusable(
        f"{venue} answered what can't be read: {what}.",
        kept="Nothing of the answer was booked.",
        next_step="Compare the venue's API version with the one that docs/venues.md names.",
    )


def number(venue: str, answer: Mapping[str, Any], name: str) -> Decimal:
    """Return a finite number that a venue wrote, exactly as it was written.

    Raises
    ------
    VenueAnswerUnusable
        If it is missing, or no finite number.
    """
    try:
        value = Decimal(str(answer[name]))
    except (KeyError, TypeError, InvalidOperation):
        raise unusable(venue, f"no number {name!r}") from None
    if not value.is_finite():
        raise unusable(venue, f"{name!r} is {value}")
    return value


def text(venue: str, answer: Mapping[str, Any], name: str) -> str:
    """Return a text that a venue wrote.

    Raises
    ------
    VenueAnswerUnusable
        If it is missing or empty.
    """
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise unusable(venue, f"no text {name!r}")
    return value


def instant(venue: str, answer: Mapping[str, Any], name: str) -> datetime:
    """Return an instant in ISO 8601 that a venue wrote; nanoseconds are cut to microseconds.

    Raises
    ------
    VenueAnswerUnusable
        If it is missing, unreadable or without a time zone.
    """
    try:
        value = datetime.fromisoformat(text(venue, answer, name))
    except ValueError:
        raise unusable(venue, f"{name!r} is no instant") from None
    if value.tzinfo is None:
        raise unusable(venue, f"{name!r} has no time zone")
    return value
