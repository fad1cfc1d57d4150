"""The page in Chromium: no error, no request, tables that sort and filter, both colour schemes."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from evaluation.report import write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def file(plausible_run, tmp_path_factory):
    return write(plausible_run(days=60), tmp_path_factory.mktemp("report") / "report.html")


def _open(browser, file, **options):
    page = browser.new_page(**options)
    faults, requests = [], []
    page.on("console", lambda m: faults.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_function(
        "document.querySelectorAll('.plot svg.main-svg').length >="
        " document.querySelectorAll('.chart').length"
    )
    return page, faults, requests


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 1400), ("light", 390)])
def test_opens_without_an_error_or_a_request(browser, file, scheme, width):
    page, faults, requests = _open(
        browser, file, color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    assert faults == []
    assert requests == [file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.close()


def test_charts_follow_the_colour_scheme(browser, file):
    page, faults, _ = _open(browser, file, color_scheme="light")
    line = "#equity .scatterlayer .trace:nth-child(2) path.js-line"
    light = page.locator(line).first.evaluate("e => getComputedStyle(e).stroke")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "([line, light]) => getComputedStyle(document.querySelector(line)).stroke !== light",
        arg=[line, light],
    )
    assert faults == []
    page.close()


def _column(page, table, number):
    return page.locator(f"{table} tbody tr:visible td:nth-child({number})").evaluate_all(
        "cells => cells.map(cell => cell.dataset.value ?? cell.textContent)"
    )


def test_tables_sort_by_keyboard_and_absent_values_come_last(browser, file):
    page, faults, _ = _open(browser, file)
    head = page.locator("#decision-table th", has_text="P&L")
    head.get_by_role("button").focus()
    for direction in ("ascending", "descending"):
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == direction
        values = _column(page, "#decision-table", 11)
        present = [float(value) for value in values if value]
        assert present
        assert present == sorted(present, reverse=direction == "descending")
        assert not any(values[len(present) :])
    assert faults == []
    page.close()


def test_decisions_are_filtered_and_searched(browser, file):
    page, faults, _ = _open(browser, file)
    everything = len(_column(page, "#decision-table", 1))
    page.get_by_role("button", name="Executed", exact=True).click()
    assert set(_column(page, "#decision-table", 4)) == {"executed"}
    page.get_by_role("searchbox").fill("IBM buy")
    symbols = page.locator("#decision-table tbody tr:visible th").all_text_contents()
    assert set(symbols) == {"IBM"}
    assert page.locator("output").text_content() == f"{len(symbols)} of {everything} shown"
    assert faults == []
    page.close()


def test_a_run_in_which_nothing_happened_opens_too(browser, empty_run, tmp_path):
    page, faults, _ = _open(browser, write(empty_run, tmp_path / "empty.html"))
    assert faults == []
    page.close()
