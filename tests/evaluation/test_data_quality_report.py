"""The data-quality page and its history: what they say, and that they open offline."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import sync_playwright

from evaluation.asset_health import AssetFacts, Health, health_of, write_health
from evaluation.data_quality_report import (
    Expectation,
    Kept,
    Outcome,
    QualityCheck,
    QualityReport,
    Quarantined,
    read_reports,
    render_report,
    write_report,
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NOW = datetime(2026, 11, 23, 20, tzinfo=UTC)


def report(run: str = "0123456789", *outcomes: Outcome) -> QualityReport:
    broken = Expectation(
        expectation="expect_column_values_to_be_between", column="low", met=False, unexpected=3,
        examples="[-1.0]",
    )  # fmt: skip
    checks = tuple(
        QualityCheck(
            asset="bars", name=f"check_{n}", outcome=outcome, sentence="<b>3 & 4</b>",
            expectations=(broken,) if n == 0 else (),
        )
        for n, outcome in enumerate(outcomes or (Outcome.WARNED, Outcome.PASSED))
    )  # fmt: skip
    return QualityReport(
        run_id=run,
        started_at=NOW,
        checks=checks,
        quarantined=(
            Quarantined(dataset="bars", reason="high_below_low", rows=1234, example="IBM.csv:7"),
        ),
        tables=(Kept(table="bars", rows=5, symbols=1, first="2012", last="2012", version="f"),),
    )


@pytest.mark.parametrize(
    ("outcomes", "headline"),
    [
        ((Outcome.PASSED, Outcome.PASSED), "The data passed all 2 checks"),
        ((Outcome.PASSED, Outcome.WARNED), "The data may be used; 1 of 2 checks warn"),
        (
            (Outcome.FAILED, Outcome.WARNED),
            "The data failed 1 of 2 checks; nothing",
        ),
    ],
)
def test_the_headline_says_whether_the_data_may_be_used(outcomes, headline):
    assert f"<h1>{headline}" in render_report(report("r", *outcomes))


def test_what_stood_in_the_data_is_shown_as_text_not_run():
    page = render_report(report())
    assert "&lt;b&gt;3 &amp; 4&lt;/b&gt;" in page
    assert "1,234" in page


def test_equal_reports_give_equal_bytes():
    assert render_report(report()) == render_report(report())


def test_the_history_lists_every_run_newest_first_and_links_to_it(tmp_path):
    first = report("aaaaaaaa1")
    second = QualityReport(run_id="bbbbbbbb2", started_at=NOW + timedelta(1), checks=first.checks)
    for each in (first, second):
        write_report(each, tmp_path)
    history = (tmp_path / "index.html").read_text()
    assert history.index(f"{second.name}.html") < history.index(f"{first.name}.html")
    assert read_reports(tmp_path) == [first, second]


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_pages_open_without_an_error_or_a_request(tmp_path):
    page_path = write_report(report(), tmp_path)
    health = health_of(AssetFacts(asset="bars", group="ingestion", materialized_at=NOW), NOW)
    health_path = write_health([health], NOW, tmp_path / "health.html")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for path, width in ((page_path, 1300), (page_path, 390), (health_path, 390)):
            page = chromium.new_page(viewport={"width": width, "height": 800})
            faults, requests = [], []
            page.on("console", lambda m, seen=faults: seen.append(m.text))
            page.on("pageerror", lambda e, seen=faults: seen.append(str(e)))
            page.on("request", lambda r, seen=requests: seen.append(r.url))
            page.goto(path.as_uri())
            assert (faults, requests) == ([], [path.as_uri()])
            assert page.evaluate("document.documentElement.scrollWidth") == width
            page.close()
        chromium.close()


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("facts", "health"),
    [
        ({}, Health.UNKNOWN),
        ({"materialized_at": NOW}, Health.HEALTHY),
        ({"materialized_at": NOW - 9 * DAY}, Health.HEALTHY),
        ({"materialized_at": NOW - 4 * DAY, "due_after": 4 * DAY}, Health.HEALTHY),
        ({"materialized_at": NOW - 5 * DAY, "due_after": 4 * DAY}, Health.WARNING),
        ({"materialized_at": NOW - 9 * DAY, "due_after": 4 * DAY}, Health.DEGRADED),
        ({"materialized_at": NOW, "warned_checks": ("c",)}, Health.WARNING),
        ({"materialized_at": NOW, "failed_checks": ("c",)}, Health.DEGRADED),
        (
            {"materialized_at": NOW, "warned_checks": ("c",), "failed_checks": ("d",)},
            Health.DEGRADED,
        ),
        ({"failed_at": NOW}, Health.DEGRADED),
        ({"materialized_at": NOW, "failed_at": NOW - DAY}, Health.HEALTHY),
        ({"materialized_at": NOW - DAY, "failed_at": NOW}, Health.DEGRADED),
    ],
)
def test_health_is_the_worst_that_is_known(facts, health):
    assert health_of(AssetFacts(asset="a", group="g", **facts), NOW).health is health


def test_the_worst_comes_first(tmp_path):
    healthy = health_of(AssetFacts(asset="aa", group="g", materialized_at=NOW), NOW)
    degraded = health_of(AssetFacts(asset="zz", group="g", failed_at=NOW), NOW)
    page = write_health([healthy, degraded], NOW, tmp_path / "h.html").read_text()
    assert page.index(">zz<") < page.index(">aa<")
    assert "1 of 2 assets are healthy" in page
