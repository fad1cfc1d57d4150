"""Manual review at the command line, beside a running consensus."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest

from adapters.embedded import Endpoints
from domain.identity import derive_id
from domain.market import MarketData
from domain.settings import load_settings
from domain.streams import Stream
from domain.voting import Outcome
from orchestration.reviews import Answer, answer_review
from tests.builders import AGENTS
from tests.orchestration.desk import Desk, at_the_command_line, running_desk

DISAGREEMENT = (100, 60, 80, 80)
_names = count(1)


@pytest.fixture(scope="module")
def running(
    servers: Endpoints, new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    home: Path = tmp_path_factory.mktemp("review") / "home"
    with running_desk(servers, new_database(), home) as desk:
        yield desk


@pytest.fixture
def desk(
    running: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return at_the_command_line(running, monkeypatch, capsys)


@pytest.fixture
def decision(desk: Desk) -> str:
    """The id of a decision on which the agents disagreed."""
    decided = desk.propose(f"disputed {next(_names)}", DISAGREEMENT)
    desk.until(lambda: decided in waiting(desk))
    return decided


def waiting(desk: Desk) -> list[str]:
    return [each["decision_id"] for each in desk.asked("review", "list")]


def bar(symbol: str, price: int, *, days_ago: int = 0) -> MarketData:
    seen = datetime.now(UTC) - timedelta(days=days_ago)
    identity = derive_id("bar", symbol, seen.isoformat())
    return MarketData(
        message_id=identity,
        correlation_id=identity,
        occurred_at=seen,
        symbol=symbol,
        observed_at=seen,
        price=Decimal(price),
        volume=Decimal(1000),
    )


def test_the_queue_tells_what_a_reviewer_must_know(desk: Desk, decision: str):
    [queued] = [each for each in desk.asked("review", "list") if each["decision_id"] == decision]
    assert queued["decision"]["proposal"]["reference_price"] == "100"
    assert len(queued["decision"]["counted"]) == 4
    assert queued["deadline"] > queued["decision"]["occurred_at"]
    assert queued["final"] is None
    assert decision in desk.command("review", "list")
    shown = desk.command("review", "show", decision)
    for told in (
        *AGENTS,
        "measured",
        "the trend is up",
        "disagreement",
        "deadline",
        "none yet",
        "no measures",
    ):
        assert told in shown


def test_an_approval_at_about_the_price_executes_and_is_given_once(desk: Desk, decision: str):
    words = ("review", "approve", decision, "--reason", "I agree", "--price", "101")
    first = desk.asked(*words)
    assert (first["end"], first["answered_by"]) == (
        {"outcome": "EXECUTE", "reason": "approved"},
        "ada",
    )
    assert first["by_this_call"]
    assert decision not in waiting(desk)
    again = desk.asked(*words)  # the same person says the same: so it is
    assert (again["by_this_call"], again["verdict"]) == (False, first["verdict"])
    late = desk.command(
        "review", "reject", decision, "--reason", "I don't", "--actor", "bob", code=1
    )
    assert "EXECUTE (approved): approved by ada at" in late
    walk = desk.asked("explain", decision)
    assert [d["outcome"] for d in walk["decisions"]] == ["MANUAL_REVIEW", "EXECUTE"]
    assert [v["actor"] for v in walk["verdicts"]] == ["ada"]


def test_a_rejection_needs_no_price(desk: Desk, decision: str):
    told = desk.command("review", "reject", decision, "--reason", "the news", "--actor", "bob")
    assert "REJECT (review_rejected): rejected by bob" in told
    assert "the news" in desk.command("review", "show", decision)
    assert desk.command("review", "approve", decision, "--reason", "?", code=1).startswith(
        "Answered before: REJECT"
    )


def test_a_price_that_moved_refuses(desk: Desk, decision: str):
    told = desk.command(
        "review", "approve", decision, "--reason", "I agree", "--price", "110.01", code=1
    )
    assert "REJECT (price_moved): approved by ada" in told
    assert "at a price of 110.01 (then 100)" in told


def test_the_price_is_the_last_one_on_the_bus_if_it_is_fresh(desk: Desk, decision: str):
    words = ("review", "approve", decision, "--reason", "I agree")
    desk.publish(Stream.MARKET, bar("AAPL", 55))
    assert "No price of IBM is on the bus" in desk.command(*words, code=2)
    desk.publish(Stream.MARKET, bar("IBM", 99, days_ago=30))
    assert "too old to approve by" in desk.command(*words, code=2)
    assert decision in waiting(desk)
    desk.publish(Stream.MARKET, bar("IBM", 104), bar("AAPL", 56))
    assert desk.asked(*words)["verdict"]["price_now"] == "104"


def test_of_fifty_who_approve_at_once_one_wins_and_the_others_learn_who(desk: Desk, decision: str):
    settings = load_settings()

    def approve(number: int):
        answer = Answer(approved=True, actor=f"p{number}", reason="yes", price=Decimal(100))
        return answer_review(settings, decision, answer, patience_seconds=60)

    with ThreadPoolExecutor(10) as people:
        answers = list(people.map(approve, range(50)))
    winners = {a.review.verdict.actor for a in answers if a.review.verdict}
    assert len(winners) == 1
    assert [a.by_this_call for a in answers].count(True) == 1
    assert {a.review.final.outcome for a in answers if a.review.final} == {Outcome.EXECUTE}
    assert len(desk.asked("explain", decision)["verdicts"]) == 1


def test_an_answer_that_is_not_heard_in_time_is_heard_later(desk: Desk, decision: str):
    with desk.paused():
        told = desk.command(
            *("review", "approve", decision, "--reason", "I agree", "--price", "100"),
            *("--wait", "0.2"),
            code=4,
        )
        assert "did not answer within 0.2 s" in told
        assert "Your answer is on the bus" in told
    desk.until(lambda: desk.asked("review", "show", decision)["end"])
    assert desk.asked("review", "show", decision)["answered_by"] == "ada"


def test_what_no_person_was_asked_can_not_be_answered(desk: Desk):
    decided = desk.propose("agreed", (80, 80, 80, 80))
    desk.until(lambda: decided in [d["decision_id"] for d in desk.asked("decisions")])
    words = ("--reason", "I agree", "--price", "100")
    told = desk.command("review", "approve", decided, *words, code=2)
    assert "was not sent to a person: EXECUTE (consensus)" in told
    assert "No decision on record" in desk.command("review", "approve", "x", *words, code=2)


def test_without_a_running_platform_nothing_is_answered(
    desk: Desk, decision: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("QUORUM_HOME", str(tmp_path))
    told = desk.command("review", "reject", decision, "--reason", "no", code=4)
    assert "The consensus does not run in" in told
    assert "quorum up" in told
    assert decision in waiting(desk)
