"""Ledger addresses, as our settings and as the driver write them."""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from domain.errors import ConfigurationError

_SCHEME = "postgresql+psycopg://"


def driver_address(url: str) -> str:
    """Return a ``postgresql+psycopg://`` URL as libpq reads it.

    Raises
    ------
    ConfigurationError
        If it is not such a URL.
    """
    address = url.replace(_SCHEME, "postgresql://", 1)
    if not url.startswith(_SCHEME) or not _readable(address):
        raise ConfigurationError(
            "QUORUM_LEDGER_URL is not a PostgreSQL address.",
            next_step=f"Set it to {_SCHEME}user:password@host:port/database.",
        )
    return address


def _readable(address: str) -> bool:
    try:
        conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        return False
    return True
