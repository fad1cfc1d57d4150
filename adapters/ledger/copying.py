"""The ledger's tables as files: written from one snapshot, read back in one transaction."""

import gzip
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import psycopg
from psycopg import sql

from adapters.files import sync
from domain.messages import Value

_CHUNK = 1 << 20
_FAST = 1  # gzip's level; the best one takes five times as long for a tenth of the size

# Those that others refer to come first. The schema's version is made by the migrations.
_TABLES = """
    SELECT c.relname, array(
        SELECT attname::text FROM pg_attribute
        WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum
    )
    FROM pg_class AS c
    WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition AND c.relname <> 'alembic_version'
    ORDER BY EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype = 'f'), c.relname
"""


class TableFile(Value, frozen=True, kw_only=True):
    """A table's rows in a file: PostgreSQL's binary COPY format, compressed by gzip."""

    table: str
    columns: tuple[str, ...]
    rows: int
    sha256: str


def write_tables(connection: psycopg.Connection, folder: Path) -> list[TableFile]:
    """Write every table of the ledger to a folder."""
    return [
        _write(connection, folder, table, tuple(columns))
        for table, columns in connection.execute(_TABLES).fetchall()
    ]


def read_tables(connection: psycopg.Connection, folder: Path, files: list[TableFile]) -> None:
    """Fill the empty tables from their files; the owner's privileges are needed."""
    connection.execute("ALTER TABLE ledger.events DISABLE TRIGGER keep_ids")
    for file in files:
        _read(connection, folder, file)
    connection.execute("ALTER TABLE ledger.events ENABLE TRIGGER keep_ids")
    _continue_numbers(connection)


def months(connection: psycopg.Connection) -> list[str]:
    """Return the months in which something was recorded that is still there, as ``YYYY-MM``."""
    rows = connection.execute(
        """
        SELECT DISTINCT to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM') FROM (
            SELECT recorded_at FROM ledger.events UNION ALL
            SELECT recorded_at FROM ledger.input_blocks
        ) AS recorded ORDER BY 1
        """
    )
    return [month for (month,) in rows]


def make_months(connection: psycopg.Connection, wanted: list[str]) -> None:
    """Make room for these months; the owner's privileges are needed."""
    connection.execute(
        """
        SELECT ledger.make_month(parted.partrelid, to_date(month, 'YYYY-MM'))
        FROM pg_partitioned_table AS parted
        JOIN pg_class AS parent ON parent.oid = parted.partrelid
        CROSS JOIN unnest(%s::text[]) AS month
        WHERE parted.partstrat = 'r' AND parent.relnamespace = 'ledger'::regnamespace
        """,
        (wanted,),
    )


def filled_tables(connection: psycopg.Connection) -> list[str]:
    """Return the tables of the ledger that hold a row."""
    return [
        table
        for table, _ in connection.execute(_TABLES).fetchall()
        if connection.execute(
            sql.SQL("SELECT EXISTS (SELECT FROM ledger.{})").format(sql.Identifier(table))
        ).fetchone()
        == (True,)
    ]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    found = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def path_of(folder: Path, table: str) -> Path:
    """Return where a table's rows are."""
    return folder / f"{table}.copy.gz"


def _write(
    connection: psycopg.Connection, folder: Path, table: str, columns: tuple[str, ...]
) -> TableFile:
    path = path_of(folder, table)
    statement = sql.SQL("COPY (SELECT {} FROM ledger.{}) TO STDOUT (FORMAT binary)").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table)
    )
    with (
        gzip.GzipFile(path, "wb", _FAST, mtime=0) as file,
        connection.cursor() as cursor,
    ):
        with cursor.copy(statement) as copy:
            for chunk in copy:
                file.write(chunk)
        rows = cursor.rowcount
    sync(path)
    return TableFile(table=table, columns=columns, rows=rows, sha256=digest(path))


def _read(connection: psycopg.Connection, folder: Path, file: TableFile) -> None:
    statement = sql.SQL("COPY ledger.{} ({}) FROM STDIN (FORMAT binary)").format(
        sql.Identifier(file.table), sql.SQL(", ").join(map(sql.Identifier, file.columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for chunk in _chunks(path_of(folder, file.table)):
            copy.write(chunk)


def _chunks(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _continue_numbers(connection: psycopg.Connection) -> None:
    """Let identity columns go on behind what was read."""
    columns = connection.execute(
        """
        SELECT c.relname, a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'ledger'::regnamespace AND a.attidentity <> ''
        """
    ).fetchall()
    for table, column in columns:
        connection.execute(
            sql.SQL(
                "SELECT setval(pg_get_serial_sequence({}, {}), max({})) FROM ledger.{}"
                " HAVING max({}) IS NOT NULL"
            ).format(
                sql.Literal(f"ledger.{table}"),
                sql.Literal(column),
                *[sql.Identifier(column), sql.Identifier(table), sql.Identifier(column)],
            )
        )
