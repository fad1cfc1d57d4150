"""The demo's report in Chromium: no error, no request to anywhere."""

import pytest

pytestmark = pytest.mark.timeout(600)


def test_the_report_opens_offline(demo, browser):
    file = demo.home / "reports" / "demo.html"
    faults, requests = [], []
    page = browser.new_page()
    page.on("console", lambda m: faults.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_function(
        "document.querySelectorAll('.plot svg.main-svg').length >="
        " document.querySelectorAll('.chart').length"
    )
    assert page.get_by_text(demo.printed("Decision-log hash")[:12]).count() > 0
    page.close()
    assert requests == [file.as_uri()]
    assert faults == []
