"""Manual review at the command line, beside a running consensus."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from adapters.embedded import Endpoints
from adapters.persons import Persons
from domain.errors import Conflict
from domain.identity import derive_id
from domain.market import MarketData
from domain.settings import load_settings
from domain.streams import Stream
from orchestration.reviews.desk import Answer, ReviewDesk, at_desk
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


@pytest.fixture(scope="module")
def tokens(running: Desk) -> dict[str, str]:
    """Who works here: the builders' trades are worth 1,000."""
    persons = Persons(running.home)
    return {
        "ada": persons.add("ada"),
        "bob": persons.add("bob"),
        "new": persons.add("new", Decimal(999)),
    }


@pytest.fixture
def become(tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let another person give the commands that follow."""
    return lambda name: monkeypatch.setenv("QUORUM_REVIEW_TOKEN", tokens[name])


@pytest.fixture
def desk(
    running: Desk,
    become: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    become("ada")
    return at_the_command_line(running, monkeypatch, capsys)


@pytest.fixture
def decision(desk: Desk) -> str:
    """The id of a decision on which the agents disagreed."""
    decided = desk.propose(f"disputed {next(_names)}", DISAGREEMENT)
    desk.until(lambda: decided in waiting(desk))
    return decided


def waiting(desk: Desk) -> list[str]:
    return [each["decision"]["message_id"] for each in desk.asked("review", "list")]


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
    queue = desk.asked("review", "list")
    [queued] = [each for each in queue if each["decision"]["message_id"] == decision]
    assert queued["decision"]["proposal"]["reference_price"] == "100"
    assert len(queued["decision"]["counted"]) == 4
    assert queued["terms"]["deadline"] > queued["decision"]["occurred_at"]
    assert (queued["state"], queued["final"]) == ("waiting", None)
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
        "worth 1000 USD",
        "1 needed, at a price of 90 to 110",
        "none on the bus",
    ):
        assert told in shown


def test_an_approval_at_about_the_price_executes_and_is_given_once(
    desk: Desk, decision: str, become: Callable[[str], None]
):
    words = ("review", "approve", decision, "--reason", "I agree", "--price", "101")
    first = desk.asked(*words)
    assert (first["final"]["outcome"], first["final"]["reason"]) == ("EXECUTE", "approved")
    assert [v["actor"] for v in first["verdicts"]] == ["ada"]
    assert decision not in waiting(desk)
    assert desk.asked(*words) == first  # the same person says the same: so it is
    become("bob")
    late = desk.command("review", "reject", decision, "--reason", "I don't", code=1)
    assert "was answered before: EXECUTE (approved): approved by ada at" in late
    walk = desk.asked("explain", decision)
    assert [d["outcome"] for d in walk["decisions"]] == ["MANUAL_REVIEW", "EXECUTE"]
    assert [v["actor"] for v in walk["verdicts"]] == ["ada"]


def test_a_rejection_needs_no_price(desk: Desk, decision: str, become: Callable[[str], None]):
    told = desk.command("review", "reject", decision, "--reason", "the news")
    assert "REJECT (review_rejected): rejected by ada" in told
    assert "the news" in desk.command("review", "show", decision)
    become("bob")
    late = desk.command("review", "approve", decision, "--reason", "?", code=1)
    assert "answered before: REJECT (review_rejected): rejected by ada" in late


def test_a_price_that_moved_refuses(desk: Desk, decision: str):
    told = desk.command(
        "review", "approve", decision, "--reason", "I agree", "--price", "110.01", code=1
    )
    assert "REJECT (price_moved): approved by ada" in told
    assert "at a price of 110.01 (their own word)" in told


def test_who_looks_at_it_is_seen_and_waited_for(
    desk: Desk, decision: str, become: Callable[[str], None]
):
    assert "Yours until" in desk.command("review", "claim", decision)
    become("bob")
    assert "ada looks at it" in desk.command("review", "show", decision)
    for words in (("claim", decision), ("reject", decision, "--reason", "no")):
        told = desk.command("review", *words, code=1)
        assert f"ada looks at decision {decision} until" in told
    become("ada")
    assert desk.asked("review", "claim", decision)["actor"] == "ada"
    desk.command("review", "release", decision)
    become("bob")
    desk.command("review", "reject", decision, "--reason", "no")
    assert "answered before" in desk.command("review", "claim", decision, code=1)


def test_only_who_is_known_answers_and_only_up_to_a_limit(
    desk: Desk, decision: str, become: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
):
    words = ("review", "approve", decision, "--reason", "I agree", "--price", "100")
    monkeypatch.setenv("QUORUM_REVIEW_TOKEN", "quorum_guessed")
    told = desk.command(*words, code=9)
    assert "This token is not known here" in told
    assert "guessed" not in told
    monkeypatch.delenv("QUORUM_REVIEW_TOKEN")
    assert "No token says who you are" in desk.command(*words, code=9)
    become("new")
    assert "is worth 1000 USD; new may approve up to 999" in desk.command(*words, code=9)
    assert decision in waiting(desk)
    desk.command("review", "reject", decision, "--reason", "anybody may")


def test_persons_come_and_go(desk: Desk, decision: str, monkeypatch: pytest.MonkeyPatch):
    added = desk.asked("review", "add-person", "temp", "--limit", "5000")
    assert "temp" in desk.command("review", "persons")
    assert added["token"] not in desk.command("review", "persons", "--json")
    monkeypatch.setenv("QUORUM_REVIEW_TOKEN", added["token"])
    desk.command("review", "claim", decision)
    desk.command("review", "remove-person", "temp")
    desk.command("review", "claim", decision, code=9)


def test_what_would_steer_a_terminal_is_spelled_out(desk: Desk, decision: str):
    words = ("review", "reject", decision, "--reason")
    assert "U+001B" in desk.command(*words, "\x1b[2Jgone", code=2)
    assert "1 to 2000 characters" in desk.command(*words, "x" * 100_000, code=2)
    assert decision in waiting(desk)


def test_the_price_is_the_markets_while_it_is_fresh(desk: Desk):
    decision = desk.propose("on the market", DISAGREEMENT, symbol="MSFT")
    desk.until(lambda: decision in waiting(desk))
    words = ("review", "approve", decision, "--reason", "I agree")
    desk.publish(Stream.MARKET, bar("AAPL", 55))
    assert "No price of MSFT is on the bus" in desk.command(*words, code=1)
    desk.publish(Stream.MARKET, bar("MSFT", 99, days_ago=30))
    assert "too old to approve by" in desk.command(*words, code=1)
    assert decision in waiting(desk)
    desk.publish(Stream.MARKET, bar("MSFT", 104), bar("AAPL", 56))
    assert "104 (+4.00 %), of" in desk.command("review", "show", decision)
    told = desk.command(*words, "--price", "100", code=1)
    assert "The market's price of MSFT is 104" in told
    [verdict] = desk.asked(*words)["verdicts"]
    assert verdict["price_now"] == "104"
    assert verdict["price_observed_at"]


def test_of_fifty_who_approve_at_once_one_wins_and_the_others_learn_who(desk: Desk, decision: str):
    settings, persons = load_settings(), Persons(desk.home)
    people = [persons.authenticate(persons.add(f"p{number}")) for number in range(50)]
    yes = Answer(approved=True, reason="yes", price=Decimal(100))

    def approve(person) -> str:
        act = partial(
            ReviewDesk.answer,
            decision_id=decision,
            person=person,
            answer=yes,
            patience_seconds=60,
        )
        try:
            [verdict] = at_desk(settings, act).verdicts
        except Conflict as lost:
            return f"{lost.what.partition('approved by ')[2].split()[0]} was first"
        assert verdict.actor == person.name
        return verdict.actor

    with ThreadPoolExecutor(10) as commands:
        answers = list(commands.map(approve, people))
    [winner] = [answer for answer in answers if not answer.endswith("was first")]
    assert answers.count(f"{winner} was first") == 49
    assert [v["actor"] for v in desk.asked("explain", decision)["verdicts"]] == [winner]


def test_an_answer_that_is_not_heard_in_time_is_heard_later(desk: Desk, decision: str):
    with desk.paused():
        told = desk.command(
            *("review", "approve", decision, "--reason", "I agree", "--price", "100"),
            *("--wait", "0.2"),
            code=4,
        )
        assert "did not answer within 0.2 s" in told
        assert "Your answer is on the bus" in told
    desk.until(lambda: desk.asked("review", "show", decision)["final"])
    [verdict] = desk.asked("review", "show", decision)["verdicts"]
    assert verdict["actor"] == "ada"


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
    token = Persons(tmp_path).add("ada")
    monkeypatch.setenv("QUORUM_REVIEW_TOKEN", token)
    monkeypatch.setenv("QUORUM_HOME", str(tmp_path))
    told = desk.command("review", "reject", decision, "--reason", "no", code=4)
    assert "The consensus does not run in" in told
    assert "quorum up" in told
    assert decision in waiting(desk)
