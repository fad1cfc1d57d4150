"""Bringing a database to this release's schema."""

from importlib.resources import files

import psycopg

from adapters.ledger.addresses import driver_address
from adapters.ledger.sessions import first_line
from domain.errors import ConfigurationError, RecordUnavailable

HEAD = "0014"
_ONE_MIGRATION_AT_A_TIME = 0x51_75_6F_72


def migrate(url: str) -> None:
    """Run the migrations that the database still lacks, one process at a time.

    Raises
    ------
    domain.errors.RecordUnavailable
        If the database can't be reached.
    domain.errors.ConfigurationError
        If it was written by a newer release, or the user may not create tables in it.
    """
    address = driver_address(url)
    try:
        with psycopg.connect(address, autocommit=True) as connection:
            if schema_version(connection) == HEAD:
                return
            _run(url)
    except psycopg.errors.InsufficientPrivilege as problem:
        raise ConfigurationError(
            f"The ledger's user may not change its schema: {first_line(problem)}.",
            next_step="Run `quorum up` or `quorum demo` once with the owner's address.",
        ) from None
    except psycopg.OperationalError as problem:
        raise RecordUnavailable(
            f"The ledger can't be reached: {first_line(problem)}.",
            next_step="Start PostgreSQL or mend QUORUM_LEDGER_URL.",
        ) from None


def schema_version(connection: psycopg.Connection) -> str:
    """Return the schema's version, empty for a database that was never migrated."""
    found = connection.execute(
        "SELECT to_regclass('ledger.alembic_version') IS NOT NULL"
    ).fetchone()
    if not found or not found[0]:
        return ""
    row = connection.execute("SELECT version_num FROM ledger.alembic_version").fetchone()
    return str(row[0]) if row else ""


def _run(url: str) -> None:
    # Imported here: a process that finds its schema at the head starts without them.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415
    from sqlalchemy import create_engine, text  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(files("adapters.ledger.migrations")))
    config.set_main_option("path_separator", "os")
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_MIGRATION_AT_A_TIME}
            )
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS ledger"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as problem:
        raise ConfigurationError(
            f"The ledger was written by another release of Quorum: {problem}.",
            next_step="Start that release, or a newer one.",
        ) from None
    except DBAPIError as problem:
        raise problem.orig from None  # type: ignore[misc]
    finally:
        engine.dispose()
