"""Wrong data in, the right check, page, quarantine and health out, through the real graph."""

import shutil
from datetime import UTC, date, datetime

import dagster as dg
import polars as pl
import pytest

from adapters.market_data.folder import RAW_SCHEMA
from adapters.time_series import open_time_series
from assets import data_quality, feed_quality
from assets.asset_health import health_of_all
from assets.quality_report import report_failed_run, report_folder
from assets.sample import sample_folder
from domain.ports.time_series import Table
from domain.settings import QualitySettings, Settings
from evaluation.asset_health import Health
from evaluation.data_quality_report import Outcome, read_reports
from orchestration.definitions import definitions
from orchestration.pipeline import dagster_instance
from orchestration.resources import entries

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
RANGE = {
    "dagster/asset_partition_range_start": "2011-01-01",
    "dagster/asset_partition_range_end": "2011-12-01",
}


def one_year(symbol: str) -> pl.DataFrame:
    bars = pl.read_parquet(sample_folder() / "wiki_ohlcv_2000_2013.parquet")
    year = pl.col("date").is_between(date(2011, 1, 1), date(2011, 12, 31))
    return bars.filter(year & (pl.col("symbol").cast(pl.String) == symbol))


@pytest.fixture
def settings(tmp_path):
    folder = tmp_path / "data"
    (folder / "news").mkdir(parents=True)
    (folder / "order_books").mkdir()
    one_year("IBM").write_csv(folder / "IBM.csv")
    split = pl.col("date") < date(2011, 6, 1)
    prices = ("open", "high", "low", "close", "adj_close")
    one_year("AAPL").with_columns(
        pl.when(split).then(pl.col(name) * 4).otherwise(name).alias(name) for name in prices
    ).write_csv(folder / "AAPL.csv")
    noon = datetime(2011, 6, 1, 16, tzinfo=UTC)
    pl.DataFrame(
        {"symbol": ["IBM", None], "timestamp": [noon, noon], "headline": ["IBM rises", "None"]}
    ).write_parquet(folder / "news" / "wire.parquet")
    side = {"bid_sz_0": [1.0, 1.0], "ask_sz_0": [1.0, 1.0], "ask_px_0": [10.1, 10.1]}
    pl.DataFrame(
        {"symbol": ["IBM"] * 2, "timestamp": [noon, noon.replace(hour=17)],
         "exchange_time": [noon.replace(second=2)] * 2, "bid_px_0": [10.0, 10.2], **side}
    ).write_parquet(folder / "order_books" / "books.parquet")  # fmt: skip
    quality = QualitySettings(maximum_quarantined_fraction=0.5)
    return Settings(home=tmp_path / "home", data_folder=folder, quality=quality)


def run(settings: Settings, *, raise_on_error: bool = True):
    job = definitions(settings).resolve_job_def("market_data")
    with dagster_instance(settings) as instance:
        return job.execute_in_process(
            instance=instance, tags=RANGE, run_config=QUIET, raise_on_error=raise_on_error
        )


def test_defects_of_all_sources_go_to_quarantine_with_reasons_and_onto_the_page(settings):
    result = run(settings)
    store = open_time_series(settings)
    rows = store.read(Table.QUARANTINE)
    counts = {(d, r): n for d, r, n in rows.group_by("dataset", "reason").len().iter_rows()}
    before_june = one_year("AAPL").filter(pl.col("date") < date(2011, 6, 1)).height
    assert counts == {
        ("bars", "before_unadjusted_split"): before_june,
        ("news", "missing_value"): 1,
        ("order_books", "crossed_book"): 1,
    }
    assert store.read(Table.NEWS)["headline"].to_list() == ["IBM rises"]
    assert store.read(Table.QUOTES)["bid_px_0"].to_list() == [10.0]
    (report,) = read_reports(report_folder(settings))
    assert report.run_id == result.run_id
    found = {check.name: check.outcome for check in report.checks}
    assert found["rows_accepted"] is Outcome.WARNED
    assert found["clocks_agree"] is Outcome.WARNED
    assert found["bars_as_expected"] is Outcome.PASSED
    assert len(found) == 15
    (made,) = result.asset_materializations_for_node("data_quality_report")
    assert made.metadata["report"].value.endswith(f"{report.name}.html")
    with dagster_instance(settings) as instance:
        health = health_of_all(instance, entries(), settings, datetime.now(UTC))
    by_name = {each.facts.asset: each.health for each in health}
    assert by_name["raw_bars"] is Health.HEALTHY
    assert by_name["order_books"] is Health.WARNING
    assert by_name["execution/promotion"] is Health.UNKNOWN


def test_a_second_source_that_contradicts_stops_the_run_and_the_page_is_there(settings):
    folder = settings.data_folder / "second_source"
    folder.mkdir()
    one_year("IBM").with_columns(pl.col("close") * 1.3).write_csv(folder / "IBM.csv")
    result = run(settings, raise_on_error=False)
    assert not result.success
    assert open_time_series(settings).version(Table.BARS) == ""
    with dagster_instance(settings) as instance:
        path = report_failed_run(instance, result.run_id, open_time_series(settings), settings)
        health = health_of_all(instance, entries(), settings, datetime.now(UTC))
    assert "sources agree" in path.read_text()
    (report,) = read_reports(report_folder(settings))
    assert report.outcome is Outcome.FAILED
    assert next(h for h in health if h.facts.asset == "raw_bars").health is Health.DEGRADED
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("check", "table", "change"),
    [
        ("bars_as_expected", Table.BARS, {"high": 1.0}),
        ("news_as_expected", Table.NEWS, {"headline": "x"}),
        ("order_books_as_expected", Table.QUOTES, {"bid_px_0": 11.0}),
        ("portfolio_as_expected", Table.PORTFOLIO, {"difference": 0.5}),
        ("features_as_expected", Table.FEATURES, {"rsi_14": 3.0}),
    ],
)
def test_a_wrong_row_that_was_stored_after_all_stops_what_follows(settings, check, table, change):
    store = open_time_series(settings)
    store.write(table, stored(table).with_columns(pl.lit(v).alias(n) for n, v in change.items()))
    found = getattr(data_quality, check)(store=store)
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.ERROR
    clean = open_time_series(settings.model_copy(update={"home": settings.home / "clean"}))
    clean.write(table, stored(table))
    assert getattr(data_quality, check)(store=clean).passed


def stored(table: Table) -> pl.DataFrame:
    """Return one good row."""
    values = {
        Table.BARS: {"open": 5.0, "high": 6.0, "low": 4.0, "close": 5.0, "volume": 1.0},
        Table.NEWS: {"headline": "IBM rises", "source": "wire"},
        Table.QUOTES: {"bid_px_0": 1.0, "bid_sz_0": 1.0, "ask_px_0": 2.0, "ask_sz_0": 1.0},
        Table.FEATURES: {"rsi_14": 0.1, "sentiment": 0.0},
        Table.PORTFOLIO: {
            "message_id": "m", "cash": 1.0, "reserved": 0.0, "equity": 1.0, "difference": 0.0,
        },
    }[table]  # fmt: skip
    moment = pl.Series([datetime(2011, 6, 1, 20, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame(
        {"symbol": ["IBM"], "timestamp": moment, **{n: [v] for n, v in values.items()}}
    )


def test_checks_are_content_with_nothing(settings):
    store = open_time_series(settings)
    assert feed_quality.bars_move(store=store, settings=settings).passed
    assert feed_quality.dividends_ordinary(store=store, settings=settings).passed
    assert feed_quality.clocks_agree(store=store, settings=settings).passed
    assert feed_quality.headlines_varied(store=store).passed
    empty = pl.DataFrame(schema=RAW_SCHEMA)
    assert feed_quality.sources_agree(raw_bars=empty, settings=settings).passed
