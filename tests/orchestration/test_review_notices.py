"""Announcing reviews: once each, more urgently when escalated, with bounded attempts."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
import structlog

from adapters.embedded import Endpoints
from adapters.metrics import PrometheusMetrics
from adapters.persons import Persons
from adapters.webhook import Webhook
from domain.identity import derive_id
from domain.market import Tick
from domain.settings import Settings
from domain.streams import Stream
from orchestration.reviews.desk import Answer, ReviewDesk
from orchestration.reviews.notices import Announcer
from tests.adapters.test_webhook import Receiver, receiving
from tests.orchestration.desk import Desk, running_desk
from tests.orchestration.test_review import DISAGREEMENT

_names = count(1)


@pytest.fixture(scope="module")
def running(
    servers: Endpoints, new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    home: Path = tmp_path_factory.mktemp("notices") / "home"
    variables = {
        "QUORUM_REVIEW__ESCALATE_AFTER_FRACTION": "0.000001",
        # The consensus tells the time four times in it: not while a test runs, only when told to.
        "QUORUM_CONSENSUS__VOTE_DEADLINE_SECONDS": "100000",
    }
    with running_desk(servers, new_database(), home, **variables) as desk:
        yield desk


@pytest.fixture
def settings(running: Desk) -> Settings:
    return Settings(
        home=running.home,
        bus_url=running.environment["QUORUM_BUS_URL"],
        ledger_url=running.environment["QUORUM_LEDGER_URL"],
    )


@pytest.fixture(scope="module")
def token(running: Desk) -> str:
    return Persons(running.home).add("ada")


@pytest.fixture
def decision(running: Desk, settings: Settings, token: str) -> Iterator[str]:
    """The id of the one decision that waits."""
    decided = running.propose(f"noticed {next(_names)}", DISAGREEMENT)
    running.until(lambda: decided in look(settings))
    yield decided

    async def reject(desk: ReviewDesk) -> None:
        person = desk.persons.authenticate(token)
        answer = Answer(approved=False, reason="seen")
        await desk.answer(decided, person, answer, patience_seconds=60)

    at(settings, reject)


def look(settings: Settings) -> dict[str, bool]:
    """Return decision → whether it is urgent."""

    async def waiting(desk: ReviewDesk) -> dict[str, bool]:
        return {r.terms.decision_id: r.escalated for r in await desk.waiting(limit=500)}

    return at(settings, waiting)


def at(settings: Settings, act):
    async def open_for():
        desk = ReviewDesk(settings)
        try:
            return await act(desk)
        finally:
            await desk.close()

    return asyncio.run(open_for())


def let_time_pass(running: Desk) -> None:
    """Tell the time; in this module a review is urgent as soon as any has passed."""
    now = datetime.now(UTC)
    identity = derive_id("tick", now.isoformat())
    running.publish(
        Stream.TIME, Tick(message_id=identity, correlation_id=identity, occurred_at=now)
    )


def announce(
    settings: Settings, receiver: Receiver | None, *, times: int = 1, desks: int = 1
) -> PrometheusMetrics:
    """Let some desks look so many times; one desk makes no pause between its attempts."""
    metrics = PrometheusMetrics()

    async def rounds(desk: ReviewDesk) -> None:
        webhook = Webhook(receiver.url, "s") if receiver else None
        announcers = [
            Announcer(
                desk,
                desk.tables,
                metrics,
                webhook=webhook,
                attempts=3,
                first_pause_seconds=0 if desks == 1 else 60,
            )
            for _ in range(desks)
        ]
        for _ in range(times):
            await asyncio.gather(*(announcer.announce() for announcer in announcers))
        if webhook:
            await webhook.close()

    at(settings, rounds)
    return metrics


def told(receiver: Receiver) -> list[tuple[str, str]]:
    documents = [json.loads(body) for _, body in receiver.received]
    ids = [headers["webhook-id"] for headers, _ in receiver.received]
    assert ids == [document["notice_id"] for document in documents]
    return [(document["decision_id"], document["urgency"]) for document in documents]


def test_many_desks_announce_it_once(settings: Settings, decision: str):
    with receiving() as receiver:
        announce(settings, receiver, times=2, desks=8)
        assert told(receiver) == [(decision, "normal")]


def test_what_is_not_taken_is_tried_again(settings: Settings, decision: str):
    with receiving(500, 503) as receiver:
        metrics = announce(settings, receiver, times=5)
        assert told(receiver) == [(decision, "normal")] * 3
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1
    assert 'outcome="failed",urgency="normal"} 2.0' in metrics.exposition().decode()


def test_after_the_last_attempt_it_is_given_up_and_counted(settings: Settings, decision: str):
    with receiving(*[500] * 9) as receiver, structlog.testing.capture_logs() as logs:
        metrics = announce(settings, receiver, times=6)
        assert told(receiver) == [(decision, "normal")] * 3
    assert 'outcome="given_up",urgency="normal"} 1.0' in metrics.exposition().decode()
    assert [line["log_level"] for line in logs] == ["warning"] * 3 + ["error"]


def test_without_a_webhook_the_log_says_it_once(settings: Settings, decision: str):
    with structlog.testing.capture_logs() as logs:
        announce(settings, None, times=3, desks=2)
    [line] = logs
    assert (line["event"], line["urgency"]) == ("a decision waits for a person", "normal")
    assert line["decision_id"] == decision


def test_a_review_is_announced_once_and_once_more_when_urgent(
    running: Desk, settings: Settings, decision: str
):
    with receiving() as receiver:
        announce(settings, receiver, times=3)
        assert told(receiver) == [(decision, "normal")]
        let_time_pass(running)
        running.until(lambda: look(settings)[decision])
        metrics = announce(settings, receiver, times=3, desks=3)
        assert told(receiver) == [(decision, "normal"), (decision, "high")]
        [first, urgent] = [json.loads(body) for _, body in receiver.received]
    assert first["notice_id"] != urgent["notice_id"]
    assert (first["symbol"], first["value"], first["currency"]) == ("IBM", "1000", "USD")
    assert "rationale" not in first
    exposed = metrics.exposition().decode()
    assert 'quorum_review_notices_total{outcome="delivered",urgency="high"} 1.0' in exposed
