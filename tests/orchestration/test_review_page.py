"""The desk's page in Chromium, beside a running consensus: read, claimed and answered by keys."""

import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from adapters.embedded import Endpoints
from adapters.persons import Persons
from domain.identity import derive_id
from domain.market import MarketData
from domain.streams import Stream
from tests.orchestration.desk import Desk, running_desk, serving_desk
from tests.orchestration.test_review import DISAGREEMENT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

HOSTILE = (
    "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    "\"'><svg onload=alert(1)> {{7*7}} ${7*7} \u202eesrever"
)
_names = count(1)


@pytest.fixture(scope="module")
def running(
    servers: Endpoints, new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Desk, str, dict[str, str]]]:
    home: Path = tmp_path_factory.mktemp("review-page") / "home"
    with running_desk(servers, new_database(), home) as desk:
        persons = Persons(home)
        tokens = {"ada": persons.add("ada"), "cleo": persons.add("cleo", Decimal(999))}
        moment = datetime.now(UTC)
        bar = MarketData(
            message_id=derive_id("bar", 1),
            correlation_id=derive_id("bar", 1),
            occurred_at=moment,
            symbol="IBM",
            observed_at=moment,
            price=Decimal("101.5"),
            volume=Decimal(1),
        )
        desk.publish(Stream.MARKET, bar)
        with serving_desk(desk) as url:
            yield desk, url, tokens


@pytest.fixture(scope="module")
def browser(running) -> Iterator[Browser]:
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Screen:
    """A tab at the desk, and all that went wrong in it."""

    def __init__(self, browser: Browser, running: tuple[Desk, str, dict[str, str]]) -> None:
        self.desk, self.url, self.tokens = running
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", lambda m: self.faults.append(m.text) if m.type != "log" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self._requested)

    def _requested(self, request) -> None:
        if not request.url.startswith((self.url, "data:")):
            self.elsewhere.append(request.url)

    def sign_in(self, name: str) -> None:
        self.page.goto(self.url)
        self.page.get_by_label("Your token").fill(self.tokens[name])
        self.page.keyboard.press("Enter")
        expect(self.page.locator("#who")).to_contain_text(name)

    def dispute(self, **rest) -> str:
        name = f"page {next(_names)}"
        with ThreadPoolExecutor(1) as elsewhere:  # playwright's loop runs in this thread
            return elsewhere.submit(self.desk.propose, name, DISAGREEMENT, **rest).result()

    def open(self, decision: str) -> None:
        self.page.locator(f'[data-decision="{decision}"]').click()
        expect(self.page.locator("#detail code")).to_have_text(decision)

    def told(self) -> str:
        return self.page.locator("#told").inner_text()


@pytest.fixture
def screen(browser: Browser, running) -> Iterator[Screen]:
    found = Screen(browser, running)
    yield found
    found.context.close()
    assert found.elsewhere == []
    # Chromium itself says so of every answer that is an error.
    assert [f for f in found.faults if not f.startswith("Failed to load resource")] == []


def test_a_decision_is_read_claimed_and_approved_by_keys(screen: Screen):
    decision = screen.dispute()
    screen.sign_in("ada")
    screen.open(decision)
    page, detail = screen.page, screen.page.locator("#detail")
    expect(page.locator(".vote")).to_have_count(4)
    for said in (
        "BUY 10 IBM",
        "1,000 USD",
        "disagreement",
        "101.5 (+1.50\u00a0%)",
        "0 of 1",
        "left",
    ):
        expect(detail).to_contain_text(said)
    queued = page.locator(f'[data-decision="{decision}"]')
    expect(queued).to_contain_text(re.compile(r"\d+ s old"))
    expect(queued).to_contain_text("min left")
    page.keyboard.press("c")
    expect(detail).to_contain_text("you look at it")
    page.keyboard.press("a")
    page.keyboard.type("Earnings explain the spread; rejected it is not.")  # letters, not commands
    page.keyboard.press("Control+Enter")
    expect(page.locator("#told")).to_contain_text("BUY 10 IBM: EXECUTE (approved), on record.")
    expect(detail).to_contain_text("Approved by ada")
    expect(page.locator(f'[data-decision="{decision}"]')).to_have_count(0)


def test_a_rationale_is_text_whatever_it_says(screen: Screen):
    decision = screen.dispute(rationale=HOSTILE)
    screen.sign_in("ada")
    screen.open(decision)
    expect(screen.page.locator(".vote .says").first).to_have_text(HOSTILE)
    assert screen.page.title() == "Review desk · Quorum"
    assert screen.page.locator("#detail script, #detail img, #detail svg").count() == 0
    screen.page.keyboard.press("r")
    screen.page.keyboard.type(HOSTILE.replace("\u202e", ""))
    screen.page.get_by_role("button", name="Reject", exact=True).click()
    expect(screen.page.locator("#detail")).to_contain_text("Rejected by ada")
    expect(screen.page.locator("#detail .history")).to_contain_text("<script>")
    assert screen.page.title() == "Review desk · Quorum"


def test_nothing_runs_that_was_not_delivered_with_the_page(screen: Screen):
    policy = httpx.get(screen.url).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    screen.page.goto(screen.url)
    with pytest.raises(Error, match="TrustedScript"):
        screen.page.evaluate("document.body.setAttribute('onclick', 'document.title = 1')")
    with pytest.raises(Error, match="TrustedHTML"):
        screen.page.evaluate("document.body.innerHTML = '<p>markup</p>'")
    with pytest.raises(Error, match="Failed to fetch"):
        screen.page.evaluate("fetch('http://127.0.0.1:9/')")
    assert all("document requires" in f or "Security Policy" in f for f in screen.faults)
    screen.faults.clear()
    screen.elsewhere.clear()
    assert not re.search(r"\son\w+\s*=", httpx.get(screen.url).text.split("<script>")[0])


def test_who_may_not_is_told_why_and_loses_no_words(screen: Screen):
    decision = screen.dispute()
    screen.sign_in("cleo")
    expect(screen.page.locator("#who")).to_contain_text("approves up to 999")
    screen.open(decision)
    screen.page.keyboard.press("a")
    screen.page.keyboard.type("I agree")
    screen.page.keyboard.press("Control+Enter")
    expect(screen.page.get_by_role("alert")).to_contain_text("cleo may approve up to 999")
    expect(screen.page.locator("#reason")).to_have_value("I agree")
    screen.page.keyboard.press("Escape")
    expect(screen.page.locator("#answer")).to_be_hidden()


def test_a_claim_of_another_is_seen_and_holds_one_off(screen: Screen):
    decision = screen.dispute()
    claimed = httpx.put(
        f"{screen.url}/reviews/{decision}/claim",
        headers={"authorization": f"Bearer {screen.tokens['cleo']}"},
    )
    while claimed.status_code == 404:  # decided in a moment
        claimed = httpx.put(str(claimed.url), headers=claimed.request.headers)
    screen.sign_in("ada")
    screen.open(decision)
    expect(screen.page.locator("#detail")).to_contain_text("cleo looks at it")
    expect(screen.page.locator("#approve")).to_be_disabled()
    screen.page.keyboard.press("a")
    expect(screen.page.locator("#answer")).to_be_hidden()


def test_a_wrong_token_is_refused_and_signing_out_forgets_the_right_one(screen: Screen):
    screen.page.goto(screen.url)
    screen.page.get_by_label("Your token").fill("quorum_guessed")
    screen.page.keyboard.press("Enter")
    expect(screen.page.get_by_role("alert")).to_contain_text("This token is not known here.")
    screen.sign_in("ada")
    screen.page.reload()
    expect(screen.page.locator("#who")).to_contain_text("ada")
    screen.page.get_by_role("button", name="Sign out").click()
    screen.page.reload()
    expect(screen.page.locator("#sign-in")).to_be_visible()
    expect(screen.page.locator("#desk")).to_be_hidden()
