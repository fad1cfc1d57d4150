"""`quorum replay` on a real record: the answer, the document, and how it ends."""

import asyncio

import msgspec
import pytest

from adapters.ledger import PostgresLedger
from adapters.metrics import PrometheusMetrics
from consensus import rule
from consensus.decisions import DecisionHandler
from domain.identity import derive_id
from domain.messages import encode
from domain.ports.bus import Delivery
from domain.ports.ledger import Commit, Log
from domain.rules import Rules
from domain.streams import Stream
from orchestration.command_line.application import run
from tests.builders import proposal, tick, votes

CHANGED = derive_id("decision", derive_id("proposal", "degraded"))


async def record(url: str) -> None:
    messages = [proposal("whole"), *votes("whole"), proposal("degraded"), *votes("degraded")[:2]]
    ledger = PostgresLedger(url)
    handler = DecisionHandler(Rules(), PrometheusMetrics())
    lease = await ledger.acquire(Log.DECISIONS, 0)
    await handler.recover(ledger)
    effects = await handler.handle(
        [
            (Delivery(stream=Stream.VOTES, partition=0, position="1-1", data=encode(m)), m)
            for m in [*messages, tick(2)]
        ]
    )
    commit = Commit(expected_sequence=0, inputs=effects.inputs, events=effects.events)
    await ledger.commit(lease, commit)
    await ledger.close()


@pytest.fixture
def replay(ledger_url, monkeypatch, capsys):
    """Run the command and return how it ended and what it printed."""
    asyncio.run(record(ledger_url))
    monkeypatch.setenv("QUORUM_LEDGER_URL", ledger_url)

    def command(*words: str) -> tuple[int, str]:
        code = run(["replay", *words])
        out, err = capsys.readouterr()
        return code, out + err

    return command


@pytest.mark.parametrize("method", [[], ["--content"]])
def test_what_comes_out_the_same_ends_with_0(replay, method):
    code, said = replay(*method)
    assert code == 0
    assert "Every decision comes out as it is recorded." in said
    assert ("content" if method else "inputs") in said
    code, said = replay("--json", *method)
    document = msgspec.json.decode(said)
    assert (code, document["same"], document["partitions"][0]["events"]) == (0, True, 3)


@pytest.mark.parametrize("method", [[], ["--content"]])
def test_a_decision_that_differs_is_named_and_ends_with_1(replay, method, monkeypatch):
    monkeypatch.setattr(rule, "_FEWEST_VOTES", 3)
    code, said = replay(*method)
    assert (code, CHANGED in said, "outcome, reason" in said) == (1, True, True)
    code, said = replay("--diff", *method)
    assert code == 1
    assert '"MANUAL_REVIEW"' in said
    assert '"REJECT"' in said
    code, said = replay("--json", *method)
    [partition] = msgspec.json.decode(said)["partitions"]
    divergence, opened = partition["divergences"]
    assert (code, divergence["message_id"], divergence["sequence"]) == (1, CHANGED, 2)
    assert divergence["differences"] == [
        {"field": "outcome", "recorded": '"MANUAL_REVIEW"', "again": '"REJECT"'},
        {"field": "reason", "recorded": '"degraded"', "again": '"no_quorum"'},
    ]
    assert {field["again"] for field in opened["differences"]} == {"absent"}  # nobody is asked


def test_an_interval_leaves_the_others_out(replay, monkeypatch):
    monkeypatch.setattr(rule, "_FEWEST_VOTES", 3)
    assert replay("--from", "2012-09-05")[0] == 0
    assert replay("--to", "2012-09-04T20:00:02")[0] == 0
    assert replay("--from", "2012-09-04T20:00:02", "--to", "2012-09-04T20:00:02.5")[0] == 1
