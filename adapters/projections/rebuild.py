"""Filling the read side again from the start, beside the one that is read, and switching to it."""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from psycopg import sql

from adapters.ledger.addresses import driver_address
from adapters.ledger.sessions import unavailable
from adapters.projections import schema
from adapters.projections.projector import LOCKS, NO_BATCH, ONE_REBUILD, Projector, lock
from adapters.projections.rows import Judges
from domain.errors import EnvironmentProblem

SHADOW, REPLACED = "projections_shadow", "projections_replaced"

_GRANTS = """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_service') THEN
            GRANT USAGE ON SCHEMA {shadow} TO quorum_service;
            GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {shadow} TO quorum_service;
        END IF;
    END
    $$
"""


class Comparison(NamedTuple):
    """A rebuilt read side beside the live one, at the same place in the logs.

    Parameters
    ----------
    events
        Events that the rebuild projected.
    live, rebuilt
        Table → SHA-256 over its rows in the order of their keys.
    """

    events: int
    live: dict[str, str]
    rebuilt: dict[str, str]

    @property
    def different(self) -> list[str]:
        """The tables that are not equal, byte for byte."""
        return [name for name, digest in self.live.items() if self.rebuilt[name] != digest]


def rebuild(url: str, judges: Judges) -> int:
    """Replace the read side by one made from the logs; returns the number of events.

    Who reads meanwhile reads the old one to the end of the query, then the new one.

    Raises
    ------
    domain.errors.EnvironmentProblem
        If another rebuild runs.
    domain.errors.RecordUnavailable
        If the database can't be reached; the read side is as it was.
    """
    with _shadow(url, judges) as (connection, shadow):
        events = shadow.catch_up()
        with connection.transaction():
            _hold_batches(connection)
            events += shadow.catch_up()
            _rename(connection, schema.SCHEMA, REPLACED)
            _rename(connection, SHADOW, schema.SCHEMA)
    return events


def verify(url: str, judges: Judges) -> Comparison:
    """Rebuild beside the live read side and compare the two; the live one is only caught up.

    Raises
    ------
    domain.errors.EnvironmentProblem, domain.errors.RecordUnavailable
        As `rebuild`.
    """
    with _shadow(url, judges) as (connection, shadow):
        events = shadow.catch_up()
        with connection.transaction():
            _hold_batches(connection)
            Projector(connection, judges).catch_up()
            events += shadow.catch_up()
            return Comparison(events, digests(connection), digests(connection, SHADOW))


def digests(connection: psycopg.Connection, of: str = schema.SCHEMA) -> dict[str, str]:
    """Return table → SHA-256 over its rows as text, in the order of their keys."""
    connection.execute("SET TIME ZONE 'UTC'")
    return {table.name: _digest(connection, of, table) for table in schema.PROJECTED}


def _digest(connection: psycopg.Connection, of: str, table: schema.Table) -> str:
    names = sql.SQL(", ").join(sql.Identifier(c.name) for c in table.columns)
    key = sql.SQL(", ").join(sql.Identifier(c.name) for c in table.primary_key)
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(
        names, sql.Identifier(of, table.name), key
    )
    digest = hashlib.sha256()
    with connection.cursor().copy(query) as rows:
        for data in rows:
            digest.update(data)
    return digest.hexdigest()


@contextmanager
def _shadow(url: str, judges: Judges) -> Generator[tuple[psycopg.Connection, Projector]]:
    """Yield an empty copy of the read side's tables; what is left of it afterwards is dropped."""
    with (
        unavailable(),
        psycopg.connect(driver_address(url), autocommit=True) as connection,
        lock(connection, ONE_REBUILD) as mine,
    ):
        if not mine:
            raise EnvironmentProblem(
                "Another rebuild of the projections runs.",
                kept="It goes on undisturbed.",
                next_step="Wait for its end, then ask again.",
            )
        _drop(connection)  # what a killed rebuild left
        with connection.transaction():
            _create(connection)
        try:
            yield connection, Projector(connection, judges, into=SHADOW)
        finally:
            if not connection.closed:
                _drop(connection)


def _create(connection: psycopg.Connection) -> None:
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SHADOW)))
    for table in schema.metadata.sorted_tables:
        connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                sql.Identifier(SHADOW, table.name), sql.Identifier(schema.SCHEMA, table.name)
            )
        )
    connection.execute(sql.SQL(_GRANTS).format(shadow=sql.Identifier(SHADOW)))


def _hold_batches(connection: psycopg.Connection) -> None:
    """Until this transaction's end no batch is written; the one in hand is waited for."""
    connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCKS, NO_BATCH))


def _rename(connection: psycopg.Connection, name: str, to: str) -> None:
    connection.execute(
        sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to))
    )


def _drop(connection: psycopg.Connection) -> None:
    for name in (SHADOW, REPLACED):
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
