"""Inbox, outbox and lease as state machines: whatever is done, the ledger is what a model says."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adapters.ledger import PostgresLedger
from adapters.ledger.memory import MemoryLedger
from consensus.audit import verify_ledger
from domain.errors import AlreadyRecorded, Fenced, SequenceConflict
from domain.ports.ledger import Commit, Lease, Ledger, Offset, OutboxItem, Outgoing
from domain.streams import Stream
from tests.builders import tick

_Result = TypeVar("_Result")
_places = count(1)
WRITERS = st.sampled_from(["first", "second"])
NAMES = st.lists(st.integers(0, 30), max_size=3, unique=True)


class LedgerMachine(RuleBasedStateMachine):
    """Two writers that take one partition from each other, and what they commit.

    A writer that lost its lease goes on as if it had it, with all that it last knew.
    """

    make: Callable[[], Ledger]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.ledgers = {"first": self.make(), "second": self.make()}
        self.place = next(_places)
        self.log = f"machine {self.place}"
        self.leases: dict[str, Lease] = {}
        self.holder = ""
        self.events: list[str] = []
        self.outbox: list[str] = []
        self.position = 0
        self.published = 0

    def teardown(self) -> None:
        for ledger in self.ledgers.values():
            self.run(ledger.close())
        self.runner.close()

    def run(self, work: Awaitable[_Result]) -> _Result:
        async def awaited() -> _Result:
            return await work

        return self.runner.run(awaited())

    @property
    def reader(self) -> Ledger:
        return self.ledgers[self.holder or "first"]

    @rule(writer=WRITERS)
    def take(self, writer: str) -> None:
        """Become the writer; who was it before loses its session, and is not told."""
        if self.holder:
            self.run(self.ledgers[self.holder].release(self.leases[self.holder]))
        before = self.leases.get(self.holder)
        lease = self.run(self.ledgers[writer].acquire(self.log, 0))
        assert before is None or lease.token > before.token
        assert lease.sequence == len(self.events)
        self.leases[writer], self.holder = lease, writer

    @precondition(lambda self: self.holder)
    @rule(names=NAMES, steps=st.integers(0, 2), marks=st.booleans())
    def commit(self, names: list[int], steps: int, *, marks: bool) -> None:
        """Commit events, what they publish, and how far the input is: all of it or nothing."""
        position = self.position + steps
        work = self.ledgers[self.holder].commit(
            self.leases[self.holder], self.wanted(names, position, marks=marks)
        )
        if {name_of(n) for n in names} & set(self.events):
            with pytest.raises(AlreadyRecorded):
                self.run(work)
            return
        committed = self.run(work)
        self.events += map(name_of, names)
        self.outbox += map(name_of, names)
        self.position = position
        self.published = len(self.outbox) - len(names) if marks else self.published
        assert committed.sequence == len(self.events)
        first = len(self.outbox) - len(names)
        assert [i.sequence for i in committed.outbox] == list(
            range(first + 1, len(self.outbox) + 1)
        )

    @precondition(lambda self: len(self.leases) > 1)
    @rule(names=NAMES)
    def commit_after_losing_the_lease(self, names: list[int]) -> None:
        other = next(name for name in self.leases if name != self.holder)
        with pytest.raises(Fenced):
            self.run(
                self.ledgers[other].commit(
                    self.leases[other], self.wanted(names, self.position + 1)
                )
            )

    @precondition(lambda self: self.holder and self.events)
    @rule(behind=st.integers(1, 3))
    def commit_behind_another_end(self, behind: int) -> None:
        commit = self.wanted([99], self.position + 1)
        stale = Commit(
            expected_sequence=len(self.events) - behind, events=commit.events, outbox=commit.outbox
        )
        with pytest.raises(SequenceConflict):
            self.run(self.ledgers[self.holder].commit(self.leases[self.holder], stale))

    @precondition(lambda self: self.holder and self.outbox)
    @rule(data=st.data())
    def mark(self, data: st.DataObject) -> None:
        """Marks come late and twice; none takes another back."""
        last = data.draw(st.integers(1, len(self.outbox)))
        self.run(
            self.ledgers[self.holder].mark_published(self.leases[self.holder], [self.item(last)])
        )
        self.published = max(self.published, last)

    @invariant()
    def the_log_is_what_was_committed(self) -> None:
        found = self.run(self.reader.events(self.log, 0))
        assert [entry.sequence for entry in found] == list(range(1, len(self.events) + 1))
        assert [entry.message.message_id for entry in found] == self.events
        assert self.run(verify_ledger(self.reader, self.log)).sound

    @invariant()
    def the_inbox_is_where_the_events_say(self) -> None:
        offsets = [o.position for o in self.run(self.reader.offsets(self.log, 0))]
        assert offsets == ([f"{self.position}-0"] if self.position else [])

    @invariant()
    def the_outbox_holds_what_was_not_published(self) -> None:
        waiting = self.run(self.reader.unpublished(self.log, 0))
        assert [i.message.message_id for i in waiting] == self.outbox[self.published :]
        assert [i.sequence for i in waiting] == list(
            range(self.published + 1, len(self.outbox) + 1)
        )

    def wanted(self, names: list[int], position: int, *, marks: bool = False) -> Commit:
        events = tuple(tick(name) for name in names)
        return Commit(
            expected_sequence=len(self.events),
            events=events,
            offsets=(Offset(stream=Stream.VOTES, partition=0, position=f"{position}-0"),)
            if position
            else (),
            outbox=tuple(
                Outgoing(stream=Stream.DECISIONS, partition=self.place, message=e) for e in events
            ),
            published=(self.item(len(self.outbox)),) if marks and self.outbox else (),
        )

    def item(self, sequence: int) -> OutboxItem:
        return OutboxItem(
            stream=Stream.DECISIONS, partition=self.place, sequence=sequence, message=tick(0)
        )


def name_of(number: int) -> str:
    return tick(number).message_id


def test_the_ledger_in_memory_is_what_the_model_says():
    class InMemory(LedgerMachine):
        def __init__(self) -> None:
            shared = MemoryLedger()
            self.make = lambda: shared
            super().__init__()

    run_state_machine_as_test(InMemory, settings=settings(max_examples=40, deadline=None))


def test_the_ledger_in_postgresql_is_what_the_model_says(ledger_url: str):
    class OnTheServer(LedgerMachine):
        def __init__(self) -> None:
            self.make = lambda: PostgresLedger(ledger_url)
            super().__init__()

    run_state_machine_as_test(
        OnTheServer, settings=settings(max_examples=8, stateful_step_count=25, deadline=None)
    )
