"""Positions of a partition, ``<number>-<addition>``, alike on every bus.

A partition is numbered either by its one writer (the `sequence` of an outbox: 1, 2, 3 …) or by
the bus (milliseconds since 1970, or from as high a number). Both rise, but they can't be mixed:
a sequence would always be lower than the bus's numbers and be taken for published already.
"""

from domain.errors import InvalidValue, MessagesLost

FIRST_NUMBER_OF_THE_BUS = 10**12

Position = tuple[int, int]


def parse(position: str) -> Position:
    """Return what positions compare by; the empty one comes before all."""
    number, _, addition = position.partition("-")
    return int(number or 0), int(addition or 0)


def check_sequence(sequence: int) -> None:
    """Refuse a number that no outbox gives.

    Raises
    ------
    InvalidValue
        If it is not in 1 … 10¹² - 1.
    """
    if not 0 < sequence < FIRST_NUMBER_OF_THE_BUS:
        raise InvalidValue(
            f"{sequence} is not a sequence number.", next_step="Count from 1 in steps of 1."
        )


def check_numbered_by_writer(partition: str, latest: Position) -> None:
    """Refuse to continue a partition that the bus numbered with a writer's sequence.

    Raises
    ------
    InvalidValue
        If its latest position is one of the bus's.
    """
    if latest[0] >= FIRST_NUMBER_OF_THE_BUS:
        raise InvalidValue(
            f"{partition} holds messages without a sequence; one with a sequence can't follow.",
            kept="The message was not published.",
            next_step="Publish all of a partition's messages with a sequence, or none.",
        )


def check_begins(partition: str, latest: Position, first_sequence: int) -> None:
    """Refuse to leave a gap behind what a partition holds.

    Raises
    ------
    MessagesLost
        If it ends before `first_sequence` - 1.
    """
    if latest[0] < first_sequence - 1:
        raise MessagesLost(
            f"{partition} ends at {latest[0]}, not at {first_sequence - 1}: the bus lost messages.",
            kept="The record holds them.",
            next_step="Nothing: they are published again from the record.",
        )
