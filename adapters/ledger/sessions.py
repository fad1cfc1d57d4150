"""What every session with the ledger's database shares: its rights, and its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from domain.errors import RecordUnavailable

#: Where the migrations could make the role, a session gives up what it could do beyond it.
DROP_PRIVILEGES = """
    SELECT set_config('role', rolname, false) FROM pg_roles
    WHERE rolname = 'quorum_service' AND pg_has_role(current_user, oid, 'MEMBER')
"""


@contextmanager
def unavailable() -> Iterator[None]:
    """Say in our words that the server is away.

    Raises
    ------
    RecordUnavailable
        For every operational error of the driver.
    """
    try:
        yield
    except psycopg.OperationalError as problem:
        first_line = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise RecordUnavailable(
            f"The ledger can't be reached or written: {first_line}.",
            kept="What was committed is safe; nothing else was acknowledged.",
            next_step="It is tried again; see that PostgreSQL runs and its disk has room.",
        ) from problem
