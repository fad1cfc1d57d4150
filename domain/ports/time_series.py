"""Tables over time: bars, quotes, features, experiences, portfolio, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the command line names tables without it
    import polars as pl

#: Columns that `TimeSeriesStore.revisions` adds, and that no table may have.
KNOWN_FROM, KNOWN_UNTIL = "known_from", "known_until"


class Table(StrEnum):
    """The tables and what one row is."""

    BARS = "bars"
    QUOTES = "quotes"
    NEWS = "news"
    FEATURES = "features"
    EXPERIENCES = "experiences"
    PORTFOLIO = "portfolio"
    METRICS = "metrics"
    QUARANTINE = "quarantine"

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that tell one row from another; symbol and timestamp always come first."""
        return ("symbol", "timestamp", *_ALSO.get(self, ()))


#: Several headlines, experiences, metrics or refused rows may share a symbol and an instant.
_ALSO: dict[Table, tuple[str, ...]] = {
    Table.NEWS: ("headline",),
    Table.EXPERIENCES: ("message_id",),
    Table.PORTFOLIO: ("message_id",),
    Table.METRICS: ("metric",),
    Table.QUARANTINE: ("dataset", "source"),
}


class TimeSeriesStore(Protocol):
    """Rows keyed by `Table.key`, with versions that can be read again.

    A version is the SHA-256 of the table's content: the same rows have the same version in any
    store, whatever way they were written.

    Every row has two times: ``timestamp``, when it was so, and the instant from which on the store
    knew it. What was known at an earlier instant stays readable. The second time is no part of
    the content, so it doesn't change a version.
    """

    def write(self, table: Table, frame: pl.DataFrame, *, known_at: datetime | None = None) -> str:
        """Insert or replace rows by `Table.key` and return the table's new version.

        Writing the same rows again leaves the table's content as it was, and since when they are
        known.

        Parameters
        ----------
        known_at
            Since when these rows are known; now by default.

        Raises
        ------
        domain.errors.DataQualityError
            If a row lacks a part of its key, a key comes twice, a column is of another type
            than the table's, or a row would be known earlier than the one it replaces.
        """
        ...

    def replace(
        self,
        table: Table,
        frame: pl.DataFrame,
        *,
        start: datetime,
        end: datetime,
        known_at: datetime | None = None,
    ) -> str:
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
        known_at: datetime | None = None,
    ) -> pl.DataFrame:
        """Return rows with start ≤ timestamp < end, sorted by `Table.key`.

        Parameters
        ----------
        version
            Content as it was under this version; the present one by default.
        known_at
            Only what was known then, as it was known then.

        Raises
        ------
        domain.errors.DataQualityError
            If `version` was never written here, or is no longer kept here.
        domain.errors.InvalidValue
            If both `version` and `known_at` are given.
        """
        ...

    def revisions(
        self, table: Table, *, start: datetime | None = None, end: datetime | None = None
    ) -> pl.DataFrame:
        """Return every row that was ever known, with `KNOWN_FROM` and `KNOWN_UNTIL`.

        `KNOWN_UNTIL` is null for what holds now; `KNOWN_FROM` is null where it wasn't kept.
        """
        ...

    def version(self, table: Table) -> str:
        """Return the present version; empty when nothing was ever written."""
        ...
