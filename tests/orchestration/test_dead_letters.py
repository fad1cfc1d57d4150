"""Dead letters at the command line, beside a running consensus."""

import asyncio
import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from adapters.embedded import Endpoints
from adapters.ledger import PostgresLedger
from adapters.ledger.dead_letters import DeadLetters
from domain.errors import EnvironmentProblem
from domain.messages import encode
from domain.ports.ledger import Commit, DeadLetter, LetterAction, Log
from domain.settings import load_settings
from domain.streams import Stream
from orchestration.dead_letters import redrive
from tests.builders import proposal, votes
from tests.orchestration.desk import Desk, at_the_command_line, running_desk

NOT_A_MESSAGE = b"\xff\x00 [red]neither JSON nor UTF-8"
_positions = count(1)


@pytest.fixture(scope="module")
def running(
    servers: Endpoints, new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    home: Path = tmp_path_factory.mktemp("dead-letters") / "home"
    with running_desk(servers, new_database(), home) as desk:
        yield desk


@pytest.fixture
def desk(
    running: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return at_the_command_line(running, monkeypatch, capsys)


def on_stream(desk: Desk, stream: Stream = Stream.VOTES) -> list[bytes]:
    return [d.data for d in desk.on_bus(lambda bus: bus.read(stream, 0, limit=10_000))]


def bury(desk: Desk, *letters: bytes, stream: Stream = Stream.NEWS) -> list[int]:
    """Record letters whose consumer is not here; returns their numbers."""

    async def commit() -> None:
        ledger = PostgresLedger(desk.environment["QUORUM_LEDGER_URL"])
        lease = await ledger.acquire(Log.ORDERS, 0)
        dead = tuple(
            DeadLetter(
                stream=stream,
                partition=0,
                position=f"{next(_positions)}-0",
                reason="the handler was at fault",
                attempts=3,
                data=data,
                trace="Traceback: …",
            )
            for data in letters
        )
        await ledger.commit(lease, Commit(expected_sequence=0, dead_letters=dead))
        await ledger.close()

    asyncio.run(commit())
    return [each["number"] for each in desk.asked("dead-letters", "list")][-len(letters) :]


def test_what_can_not_be_read_is_listed_and_shown_as_it_came(desk: Desk):
    desk.on_bus(lambda bus: bus.publish_raw(Stream.VOTES, 0, NOT_A_MESSAGE))
    [letter] = desk.until(lambda: desk.asked("dead-letters", "list", "--stream", "votes"))
    assert (letter["stream"], letter["attempts"], letter["log"]) == ("votes", 1, "decisions")
    assert letter["encoding"] == "base64"
    assert base64.b64decode(letter["data"]) == NOT_A_MESSAGE
    number = str(letter["number"])
    shown = desk.command("dead-letters", "show", number)
    assert letter["reason"] in shown
    assert letter["data"] in shown
    assert "none yet" in shown
    told = desk.command("dead-letters", "redrive", number, "--reason", "try again")
    assert f"{number}: redriven by ada" in told
    assert "behind what came since" in told
    again = desk.until(lambda: desk.asked("dead-letters", "list", "--stream", "votes"))
    assert [each["data"] for each in again] == [letter["data"]]  # it is still not a message
    assert again[0]["number"] != letter["number"]
    desk.command("dead-letters", "discard", str(again[0]["number"]), "--reason", "a probe")
    assert desk.asked("dead-letters", "list", "--stream", "votes") == []
    kept = desk.asked("dead-letters", "list", "--stream", "votes", "--all")
    assert [(e["answer"]["action"], e["answer"]["reason"]) for e in kept] == [
        ("redriven", "try again"),
        ("discarded", "a probe"),
    ]


def test_a_redriven_vote_is_counted_once(desk: Desk):
    now = datetime.now(UTC)
    *cast, missing = [replace(vote, occurred_at=now) for vote in votes("redriven")]
    desk.publish(Stream.PROPOSALS, replace(proposal("redriven"), occurred_at=now))
    desk.publish(Stream.VOTES, *cast)
    [number] = bury(desk, desk.sealed(missing), stream=Stream.VOTES)
    assert desk.asked("decisions") == []
    [first] = desk.asked("dead-letters", "redrive", str(number))
    assert (first["by_this_call"], first["answer"]["actor"]) == (True, "ada")
    [decision] = desk.until(lambda: desk.asked("decisions"))
    assert (decision["outcome"], decision["participation"]) == ("EXECUTE", 4)
    [second] = desk.asked("dead-letters", "redrive", str(number), "--actor", "bob")
    assert (second["by_this_call"], second["answer"]) == (False, first["answer"])
    assert on_stream(desk).count(desk.sealed(missing)) == 1
    told = desk.command("dead-letters", "redrive", str(number))
    assert "redriven by ada" in told
    assert "nothing was done now" in told


def test_of_many_who_redrive_at_once_one_does(desk: Desk):
    [number] = bury(desk, b"once")
    settings = load_settings()
    with ThreadPoolExecutor(8) as people:
        handled = list(people.map(lambda n: redrive(settings, [number], actor=f"p{n}"), range(8)))
    assert [done for [(_, done)] in handled].count(True) == 1
    assert len({stored.answer.actor for [(stored, _)] in handled if stored.answer}) == 1
    assert on_stream(desk, Stream.NEWS).count(b"once") == 1


def test_several_keep_their_order(desk: Desk):
    numbers = bury(desk, b"first", b"second", b"third")
    desk.command("dead-letters", "redrive", *map(str, reversed(numbers)))
    assert on_stream(desk, Stream.NEWS)[-3:] == [b"first", b"second", b"third"]


def test_a_letter_does_not_overtake_an_earlier_one_of_its_symbol(desk: Desk):
    ibm, ko, unreadable, later = bury(
        desk, b'{"symbol":"IBM","n":1}', b'{"symbol":"KO"}', b"IBM", b'{"symbol":"IBM","n":2}'
    )
    told = desk.command("dead-letters", "redrive", str(later), code=2)
    assert f"Dead letter {ibm} of IBM came before {later} and waits" in told
    assert desk.asked("dead-letters", "show", str(later))["answer"] is None
    desk.command("dead-letters", "redrive", str(ko), str(unreadable))
    desk.command("dead-letters", "redrive", str(later), str(ibm))
    assert on_stream(desk, Stream.NEWS)[-2:] == [
        b'{"symbol":"IBM","n":1}',
        b'{"symbol":"IBM","n":2}',
    ]


def test_after_the_earlier_one_is_discarded_the_later_may_go(desk: Desk):
    first, second = bury(desk, b'{"symbol":"T","n":1}', b'{"symbol":"T","n":2}')
    desk.command("dead-letters", "discard", str(first), "--reason", "of no use")
    desk.command("dead-letters", "redrive", str(second))


def test_an_agent_s_letter_is_listed(desk: Desk):
    """An agent has no ledger: its letter comes by the bus, and the consensus records it."""
    given_up = DeadLetter(
        stream=Stream.PROPOSALS,
        partition=0,
        position="5-0",
        reason="fault",
        attempts=3,
        data=b'{"poison":1}',
        trace="Traceback: …\nZeroDivisionError: poison",
        by="agent.execution",
    )
    for _ in range(2):
        desk.on_bus(lambda bus: bus.publish_raw(Stream.DEAD_LETTERS, 0, encode(given_up)))
    [shown] = desk.until(lambda: desk.asked("dead-letters", "list", "--stream", "proposals"))
    assert (shown["log"], shown["attempts"], shown["data"]) == (
        "agent.execution",
        3,
        '{"poison":1}',
    )
    number = str(shown["number"])
    assert "fault: ZeroDivisionError: poison" in desk.command("dead-letters", "show", number)
    desk.command("dead-letters", "redrive", number)
    assert on_stream(desk, Stream.PROPOSALS)[-1] == b'{"poison":1}'


def test_text_is_shown_as_text_unless_it_would_act_on_the_terminal(desk: Desk):
    plain, acting = bury(desk, '{"price": "1 €"}'.encode(), b"\x1b[2J gone")
    assert '{"price": "1 €"}' in desk.command("dead-letters", "show", str(plain))
    assert "Traceback: …" in desk.command("dead-letters", "show", str(plain))
    assert "\x1b[2J" not in desk.command("dead-letters", "show", str(acting))
    assert desk.asked("dead-letters", "show", str(acting))["data"] == "\x1b[2J gone"


def test_what_was_discarded_is_not_redriven_and_the_other_way_round(desk: Desk):
    gone, back = map(str, bury(desk, b"gone", b"back"))
    desk.command("dead-letters", "discard", gone, "--reason", "too old", "--actor", "bob")
    desk.command("dead-letters", "redrive", back)
    assert "was discarded by bob" in desk.command("dead-letters", "redrive", gone, code=2)
    refused = desk.command("dead-letters", "discard", back, "--reason", "no", code=2)
    assert "was redriven by ada" in refused
    assert on_stream(desk, Stream.NEWS).count(b"gone") == 0


def test_an_unknown_number_or_no_reason_changes_nothing(desk: Desk):
    [known] = bury(desk, b"known")
    told = desk.command("dead-letters", "redrive", str(known), "999999", code=2)
    assert "No dead letter has the number 999999" in told
    assert "reason is empty" in desk.command(
        "dead-letters", "discard", str(known), "--reason", " ", code=2
    )
    assert desk.asked("dead-letters", "show", str(known))["answer"] is None


def test_what_could_not_be_put_back_is_not_recorded_as_redriven(desk: Desk):
    [number] = bury(desk, b"no bus")
    letters = DeadLetters(desk.environment["QUORUM_LEDGER_URL"])

    def fail() -> None:
        raise EnvironmentProblem("The bus is away.", next_step="Wait.")

    with pytest.raises(EnvironmentProblem):
        letters.answer(number, LetterAction.REDRIVEN, actor="ada", reason="", act=fail)
    stored = letters.get(number)
    assert stored is not None
    assert stored.answer is None
    letters.close()
    with psycopg.connect(desk.environment["QUORUM_LEDGER_URL"].replace("+psycopg", "")) as raw:
        query = "SELECT count(*) FROM ledger.dead_letter_answers WHERE letter = %s"
        assert raw.execute(query, (number,)).fetchone() == (0,)
