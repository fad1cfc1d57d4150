"""Writing rows of the read side: one statement a table, whatever the number of rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from sqlalchemy import Table

from adapters.projections import schema
from adapters.projections.rows import Row

_Key = tuple[Any, ...]
#: Table → the rows that were written into it.
Written = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class _Writing:
    """How one table is written."""

    on_repeat: schema.OnRepeat
    key: tuple[str, ...]
    statement: sql.Composed

    def key_of(self, row: dict[str, Any]) -> _Key:
        return tuple([row[name] for name in self.key])

    def joined(self, former: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """Return what the second row makes of the first: what the statement does to stored ones."""
        match self.on_repeat:
            case "keep":
                return former
            case "replace":
                return former | {name: value for name, value in row.items() if value is not None}
            case "add":
                return {n: v if n in self.key else former[n] + v for n, v in row.items()}


class TableWriter:
    """Writes rows into the tables of one schema.

    Parameters
    ----------
    into
        The schema; the tables' own, or that of a rebuild.
    """

    def __init__(self, into: str = schema.SCHEMA) -> None:
        self._writing = {
            table.name: _Writing(
                table.info["on_repeat"],
                tuple(column.name for column in table.primary_key),
                _insert(into, table),
            )
            for table in schema.PROJECTED
        }

    def write(self, connection: psycopg.Connection, rows: Iterable[Row]) -> Written:
        """Write rows in their order, those of one key as one; returns what was written."""
        by_table: dict[str, dict[_Key, dict[str, Any]]] = {}
        for table, row in rows:
            writing, found = self._writing[table.name], by_table.setdefault(table.name, {})
            key = writing.key_of(row)
            found[key] = writing.joined(found[key], row) if key in found else row
        for name, found in by_table.items():
            data = msgspec.json.encode(list(found.values())).decode()
            connection.execute(self._writing[name].statement, (data,))
        return {name: list(found.values()) for name, found in by_table.items()}


def _insert(into: str, table: Table) -> sql.Composed:
    return sql.SQL(
        "INSERT INTO {table} AS t SELECT * FROM json_populate_recordset(NULL::{table}, %s::json) "
        "ON CONFLICT ({key}) DO {action}"
    ).format(
        table=sql.Identifier(into, table.name),
        key=sql.SQL(", ").join(sql.Identifier(column.name) for column in table.primary_key),
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
    values = [column.name for column in table.columns if not column.primary_key]
    changes = sql.SQL(", ").join(change.format(sql.Identifier(name)) for name in values)
    return sql.SQL("UPDATE SET ") + changes
