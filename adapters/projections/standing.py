"""How far the read side is behind the logs."""

from datetime import datetime
from typing import NamedTuple

import psycopg

from adapters.ledger.addresses import driver_address
from adapters.ledger.sessions import unavailable

_STANDING = """
    SELECT h.log, h.partition, h.sequence, coalesce(p.sequence, 0), p.caught_up_at,
        extract(epoch FROM clock_timestamp() - p.caught_up_at)::float
    FROM ledger.heads AS h
    LEFT JOIN projections.heads AS p ON p.log = h.log AND p.partition = h.partition
    ORDER BY h.log, h.partition
"""


class Standing(NamedTuple):
    """How far one partition of one log is projected.

    Parameters
    ----------
    recorded, projected
        Last sequences of the log and of the read side.
    caught_up_at
        When the read side last held all that was on record; None if it never did.
    seconds
        How long ago that was, on the database's clock; 0 while nothing is missing.
    """

    log: str
    partition: int
    recorded: int
    projected: int
    caught_up_at: datetime | None
    seconds: float | None

    @property
    def events(self) -> int:
        """Events that are on record and not projected."""
        return self.recorded - self.projected


def standings(url: str) -> list[Standing]:
    """Return how far every partition of every log is projected.

    Raises
    ------
    domain.errors.RecordUnavailable
        If the database can't be reached.
    """
    with unavailable(), psycopg.connect(driver_address(url), autocommit=True) as connection:
        return standings_over(connection)


def standings_over(connection: psycopg.Connection) -> list[Standing]:
    """Return the same over a connection that is there."""
    return [
        Standing(log, partition, recorded, projected, at, seconds if recorded > projected else 0.0)
        for log, partition, recorded, projected, at, seconds in connection.execute(_STANDING)
    ]
