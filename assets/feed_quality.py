"""Whether the sources are alive, on time and agree: checks of whole feeds, not of single rows.

They warn, but for two sources that contradict each other: then nobody knows which one is right.
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from adapters.market_data.folder import FolderMarketData
from adapters.market_data.own_tables import SECOND_SOURCE
from adapters.market_data.sessions import session_closes
from assets.ingestion import bars, news, order_books, raw_bars
from assets.metadata import table
from assets.quality.agreement import compare
from assets.quality.corporate_actions import actions
from assets.quality.feeds import (
    clock_offset,
    only_survivors,
    rows_of_last_session,
    sessions_behind,
    standing_still,
    without_trade,
)
from assets.quality.news import crowding
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import Settings

_MOST_LISTED = 50
_FINISHED = "The packaged sample is finished; your own data is held against the clock."


@dg.asset_check(asset=bars, blocking=True, description="The newest session has its bars.")
def bars_fresh(
    store: dg.ResourceParam[TimeSeriesStore], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Warn where a symbol's last bar is sessions behind the clock."""
    known, now = store.read(Table.BARS), datetime.now(UTC)
    if settings.data_folder is None or known.is_empty():
        return dg.AssetCheckResult(passed=True, description=_FINISHED)
    first = known["timestamp"].min()
    assert isinstance(first, datetime)  # noqa: S101 - polars types a minimum as anything
    sessions = session_closes(settings.quality.exchange, first.date(), now.date())
    behind = sessions_behind(known, sessions, now)
    late = behind.filter(pl.col("behind") > settings.quality.maximum_stale_sessions)
    return _warning(
        late.is_empty(),
        f"{late.height} of {behind.height} symbols are more than "
        f"{settings.quality.maximum_stale_sessions} sessions behind.",
        behind=_listed(late),
    )


@dg.asset_check(asset=bars, blocking=True, description="The last session has the usual rows.")
def bars_of_last_session(
    store: dg.ResourceParam[TimeSeriesStore], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Warn where the newest session has far fewer rows than usual."""
    found, usual = rows_of_last_session(store.read(Table.BARS))
    return _warning(
        found >= usual * settings.quality.minimum_volume_fraction,
        f"{found} rows in the newest session; {usual:g} are usual.",
        rows=dg.MetadataValue.int(found),
        usual=dg.MetadataValue.float(usual),
    )


@dg.asset_check(asset=bars, blocking=True, description="Prices move and are traded at.")
def bars_move(
    store: dg.ResourceParam[TimeSeriesStore], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Warn of runs of equal bars, of bars without volume, and of a source of survivors only."""
    known = store.read(Table.BARS)
    if known.is_empty():
        return _warning(True, "There are no rows yet.")  # noqa: FBT003
    still = standing_still(known, longest=settings.quality.maximum_stale_sessions)
    idle = without_trade(known).filter(pl.col("no_volume") > 0)
    survivors = only_survivors(known)
    told = f"{still.height} runs of equal bars, {idle['no_volume'].sum()} bars without volume" + (
        ", and no symbol ever ended: who failed is missing." if survivors else "."
    )
    passed = still.is_empty() and idle.is_empty() and not survivors
    return _warning(passed, told, runs=_listed(still), without_volume=_listed(idle))


@dg.asset_check(asset=bars, blocking=True, description="Dividends are dividends.")
def dividends_ordinary(
    store: dg.ResourceParam[TimeSeriesStore], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Warn of payments so large that they are spin-offs, or paid once."""
    limit = settings.quality.maximum_dividend
    known = store.read(Table.BARS)
    found = actions(known, largest_dividend=limit) if known.height else known
    if found.is_empty():
        return _warning(True, "Prices are not adjusted for anything.")  # noqa: FBT003
    counted = dict(found["kind"].value_counts().iter_rows())
    large = found.filter(pl.col("kind") == "extraordinary")
    return _warning(
        large.is_empty(),
        f"{counted.get('split', 0)} splits, {counted.get('dividend', 0)} dividends, "
        f"{large.height} payments of {limit:.0%} of the price or more: spin-offs, or paid once.",
        extraordinary=_listed(large),
    )


@dg.asset_check(asset=raw_bars, blocking=True, description="A second source tells the same.")
def sources_agree(
    raw_bars: pl.DataFrame, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Fail where the second source, if there is one, contradicts the first too often."""
    folder = settings.data_folder / SECOND_SOURCE if settings.data_folder else None
    if folder is None or not folder.is_dir():
        return _warning(True, f"There is no second source ({SECOND_SOURCE}/).")  # noqa: FBT003
    other = FolderMarketData(folder).read()
    day = pl.coalesce("date", pl.col("timestamp").dt.date())
    limits = settings.quality
    found = compare(
        raw_bars.with_columns(day=day),
        other.with_columns(day=day),
        on=("symbol", "day"),
        tolerance=limits.agreement_tolerance,
    )
    common, agreeing = int(found["common"].sum()), int(found["agreeing"].sum())
    share = agreeing / common if common else 0.0
    off = found.filter(pl.col("agreeing") < pl.col("common"))
    steady = off["ratio"].drop_nulls().len()
    return dg.AssetCheckResult(
        passed=share >= limits.minimum_agreement,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{share:.1%} of {common} common closes agree within "
        f"{limits.agreement_tolerance:.1%}; {off.height} symbols differ somewhere, {steady} of "
        "them by a steady ratio (adjusted differently).",
        metadata={"differing": _listed(off)},
    )


@dg.asset_check(asset=order_books, blocking=True, description="The recorder's clock is right.")
def clocks_agree(
    store: dg.ResourceParam[TimeSeriesStore], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Warn where the recorder's clock is off the exchange's (column ``exchange_time``)."""
    books = store.read(Table.QUOTES)
    if "exchange_time" not in books.columns:
        return _warning(True, "No book tells the exchange's time.")  # noqa: FBT003
    offset = clock_offset(books["timestamp"], books["exchange_time"])
    limit = settings.quality.maximum_clock_offset_seconds
    return _warning(
        offset is None or abs(offset) <= limit,
        f"Books were received {offset:+.3f} s after the exchange's time (median); {limit:g} s "
        "are allowed."
        if offset is not None
        else "No book tells the exchange's time.",
    )


@dg.asset_check(asset=news, blocking=True, description="Headlines are many voices.")
def headlines_varied(store: dg.ResourceParam[TimeSeriesStore]) -> dg.AssetCheckResult:
    """Warn where a fifth of the headlines repeat others."""
    found = store.read(Table.NEWS)
    crowd = crowding(found)
    share = crowd.repeated / found.height if found.height else 0.0
    return _warning(
        share < 0.2,
        f"{crowd.repeated} of {found.height} headlines repeat another's text"
        + (f"; {crowd.largest_share:.0%} are of {crowd.largest_symbol}." if found.height else "."),
    )


def _warning(passed: bool, told: str, **metadata: Any) -> dg.AssetCheckResult:  # noqa: ANN401, FBT001
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata=metadata,
    )


def _listed(rows: pl.DataFrame) -> dg.MetadataValue:
    return table(rows.head(_MOST_LISTED).to_dicts())
