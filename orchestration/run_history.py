"""Dagster's run history, written without waiting for the disk."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, event
from sqlalchemy.pool import ConnectionPoolEntry


@contextmanager
def unsynchronised(folder: Path) -> Iterator[None]:
    """Let SQLite databases below `folder` skip fsync, for connections opened in the block.

    Dagster opens, commits and closes a connection for every event, thousands in one run of the
    whole graph, and each waits for the disk twice. A killed process loses nothing by this; a
    power cut may cost Dagster's history, which shows runs and is never the record.
    """

    def relax(connection: object, _: ConnectionPoolEntry) -> None:
        if isinstance(connection, sqlite3.Connection) and _file_of(connection).is_relative_to(home):
            connection.execute("PRAGMA synchronous = OFF")

    home = folder.resolve()
    event.listen(Engine, "connect", relax)
    try:
        yield
    finally:
        event.remove(Engine, "connect", relax)


def _file_of(connection: sqlite3.Connection) -> Path:
    return Path(connection.execute("PRAGMA database_list").fetchone()[2])
