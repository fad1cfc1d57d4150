"""The columns of a commit as PostgreSQL's arrays in their binary form.

The driver's own lists are written element by element, and text and times as text that the server
has to read again: that took a tenth of a decision's time.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from struct import Struct
from typing import ClassVar

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEADER = Struct("!iiIii")  # dimensions, whether there are nulls, element type, length, first index
_LENGTH = Struct("!i")
_NULL = _LENGTH.pack(-1)
_INTEGER, _BIGINT = Struct("!ii"), Struct("!iq")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Column:
    """An array that is written as it is; use the functions below."""

    element: ClassVar[int]

    def __init__(self, count: int, elements: Iterable[bytes], *, nulls: bool = False) -> None:
        header = _HEADER.pack(1, nulls, self.element, count, 1)
        self.data = b"".join((header, *elements))


class _Bytea(Column):
    element = 17


class _Bigint(Column):
    element = 20


class _Integer(Column):
    element = 23


class _Text(Column):
    element = 25


class _Timestamptz(Column):
    element = 1184


def texts(values: Iterable[str]) -> Column:
    """Return a ``text[]``."""
    encoded = [value.encode() for value in values]
    return _Text(len(encoded), _sized(encoded))


def blobs(values: Sequence[bytes | None]) -> Column:
    """Return a ``bytea[]``."""
    return _Bytea(len(values), _sized(values), nulls=None in values)


def integers(values: Sequence[int]) -> Column:
    """Return an ``integer[]``."""
    return _Integer(len(values), map(_INTEGER.pack, repeat(4), values))


def bigints(values: Sequence[int | None]) -> Column:
    """Return a ``bigint[]``."""
    if None not in values:
        return _Bigint(len(values), map(_BIGINT.pack, repeat(8), values))
    pack = _BIGINT.pack
    elements = [_NULL if value is None else pack(8, value) for value in values]
    return _Bigint(len(values), elements, nulls=True)


def moments(values: Sequence[datetime]) -> Column:
    """Return a ``timestamptz[]``, of aware times."""
    since = [(value - _EPOCH) // _MICROSECOND for value in values]
    return _Timestamptz(len(since), map(_BIGINT.pack, repeat(8), since))


def _sized(values: Iterable[bytes | None]) -> Iterable[bytes]:
    for value in values:
        if value is None:
            yield _NULL
        else:
            yield _LENGTH.pack(len(value))
            yield value


class _ColumnDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Column) -> Buffer:
        return obj.data


for _column in (_Bytea, _Bigint, _Integer, _Text, _Timestamptz):
    _info = psycopg.adapters.types[_column.element]
    _dumper = type(f"{_column.__name__}Dumper", (_ColumnDumper,), {"oid": _info.array_oid})
    psycopg.adapters.register_dumper(_column, _dumper)
