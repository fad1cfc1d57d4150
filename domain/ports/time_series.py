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


class TimeSeriesStore(Protocol):
    """Rows keyed by (symbol, timestamp), with versions that can be read again."""

    def write(self, table: Table, frame: pl.DataFrame) -> str:
        """Insert or replace rows by (symbol, timestamp) and return the table's new version.

        Writing the same rows again leaves the table's content as it was.

        Raises
        ------
        domain.errors.DataQualityError
            If a row has no symbol, no timestamp, or a column of another type than the table's.
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
        """Return rows with start ≤ timestamp < end, sorted by (symbol, timestamp)."""
        ...

    def version(self, table: Table) -> str:
        """Return the present version; empty when nothing was ever written."""
        ...
