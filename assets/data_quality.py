"""The gate before training: what is wrong with the data, and whether that stops the run.

A blocking check whose failure is an error keeps everything downstream from running; what fails as
a warning lets it go on (those are blocking only to be finished before the report). Bad rows never
get this far: they are in quarantine, and the rest goes on unless too little is left.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import dagster as dg
import polars as pl

from assets.expectations import (
    bars_expectations,
    features_expectations,
    findings,
    news_expectations,
    order_books_expectations,
    portfolio_expectations,
)
from assets.experience import portfolio_history
from assets.features import features
from assets.ingestion import assessed_bars, bars, news, order_books, quarantine, raw_bars
from assets.metadata import table
from assets.quality.bars import holes
from assets.quality_report import FINDINGS
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import Settings

#: Instants at which features are recomputed without the future.
_CUTS = 6

_ERROR, _WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@dg.asset_check(
    asset=raw_bars, blocking=True, description="The source's rows are bars; defects are counted."
)
def raw_bars_as_expected(raw_bars: pl.DataFrame) -> dg.AssetCheckResult:
    """Warn of defects in the source; the rows themselves are judged one by one later."""
    moment = pl.coalesce(pl.col("date").cast(pl.String), pl.col("timestamp").cast(pl.String))
    return _suite(raw_bars.with_columns(moment=moment), bars_expectations, _WARN)


@dg.asset_check(
    asset=quarantine,
    additional_ins={"assessed_bars": dg.AssetIn(assessed_bars.key)},
    blocking=True,
    description="Enough rows are good to train on; the others are in quarantine.",
)
def rows_accepted(
    assessed_bars: pl.DataFrame, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Fail if too large a share is bad, warn if any is."""
    bad = assessed_bars["reason"].drop_nulls()
    share = len(bad) / assessed_bars.height
    too_many = (
        share > settings.quality.maximum_quarantined_fraction or len(bad) == assessed_bars.height
    )
    reasons = [{"reason": r, "rows": n} for r, n in bad.value_counts(sort=True).iter_rows()]
    told = ", ".join(f"{reason['rows']} {reason['reason']}" for reason in reasons)
    return dg.AssetCheckResult(
        passed=not len(bad),
        severity=_ERROR if too_many else _WARN,
        description=f"{len(bad)} of {assessed_bars.height} rows are in quarantine"
        + (f" ({told})." if told else "."),
        metadata={
            "quarantined_share": share,
            "limit": settings.quality.maximum_quarantined_fraction,
            "reasons": table(reasons),
        },
    )


@dg.asset_check(asset=assessed_bars, blocking=True, description="No session lacks its bar.")
def sessions_complete(
    assessed_bars: pl.DataFrame, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Warn of gaps between a symbol's first and last bar."""
    from adapters.market_data.sessions import session_closes  # noqa: PLC0415 - beside its use

    good = assessed_bars.filter(pl.col("reason").is_null())
    if good.is_empty():
        return dg.AssetCheckResult(passed=False, severity=_WARN, description="No good bar.")
    first, last = (good["timestamp"].min(), good["timestamp"].max())
    sessions = session_closes(settings.quality.exchange, first.date(), last.date())  # type: ignore[union-attr]
    found = holes(good, sessions).filter(pl.col("missing") > 0)
    return dg.AssetCheckResult(
        passed=found.is_empty(),
        severity=_WARN,
        description=f"{found.height} symbols have gaps.",
        metadata={"gaps": table(found.to_dicts())},
    )


@dg.asset_check(asset=bars, blocking=True, description="Every stored bar is possible and unique.")
def bars_as_expected(store: dg.ResourceParam[TimeSeriesStore]) -> dg.AssetCheckResult:
    """Stop everything downstream if a bad bar was stored after all."""
    return _suite(_stored(store, Table.BARS), bars_expectations, _ERROR)


@dg.asset_check(asset=news, blocking=True, description="Every headline has words and a time.")
def news_as_expected(store: dg.ResourceParam[TimeSeriesStore]) -> dg.AssetCheckResult:
    """Stop everything downstream if a headline is malformed."""
    return _suite(_stored(store, Table.NEWS), news_expectations, _ERROR)


@dg.asset_check(asset=order_books, blocking=True, description="Stored books are possible.")
def order_books_as_expected(store: dg.ResourceParam[TimeSeriesStore]) -> dg.AssetCheckResult:
    """Stop everything downstream if a book that can't be was stored after all."""
    return _suite(_stored(store, Table.QUOTES), order_books_expectations, _ERROR)


@dg.asset_check(asset=portfolio_history, blocking=True, description="The portfolio's sums hold.")
def portfolio_as_expected(store: dg.ResourceParam[TimeSeriesStore]) -> dg.AssetCheckResult:
    """Stop what is built on rewards if the portfolio that earned them doesn't add up."""
    return _suite(_stored(store, Table.PORTFOLIO), portfolio_expectations, _ERROR)


@dg.asset_check(asset=features, blocking=True, description="Features lie in their ranges.")
def features_as_expected(store: dg.ResourceParam[TimeSeriesStore]) -> dg.AssetCheckResult:
    """Stop training on features that can't be."""
    return _suite(_stored(store, Table.FEATURES), features_expectations, _ERROR)


@dg.asset_check(
    asset=features,
    blocking=True,
    description="Features don't change when the future is cut off.",
)
def features_without_look_ahead(store: dg.ResourceParam[TimeSeriesStore]) -> dg.AssetCheckResult:
    """Recompute features on truncated data and compare with what is stored."""
    from agents.indicators import compute_frame  # noqa: PLC0415 - pandas by TA-Lib
    from evaluation.look_ahead import look_ahead  # noqa: PLC0415 - beside its use

    stored, known, told = (store.read(table) for table in (Table.FEATURES, Table.BARS, Table.NEWS))
    moments = stored["timestamp"].unique().sort() if stored.height else pl.Series([])
    cuts = moments.gather_every(max(1, len(moments) // _CUTS)).to_list()

    def compute(cut: datetime) -> pl.DataFrame:
        before = pl.col("timestamp") <= cut
        return compute_frame(known.filter(before), told.filter(before) if told.height else told)

    found = look_ahead(stored, compute, cuts)
    different = sum(found.different.values())
    named = f" ({', '.join(found.different)})" if found.different else ""
    return dg.AssetCheckResult(
        passed=found.passed,
        severity=_ERROR,
        description=f"{different} values of {found.rows} recomputed rows differ{named}; "
        f"{found.missing} rows are not there without the future.",
        metadata={
            "rows_recomputed": found.rows,
            "values_different": different,
            "rows_missing": found.missing,
        },
    )


def _stored(store: TimeSeriesStore, name: Table) -> pl.DataFrame:
    frame = store.read(name)
    return frame.with_columns(moment=pl.col("timestamp").cast(pl.String)) if frame.height else frame


def _suite(
    frame: pl.DataFrame,
    expectations: Callable[[Any], list[Any]],
    severity: dg.AssetCheckSeverity,
) -> dg.AssetCheckResult:
    if frame.is_empty():
        return dg.AssetCheckResult(passed=True, description="There are no rows yet.")
    found = findings(frame, expectations)
    broken = [finding for finding in found if not finding.met]
    return dg.AssetCheckResult(
        passed=not broken,
        severity=severity,
        description=f"{len(found) - len(broken)} of {len(found)} expectations are met.",
        metadata={
            "rows": frame.height,
            "expectations": table([finding._asdict() for finding in found]),
            FINDINGS: dg.MetadataValue.json([finding._asdict() for finding in found]),
        },
    )
