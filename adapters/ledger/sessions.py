"""What every session with the ledger's database shares: its rights, and its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from domain.errors import RecordFull, RecordReadOnly, RecordUnavailable

#: Where the migrations could make the role, a session gives up what it could do beyond it.
DROP_PRIVILEGES = """
    SELECT set_config('role', rolname, false) FROM pg_roles
    WHERE rolname = 'quorum_service' AND pg_has_role(current_user, oid, 'MEMBER')
"""

_KEPT = "What was committed is safe; nothing else was acknowledged."


@contextmanager
def unavailable() -> Iterator[None]:
    """Say in our words that the server is away, or takes no writes.

    Raises
    ------
    RecordFull
        If its disk is full.
    RecordReadOnly
        If it is a standby, or was told to take no writes.
    RecordUnavailable
        For every other operational error of the driver.
    """
    try:
        yield
    except psycopg.errors.DiskFull as problem:
        raise RecordFull(
            f"The ledger's disk is full: {first_line(problem)}.",
            kept=_KEPT,
            next_step="Make room on it; what was halted goes on by itself.",
        ) from problem
    except psycopg.errors.ReadOnlySqlTransaction as problem:
        raise RecordReadOnly(
            f"The ledger takes no writes: {first_line(problem)}.",
            kept=_KEPT,
            next_step="Point QUORUM_LEDGER_URL at the primary, or end its read-only state; "
            "what was halted goes on by itself.",
        ) from problem
    except psycopg.OperationalError as problem:
        raise RecordUnavailable(
            f"The ledger can't be reached or written: {first_line(problem)}.",
            kept=_KEPT,
            next_step="It is tried again; see that PostgreSQL runs and its disk has room.",
        ) from problem


def first_line(problem: Exception) -> str:
    """Return the first line of what the driver says."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0].rstrip(".")
