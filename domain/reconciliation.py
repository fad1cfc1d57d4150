"""What the record and a venue disagree on."""

from enum import StrEnum

from domain.messages import Message, Value, message_type


class DiscrepancyKind(StrEnum):
    """What kind of thing differs."""

    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    """The venue works an order that was never sent from here."""
    MISSING_ORDER = "MISSING_ORDER"
    """The record has an open order that the venue never saw."""
    TERMS = "TERMS"
    """The venue works an order under other terms."""
    FILL = "FILL"
    """The venue reports a fill that the record can't take."""
    STATUS = "STATUS"
    """The venue reports a status that can't follow the recorded one."""
    CHILDREN = "CHILDREN"
    """The children of an order are for more than the order."""
    POSITION = "POSITION"
    """The venue holds another quantity of a symbol."""


class Discrepancy(Value, frozen=True, kw_only=True):
    """One difference that nothing on record explains.

    Parameters
    ----------
    subject
        The client order id or symbol.
    recorded, venue
        What each side says.
    """

    kind: DiscrepancyKind
    subject: str
    recorded: str
    venue: str


@message_type
class Reconciled(Message, frozen=True, kw_only=True):
    """Record and venue were compared; trading stops where `discrepancies` are left."""

    venue: str
    orders: int
    symbols: int
    discrepancies: tuple[Discrepancy, ...] = ()
