"""Writing rows of the read side: one statement a table, whatever the number of rows."""

from collections.abc import Iterable
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql
from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from adapters.projections import schema
from adapters.projections.rows import Row

_DIALECT = postgresql.dialect()
_Key = tuple[Any, ...]
#: Table → the rows that were written into it.
Written = dict[str, list[dict[str, Any]]]


class TableWriter:
    """Writes rows into the tables of one schema.

    Parameters
    ----------
    into
        The schema; the tables' own, or that of a rebuild.
    """

    def __init__(self, into: str = schema.SCHEMA) -> None:
        self._statements = {table.name: _insert(into, table) for table in schema.PROJECTED}

    def write(self, connection: psycopg.Connection, rows: Iterable[Row]) -> Written:
        """Write rows in their order, those of one key as one; returns what was written."""
        by_table: dict[str, tuple[Table, dict[_Key, dict[str, Any]]]] = {}
        for table, row in rows:
            _, known = by_table.setdefault(table.name, (table, {}))
            key = tuple(row[column.name] for column in table.primary_key)
            known[key] = _joined(table, known[key], row) if key in known else row
        for table, found in by_table.values():
            columns = [[row[c.name] for row in found.values()] for c in table.columns]
            connection.execute(self._statements[table.name], columns)
        return {name: list(found.values()) for name, (_, found) in by_table.items()}


def _joined(table: Table, former: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """Return what the second row makes of the first: what `_insert` tells the database to do."""
    match table.info["on_repeat"]:
        case "keep":
            return former
        case "replace":
            return former | {name: value for name, value in row.items() if value is not None}
        case _:
            keys = {column.name for column in table.primary_key}
            return {n: v if n in keys else former[n] + v for n, v in row.items()}


def _insert(into: str, table: Table) -> sql.Composed:
    arrays = sql.SQL(", ").join(
        sql.SQL("%s::text[]::{}[]" if isinstance(c.type, JSONB) else "%s::{}[]").format(_type(c))
        for c in table.columns
    )
    return sql.SQL(
        "INSERT INTO {table} AS t ({columns}) SELECT * FROM unnest({arrays}) "
        "ON CONFLICT ({key}) DO {action}"
    ).format(
        table=sql.Identifier(into, table.name),
        columns=_names(c.name for c in table.columns),
        arrays=arrays,
        key=_names(c.name for c in table.primary_key),
        action=_action(table),
    )


def _action(table: Table) -> sql.Composable:
    if table.info["on_repeat"] == "keep":
        return sql.SQL("NOTHING")
    change = sql.SQL(
        "{0} = coalesce(excluded.{0}, t.{0})"
        if table.info["on_repeat"] == "replace"
        else "{0} = t.{0} + excluded.{0}"
    )
    values = [c.name for c in table.columns if not c.primary_key]
    changes = sql.SQL(", ").join(change.format(sql.Identifier(name)) for name in values)
    return sql.SQL("UPDATE SET ") + changes


def _type(column: Column[Any]) -> sql.SQL:
    name = column.type.compile(_DIALECT).partition(" COLLATE")[0]
    return sql.SQL(cast("LiteralString", name))  # of our own schema, no one's input


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
