"""Tables over time: bars, features, experiences."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import polars as pl


class Table(StrEnum):
    """The tables and what one row is."""

    BARS = "bars"
    NEWS = "news"
    FEATURES = "features"
    EXPERIENCES = "experiences"
    QUARANTINE = "quarantine"

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that tell one row from another; symbol and timestamp always come first."""
        return ("symbol", "timestamp", *_ALSO.get(self, ()))


#: Several headlines, experiences or refused rows may share a symbol and an instant.
_ALSO: dict[Table, tuple[str, ...]] = {
    Table.NEWS: ("headline",),
    Table.EXPERIENCES: ("message_id",),
    Table.QUARANTINE: ("source",),
}


class TimeSeriesStore(Protocol):
    """Rows keyed by `Table.key`, with versions that can be read again.

    A version is the SHA-256 of the table's content: the same rows have the same version in any
    store, whatever way they were written.
    """

    def write(self, table: Table, frame: pl.DataFrame) -> str:
        """Insert or replace rows by `Table.key` and return the table's new version.

        Writing the same rows again leaves the table's content as it was.

        Raises
        ------
        domain.errors.DataQualityError
            If a row lacks a part of its key, a key comes twice, or a column is of another type
            than the table's.
        """
        ...

    def replace(self, table: Table, frame: pl.DataFrame, *, start: datetime, end: datetime) -> str:
        """Make `frame` all that the table holds for start ≤ timestamp < end.

        Raises
        ------
        domain.errors.DataQualityError
            As `write`, and if a row lies outside the interval.
        """
        ...

    def read(
        self,
        table: Table,
        *,
        symbols: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        version: str | None = None,
    ) -> pl.DataFrame:
        """Return rows with start ≤ timestamp < end, sorted by `Table.key`.

        Raises
        ------
        domain.errors.DataQualityError
            If `version` was never written here.
        """
        ...

    def version(self, table: Table) -> str:
        """Return the present version; empty when nothing was ever written."""
        ...
