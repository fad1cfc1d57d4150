"""Why a message is refused: the typed reasons that dead letters carry and that are counted."""

from enum import StrEnum

import msgspec


class Refusal(StrEnum):
    """Everything that a message can be refused for."""

    MALFORMED = "malformed"
    NOT_UTF8 = "not_utf8"
    NUL_CHARACTER = "nul_character"
    TOO_LONG = "too_long"
    TOO_DEEP = "too_deep"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_VERSION = "unknown_version"
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    DUPLICATE_FIELD = "duplicate_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    NOT_CANONICAL = "not_canonical"
    FORGED_VOTE = "forged_vote"
    FORGED_MESSAGE = "forged_message"
    WRONG_PARTITION = "wrong_partition"
    FROM_THE_FUTURE = "from_the_future"
    FROM_THE_PAST = "from_the_past"
    UNKNOWN_AGENT = "unknown_agent"
    UNEXPECTED_TYPE = "unexpected_type"
    ALREADY_RECORDED = "already_recorded"
    """It causes an event whose id is on record: another message caused that one."""
    FAULT = "fault"
    """Not the message's: what handled it failed, several times."""


#: How the decoder's messages begin, since its errors carry no code; a test holds each to it.
_BEGINNINGS = (
    ("Object missing", Refusal.MISSING_FIELD),
    ("Object contains unknown", Refusal.UNKNOWN_FIELD),
    ("Invalid", Refusal.OUT_OF_RANGE),
    ("Integer value", Refusal.OUT_OF_RANGE),
    ("Expected", Refusal.WRONG_TYPE),
)
_BOUNDED = (" <= ", " >= ", " < ", " > ", "matching regex", "of length")


def refusal_of(problem: Exception) -> Refusal:
    """Return the typed reason of what a decoder raised."""
    match problem:
        case UnicodeDecodeError():
            return Refusal.NOT_UTF8
        case RecursionError():
            return Refusal.TOO_DEEP
        case msgspec.ValidationError():
            return _of_validation(str(problem))
        case msgspec.DecodeError():
            return Refusal.MALFORMED
        case _:
            return Refusal.OUT_OF_RANGE


def _of_validation(text: str) -> Refusal:
    expected = text.partition(" - at ")[0]
    if expected.startswith("Expected") and any(sign in expected for sign in _BOUNDED):
        return Refusal.OUT_OF_RANGE
    for beginning, refusal in _BEGINNINGS:
        if text.startswith(beginning):
            return refusal
    return Refusal.OUT_OF_RANGE  # a value's own check, in its own words
