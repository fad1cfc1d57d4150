"""Exactly once in effect, one transaction for what belongs together, and nothing in the way."""

import asyncio
from functools import partial

import pytest
from msgspec.structs import replace

from adapters.bus.memory import MemoryBus
from adapters.ledger.memory import MemoryLedger
from consensus import recorder
from domain.errors import RecordUnavailable
from domain.messages import encode
from domain.ports.ledger import Commit, Log
from domain.streams import Stream
from tests.consensus import processing as processes
from tests.consensus.processing import (
    GROUP,
    SOURCE,
    Recording,
    finished,
    message,
    published,
    recorded,
)


class Counting(MemoryLedger):
    """Keeps every commit that was asked for; fails those that a test names."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Commit] = []
        self.away = 0

    async def commit(self, lease, commit):
        if self.away:
            self.away -= 1
            raise RecordUnavailable("away", next_step="wait")
        self.commits.append(commit)
        return await super().commit(lease, commit)


@pytest.fixture
def bus():
    return MemoryBus()


@pytest.fixture
def ledger():
    return Counting()


@pytest.fixture(params=[False, True], ids=["behind", "ahead"])
def processing(request):
    """Run a processor that handles only behind a commit, and one that goes ahead of it."""
    return partial(processes.processing, ahead=request.param)


async def send(bus, *names):
    for name in names:
        await bus.publish(*SOURCE, message(name))


async def test_what_nobody_waits_for_commits_with_what_somebody_waits_for(bus, ledger, processing):
    await send(bus, "quiet1", "quiet2", "loud", "quiet3")
    async with processing(bus, ledger, Recording(), limit=1):
        await finished(bus)
    with_inputs = [len(c.inputs) for c in ledger.commits if c.inputs]
    assert with_inputs[0] == 3 or with_inputs == [1, 1, 1, 1]  # limit 1: each is full
    async with processing(bus, ledger, Recording(), limit=10):
        await send(bus, "quiet4", "quiet5", "loud2")
        await finished(bus)
    assert await recorded(ledger) == await published(bus) == ["loud", "loud2"]


async def test_a_quiet_message_is_committed_and_acknowledged_when_nothing_follows(
    bus, ledger, processing
):
    async with processing(bus, ledger, Recording()):
        await send(bus, "quiet")
        await finished(bus)
        assert [d.data for c in ledger.commits for d in c.inputs] == [encode(message("quiet"))]


async def test_stopping_commits_what_is_in_hand(bus, ledger, processing):
    handler = Recording()
    async with processing(bus, ledger, handler, wait_ms=100):
        await send(bus, "quiet")
        while not handler.batches:  # noqa: ASYNC110 - the handler tells nobody
            await asyncio.sleep(0)
    assert len(await ledger.inputs(Log.DECISIONS, 0)) == 1
    assert (await bus.backlog(GROUP, *SOURCE)).total == 0


async def test_one_faulty_message_is_buried_and_blocks_nobody(bus, ledger, processing):
    await send(bus, "quiet", "a", "faulty", "b")
    await bus.publish_raw(*SOURCE, b"not json")
    await send(bus, "c")
    handler = Recording()
    async with processing(bus, ledger, handler) as metrics:
        await finished(bus)
    assert await recorded(ledger) == await published(bus) == ["a", "b", "c"]
    letters = {letter.data: letter for letter in await ledger.dead_letters()}
    assert set(letters) == {encode(message("faulty")), b"not json"}
    assert "ValueError" in letters[encode(message("faulty"))].trace
    assert len(await bus.read(Stream.DEAD_LETTERS, 0)) == 2
    assert handler.batches.count(["faulty"]) == 3
    labels = {"stream": "votes", "reason": "fault"}
    assert metrics.registry.get_sample_value("quorum_messages_refused_total", labels) == 1


@pytest.fixture
def pauses(monkeypatch):
    """Return the numbers of the attempts that were waited for, without waiting."""
    told: list[int] = []

    async def wait_before_retry(_stop, attempt):
        told.append(attempt)

    monkeypatch.setattr(recorder, "wait_before_retry", wait_before_retry)
    return told


async def test_a_fault_is_tried_three_times_with_growing_pauses_and_then_buried(
    bus, ledger, processing, pauses
):
    await send(bus, "a", "faulty", "b")
    handler = Recording()
    async with processing(bus, ledger, handler) as metrics:
        await finished(bus)
    [letter] = await ledger.dead_letters()
    assert handler.batches == [["a", "faulty", "b"], ["a"], *[["faulty"]] * 3, ["b"]]
    assert letter.attempts == 3
    assert pauses == [1, 2]
    assert retries(metrics, "handler") == 2


async def test_a_fault_that_comes_alone_is_tried_as_often(bus, ledger, processing, pauses):
    await send(bus, "faulty")
    handler = Recording()
    async with processing(bus, ledger, handler) as metrics:
        await finished(bus)
        await send(bus, "a")
        await finished(bus)
    [letter] = await ledger.dead_letters()
    assert handler.batches == [*[["faulty"]] * 3, ["a"]]
    assert letter.attempts == 3
    assert pauses == [1, 2]
    assert retries(metrics, "handler") == 2
    assert await recorded(ledger) == ["a"]


async def test_a_record_that_is_away_is_asked_with_ever_longer_pauses(
    bus, ledger, processing, pauses
):
    await send(bus, "a")
    ledger.away = 9
    async with processing(bus, ledger, Recording()) as metrics:
        await finished(bus)
    assert pauses == list(range(9))
    assert retries(metrics, "record") == 9
    assert await recorded(ledger) == ["a"]


def retries(metrics, operation: str) -> float | None:
    return metrics.registry.get_sample_value("quorum_retries_total", {"operation": operation})


async def test_a_record_that_is_away_is_waited_for(bus, ledger, processing):
    await send(bus, "a", "b")
    async with processing(bus, ledger, Recording()) as metrics:
        ledger.away = 2
        await send(bus, "c")
        await finished(bus)
    assert await recorded(ledger) == await published(bus) == ["a", "b", "c"]
    labels = {"operation": "record"}
    assert metrics.registry.get_sample_value("quorum_retries_total", labels) == 2


async def test_all_that_is_not_committed_is_handled_again_after_the_record_was_away(
    bus, ledger, processing
):
    handler, faults = Recording(), iter([True])

    def away(names):
        if "loud" in names and next(faults, False):
            raise RecordUnavailable("away", next_step="wait")

    handler.before = away
    await send(bus, "quiet", "loud")
    async with processing(bus, ledger, handler):
        await finished(bus)
    assert [d.data for c in ledger.commits for d in c.inputs] == [
        encode(message("quiet")),
        encode(message("loud")),
    ]
    assert await recorded(ledger) == ["loud"]


async def test_nothing_is_handled_twice_after_a_restart(bus, ledger, processing):
    await send(bus, "a", "b")
    async with processing(bus, ledger, Recording()):
        await finished(bus)
    # The acknowledgement was lost: the group begins again at the first message.
    bus._broker.partition(SOURCE).delivered.clear()
    handler = Recording()
    async with processing(bus, ledger, handler):
        await send(bus, "c")
        await finished(bus)
    assert handler.batches == [["c"]]
    assert await recorded(ledger) == await published(bus) == ["a", "b", "c"]


async def test_the_published_mark_goes_with_the_next_commit_or_at_the_end(bus, ledger, processing):
    async with processing(bus, ledger, Recording()):
        await send(bus, "a")
        await finished(bus)
        await send(bus, "b")
        await finished(bus)
    marks = [[i.sequence for i in c.published] for c in ledger.commits]
    assert marks[0] == []
    assert await ledger.unpublished(Log.DECISIONS, 0) == []


async def test_what_causes_an_event_that_is_on_record_becomes_a_letter_and_blocks_nothing(
    bus, ledger, processing
):
    lease = await ledger.acquire(Log.DECISIONS, 1)
    await ledger.commit(lease, Commit(expected_sequence=0, events=(message("known"),)))
    await send(bus, "first", "known", "last")
    async with processing(bus, ledger, Recording()):
        await finished(bus)
    assert await recorded(ledger) == await published(bus) == ["first", "last"]
    [letter] = await ledger.dead_letters()
    assert (letter.data, letter.reason) == (encode(message("known")), "already_recorded")


class Holding(Counting):
    """Lets no commit begin until a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()

    async def commit(self, lease, commit):
        await self.free.wait()
        return await super().commit(lease, commit)


async def until(condition):
    while not condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)


async def test_the_next_messages_are_handled_while_a_commit_is_on_its_way(bus):
    ledger, handler = Holding(), Recording()
    async with processes.processing(bus, ledger, handler, ahead=True, limit=1):
        await send(bus, "a", "b", "c")
        await until(lambda: handler.batches == [["a"], ["b"]])
        assert ledger.commits == []
        ledger.free.set()
        await finished(bus)
    assert [[e.message_id for e in c.events] for c in ledger.commits if c.events] == [
        ["a"],
        ["b"],
        ["c"],
    ]
    assert await recorded(ledger) == await published(bus) == ["a", "b", "c"]


async def test_a_commit_is_asked_for_before_what_follows_is_handled(bus, ledger):
    handler, asked = Recording(), []
    handler.before = lambda _: asked.append(len(ledger.commits))
    await send(bus, "a", "b", "c")
    async with processes.processing(bus, ledger, handler, ahead=True, limit=1):
        await finished(bus)
    assert handler.batches == [["a"], ["b"], ["c"]]
    assert asked == [0, 1, 2]


async def test_what_is_handled_while_a_commit_is_on_its_way_commits_together(bus):
    ledger, handler = Holding(), Recording()
    async with processes.processing(bus, ledger, handler, ahead=True, limit=4):
        await send(bus, "a", "b", "c", "d", "e", "f")
        await until(lambda: handler.batches == [["a"], ["b"], ["c"], ["d"], ["e"]])
        ledger.free.set()
        await finished(bus)
    commits = [[e.message_id for e in c.events] for c in ledger.commits if c.events]
    assert commits == [["a"], ["b", "c", "d", "e"], ["f"]]


class Keeping(Recording):
    """Keeps its state behind the second message."""

    async def handle(self, batch):
        effects = await super().handle(batch)
        return replace(effects, snapshot=b"state") if len(self.batches) == 2 else effects


async def test_a_snapshot_commits_with_what_it_includes_and_nothing_after_it(bus):
    ledger, handler = Holding(), Keeping()
    async with processes.processing(bus, ledger, handler, ahead=True, limit=4):
        await send(bus, "a", "b", "c", "d")
        await until(lambda: handler.batches == [["a"], ["b"]])
        asyncio.get_running_loop().call_later(0.01, ledger.free.set)
        await finished(bus)
    [kept] = [c for c in ledger.commits if c.snapshot is not None]
    assert [e.message_id for e in kept.events] == ["b"]
    assert await recorded(ledger) == ["a", "b", "c", "d"]


async def test_what_was_handled_on_top_of_a_refused_commit_is_handled_again(bus):
    ledger, handler = Holding(), Recording()
    ledger.free.set()
    lease = await ledger.acquire(Log.DECISIONS, 1)
    await ledger.commit(lease, Commit(expected_sequence=0, events=(message("known"),)))
    ledger.free.clear()
    async with processes.processing(bus, ledger, handler, ahead=True, limit=1):
        await send(bus, "known", "next", "last")
        await until(lambda: handler.batches == [["known"], ["next"]])
        ledger.free.set()
        await finished(bus)
    assert await recorded(ledger) == await published(bus) == ["next", "last"]
    assert handler.batches.count(["next"]) == 2
    assert handler.batches[-1] == ["last"]
    [letter] = await ledger.dead_letters()
    assert letter.data == encode(message("known"))


async def test_a_fault_behind_a_commit_on_its_way_is_buried_once_that_is_on_record(bus):
    ledger, handler = Holding(), Recording()
    async with processes.processing(bus, ledger, handler, ahead=True, limit=1):
        await send(bus, "a", "faulty", "b")
        await until(lambda: ["faulty"] in handler.batches)
        assert await recorded(ledger) == []
        ledger.free.set()
        await finished(bus)
    assert await recorded(ledger) == await published(bus) == ["a", "b"]
    [letter] = await ledger.dead_letters()
    assert letter.data == encode(message("faulty"))


async def test_stopping_ends_what_is_on_its_way_and_what_stands_on_it(bus):
    ledger, handler = Holding(), Recording()
    async with processes.processing(bus, ledger, handler, ahead=True, limit=1):
        await send(bus, "a", "b")
        await until(lambda: len(handler.batches) == 2)
        asyncio.get_running_loop().call_soon(ledger.free.set)
    assert await recorded(ledger) == await published(bus) == ["a", "b"]
