"""Ledger addresses, as our settings and as the driver write them."""

from zlib import crc32

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


def database_of(url: str) -> str:
    """Return eight hexadecimal digits for the server and database that a ledger's URL names."""
    parts = conninfo_to_dict(driver_address(url))
    place = "/".join(str(parts.get(name, "")) for name in ("host", "port", "dbname"))
    return f"{crc32(place.encode()):08x}"


def _readable(address: str) -> bool:
    try:
        conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        return False
    return True
