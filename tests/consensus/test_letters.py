"""Letters of processes without a ledger: recorded once, whatever they say."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from adapters.bus.memory import MemoryBroker, MemoryBus
from adapters.ledger import PostgresLedger
from adapters.ledger.dead_letters import DeadLetters
from adapters.ledger.memory import MemoryLedger
from consensus.letters import GROUP, LetterIntake
from domain.errors import RecordUnavailable
from domain.messages import encode
from domain.ports.ledger import Commit, DeadLetter, Log
from domain.streams import Stream


def letter(by: str = "agent.execution", *, position: str = "7-0", trace: str = "why") -> DeadLetter:
    return DeadLetter(
        stream=Stream.PROPOSALS,
        partition=0,
        position=position,
        reason="fault",
        attempts=3,
        data=b"\xff\0 as it came",
        trace=trace,
        by=by,
    )


@asynccontextmanager
async def taking_in(bus: MemoryBus, ledger):
    stop = asyncio.Event()
    intake = LetterIntake(bus, ledger, consumer="consensus", partitions=1)
    running = asyncio.create_task(intake.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def finished(bus: MemoryBus) -> None:
    async with asyncio.timeout(20):
        while (await bus.backlog(GROUP, Stream.DEAD_LETTERS, 0)).total:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_letters_are_recorded_once_and_only_those_of_others(ledger_url: str):
    broker, ledger = MemoryBroker(), PostgresLedger(ledger_url)
    bus = MemoryBus(broker)
    own = letter(by=Log.DECISIONS, position="9-0")
    lease = await ledger.acquire(Log.DECISIONS, 0)
    await ledger.commit(lease, Commit(expected_sequence=0, dead_letters=(own,)))
    sent = [own, letter(), letter(by="agent.risk_manager"), letter(), letter(position="8-0")]
    for each in sent:
        await bus.publish_raw(Stream.DEAD_LETTERS, 0, encode(each))
    async with taking_in(bus, ledger):
        await finished(bus)
    await bus.publish_raw(Stream.DEAD_LETTERS, 0, encode(letter()))  # delivered again
    async with taking_in(bus, ledger):
        await finished(bus)
    await ledger.close()
    found = DeadLetters(ledger_url)
    stored = found.found()
    found.close()
    assert [(s.number, s.log, s.letter.position) for s in stored] == [
        (1, "decisions", "9-0"),
        (2, "agent.execution", "7-0"),
        (3, "agent.risk_manager", "7-0"),
        (4, "agent.execution", "8-0"),
    ]
    assert stored[1].letter.data == b"\xff\0 as it came"
    assert (stored[1].letter.attempts, stored[1].letter.trace) == (3, "why")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{}",
        b"[" * 10_000,
        encode(letter()).replace(b'"7-0"', b'"seven"'),
        encode(letter()).replace(b'"attempts":3', b'"attempts":3000000000'),
        encode(letter(by="x" * 201)),
    ],
)
async def test_what_is_no_letter_becomes_one(data: bytes, ledger_url: str):
    bus, ledger = MemoryBus(), PostgresLedger(ledger_url)
    await bus.publish_raw(Stream.DEAD_LETTERS, 0, data)
    async with taking_in(bus, ledger):
        await finished(bus)
    (found,) = await ledger.dead_letters()
    assert (found.stream, found.reason, found.data) == (Stream.DEAD_LETTERS, "malformed", data)
    await ledger.close()


async def test_text_that_no_database_takes_is_recorded_escaped(ledger_url: str):
    ledger = PostgresLedger(ledger_url)
    await ledger.record_letters([letter(trace="a\0b\ud800c")])
    (found,) = await ledger.dead_letters()
    assert found.trace == "a\\0b\\ud800c"
    await ledger.close()


class Away(MemoryLedger):
    """A ledger that is away at first."""

    failures = 2

    async def record_letters(self, letters) -> None:
        if self.failures:
            self.failures -= 1
            raise RecordUnavailable("The ledger is away.", next_step="Wait.")
        await super().record_letters(letters)


async def test_letters_wait_for_a_ledger_that_is_away():
    bus, ledger = MemoryBus(), Away()
    await bus.publish_raw(Stream.DEAD_LETTERS, 0, encode(letter()))
    async with taking_in(bus, ledger):
        await finished(bus)
    assert await ledger.dead_letters() == [letter()]


async def test_stopped_while_the_ledger_is_away_it_leaves_the_letter_on_the_bus():
    broker, ledger = MemoryBroker(), Away()
    ledger.failures = 10**9
    bus = MemoryBus(broker)
    await bus.publish_raw(Stream.DEAD_LETTERS, 0, encode(letter()))
    async with taking_in(bus, ledger):
        while not (await bus.backlog(GROUP, Stream.DEAD_LETTERS, 0)).pending:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert (await bus.backlog(GROUP, Stream.DEAD_LETTERS, 0)).pending == 1
    ledger.failures = 0
    again = MemoryBus(broker)
    async with taking_in(again, ledger):
        await finished(again)
    assert await ledger.dead_letters() == [letter()]
