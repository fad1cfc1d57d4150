"""One suite for every ledger: what `domain.ports.ledger.Ledger` promises."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from adapters.ledger import MemoryLedger, PostgresLedger
from domain.chain import link, log_hash
from domain.errors import AlreadyRecorded, Fenced, SequenceConflict
from domain.messages import encode
from domain.ports.bus import Delivery
from domain.ports.ledger import (
    GENESIS,
    Commit,
    DeadLetter,
    Ignored,
    Ledger,
    Log,
    Offset,
    Outgoing,
)
from domain.streams import Stream
from tests.builders import proposal, tick, vote

OpenLedger = Callable[[], Ledger]


@pytest.fixture(params=["memory", "postgres"])
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[OpenLedger]:
    """Open the same record again and again, as processes would."""
    if request.param == "memory":
        shared = MemoryLedger(software="2.0")
        yield lambda: shared
        await shared.close()
    else:
        url = request.getfixturevalue("ledger_url")
        ledgers: list[PostgresLedger] = []

        def open_ledger() -> PostgresLedger:
            ledgers.append(PostgresLedger(url, software="2.0"))
            return ledgers[-1]

        yield open_ledger
        for ledger in ledgers:
            await ledger.close()


def delivery(n: int, data: bytes = b"{}", stream: Stream = Stream.VOTES) -> Delivery:
    return Delivery(stream=stream, partition=0, position=f"{n}-0", data=data)


async def test_a_new_log_is_empty(opened: OpenLedger):
    ledger = opened()
    lease = await ledger.acquire(Log.DECISIONS, 0)
    assert lease.sequence == 0
    assert await ledger.events(Log.DECISIONS, 0) == []
    assert await ledger.unpublished(Log.DECISIONS, 0) == []
    assert await ledger.snapshot(Log.DECISIONS, 0) is None
    assert log_hash(await ledger.heads(Log.DECISIONS)) == log_hash([])


async def test_one_commit_writes_everything(opened: OpenLedger):
    ledger = opened()
    lease = await ledger.acquire(Log.DECISIONS, 0)
    events = (proposal("a"), proposal("b"))
    aside = vote("x")
    letter = DeadLetter(
        stream=Stream.VOTES,
        partition=0,
        position="2-0",
        reason="not JSON",
        attempts=1,
        data=b"\x00",
    )
    committed = await ledger.commit(
        lease,
        Commit(
            expected_sequence=0,
            offsets=(Offset(stream=Stream.VOTES, partition=0, position="3-0"),),
            inputs=(delivery(1, b"one"), delivery(3, b"three")),
            events=events,
            outbox=tuple(
                Outgoing(stream=Stream.DECISIONS, partition=0, message=m) for m in (*events, aside)
            ),
            dead_letters=(letter,),
            ignored=(Ignored(message=aside, reason="late"),),
            snapshot=b"state",
        ),
    )
    assert committed.sequence == 2
    assert [(i.sequence, i.message) for i in committed.outbox] == [
        (1, events[0]),
        (2, events[1]),
        (3, aside),
    ]
    recorded = await ledger.events(Log.DECISIONS, 0)
    assert [(r.sequence, r.data, r.message) for r in recorded] == [
        (1, encode(events[0]), events[0]),
        (2, encode(events[1]), events[1]),
    ]
    first = link(GENESIS, encode(events[0]))
    assert [r.hash for r in recorded] == [first, link(first, encode(events[1]))]
    [head] = await ledger.heads(Log.DECISIONS)
    assert (head.sequence, head.hash) == (2, recorded[-1].hash)
    assert [o.position for o in await ledger.offsets(Log.DECISIONS, 0)] == ["3-0"]
    assert [(i.number, i.data) for i in await ledger.inputs(Log.DECISIONS, 0)] == [
        (1, b"one"),
        (2, b"three"),
    ]
    assert await ledger.dead_letters() == [letter]
    assert await ledger.ignored(Log.DECISIONS, 0) == [Ignored(message=aside, reason="late")]
    snapshot = await ledger.snapshot(Log.DECISIONS, 0)
    assert snapshot is not None
    assert (snapshot.inputs, snapshot.data) == (2, b"state")
    asked = ["unknown", events[0].message_id]
    assert await ledger.recorded(Log.DECISIONS, asked) == {events[0].message_id}
    assert not await ledger.recorded(Log.ORDERS, asked)
    assert await ledger.unpublished(Log.DECISIONS, 0) == list(committed.outbox)


async def test_pages_follow_each_other(opened: OpenLedger):
    ledger = opened()
    lease = await ledger.acquire(Log.DECISIONS, 0)
    for n in range(5):
        await ledger.commit(
            lease,
            Commit(expected_sequence=n, events=(tick(n),), inputs=(delivery(n + 1),)),
        )
    page = await ledger.events(Log.DECISIONS, 0, after=1, limit=2)
    assert [r.sequence for r in page] == [2, 3]
    inputs = await ledger.inputs(Log.DECISIONS, 0, after=3, limit=9)
    assert [i.number for i in inputs] == [4, 5]


async def test_what_was_published_is_not_offered_again(opened: OpenLedger):
    ledger = opened()
    lease = await ledger.acquire(Log.DECISIONS, 0)
    outbox = tuple(
        Outgoing(stream=s, partition=0, message=tick(n))
        for n, s in enumerate([Stream.DECISIONS, Stream.ORDERS, Stream.DECISIONS])
    )
    committed = await ledger.commit(lease, Commit(expected_sequence=0, outbox=outbox))
    assert [(i.stream, i.sequence) for i in committed.outbox] == [
        (Stream.DECISIONS, 1),
        (Stream.ORDERS, 1),
        (Stream.DECISIONS, 2),
    ]
    await ledger.mark_published(lease, committed.outbox[:1])
    rest = await ledger.unpublished(Log.DECISIONS, 0)
    assert [(i.stream, i.sequence) for i in rest] == [(Stream.DECISIONS, 2), (Stream.ORDERS, 1)]
    await ledger.mark_published(lease, rest)
    assert await ledger.unpublished(Log.DECISIONS, 0) == []


async def test_outbox_numbers_go_on_after_a_restart(opened: OpenLedger):
    first = opened()
    lease = await first.acquire(Log.DECISIONS, 0)
    message = Outgoing(stream=Stream.DECISIONS, partition=0, message=tick(0))
    await first.commit(lease, Commit(expected_sequence=0, outbox=(message,)))
    await first.release(lease)
    second = opened()
    lease = await second.acquire(Log.DECISIONS, 0)
    committed = await second.commit(lease, Commit(expected_sequence=0, outbox=(message,)))
    assert [i.sequence for i in committed.outbox] == [2]


async def test_a_wrong_expected_sequence_is_refused(opened: OpenLedger):
    ledger = opened()
    lease = await ledger.acquire(Log.DECISIONS, 0)
    await ledger.commit(lease, Commit(expected_sequence=0, events=(tick(1),)))
    with pytest.raises(SequenceConflict):
        await ledger.commit(lease, Commit(expected_sequence=0, events=(tick(2),)))
    assert [r.message for r in await ledger.events(Log.DECISIONS, 0)] == [tick(1)]


async def test_an_event_is_recorded_once(opened: OpenLedger):
    ledger = opened()
    lease = await ledger.acquire(Log.DECISIONS, 0)
    await ledger.commit(lease, Commit(expected_sequence=0, events=(tick(1),)))
    doubled = Commit(
        expected_sequence=1,
        events=(tick(2), tick(1)),
        offsets=(Offset(stream=Stream.VOTES, partition=0, position="9-0"),),
    )
    with pytest.raises(AlreadyRecorded):
        await ledger.commit(lease, doubled)
    other = await ledger.acquire(Log.DECISIONS, 1)
    with pytest.raises(AlreadyRecorded):  # once in all partitions together
        await ledger.commit(other, Commit(expected_sequence=0, events=(tick(1),)))
    await ledger.release(other)
    assert len(await ledger.events(Log.DECISIONS, 0)) == 1
    assert await ledger.offsets(Log.DECISIONS, 0) == []
    committed = await ledger.commit(lease, Commit(expected_sequence=1, events=(tick(2),)))
    assert committed.sequence == 2


async def test_a_dead_letter_is_kept_once(opened: OpenLedger):
    ledger = opened()
    lease = await ledger.acquire(Log.DECISIONS, 0)
    letter = DeadLetter(
        stream=Stream.VOTES, partition=0, position="2-0", reason="bad", attempts=1, data=b"x"
    )
    for _ in range(2):
        await ledger.commit(lease, Commit(expected_sequence=0, dead_letters=(letter,)))
    assert await ledger.dead_letters(stream=Stream.VOTES) == [letter]
    assert await ledger.dead_letters(stream=Stream.TIME) == []


async def test_logs_and_partitions_are_apart(opened: OpenLedger):
    ledger = opened()
    places = [(Log.DECISIONS, 0), (Log.DECISIONS, 1), (Log.ORDERS, 0)]
    for log, partition in places:
        lease = await ledger.acquire(log, partition)
        event = proposal(f"{log}{partition}")
        await ledger.commit(lease, Commit(expected_sequence=0, events=(event,)))
    assert [len(await ledger.events(log, p)) for log, p in places] == [1, 1, 1]
    assert [h.partition for h in await ledger.heads(Log.DECISIONS)] == [0, 1]


async def test_a_standby_waits_and_then_fences_the_old_writer(opened: OpenLedger):
    first, second = opened(), opened()
    old = await first.acquire(Log.DECISIONS, 0)
    await first.commit(old, Commit(expected_sequence=0, events=(tick(1),)))
    waiting = asyncio.ensure_future(second.acquire(Log.DECISIONS, 0))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    await first.release(old)
    new = await waiting
    assert (new.sequence, new.token) == (1, old.token + 1)
    with pytest.raises(Fenced):
        await first.commit(old, Commit(expected_sequence=1, events=(tick(2),)))
    await second.commit(new, Commit(expected_sequence=1, events=(tick(3),)))
    assert [r.message for r in await second.events(Log.DECISIONS, 0)] == [tick(1), tick(3)]


async def test_a_writer_says_what_it_runs(opened: OpenLedger):
    assert await opened().software(Log.DECISIONS) == {}
    for partition in (1, 0):
        await opened().acquire(Log.DECISIONS, partition)
    await opened().acquire(Log.ORDERS, 0)
    assert await opened().software(Log.DECISIONS) == {0: "2.0", 1: "2.0"}
