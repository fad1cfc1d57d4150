"""Who can write to the bus, and holds no key, sends again what others sealed: it has no effect.

The table in docs/reliability.md names these tests.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from adapters.ledger.memory import MemoryLedger
from adapters.metrics import PrometheusMetrics
from consensus.authenticity import Authenticity
from consensus.decisions import DecisionHandler
from consensus.handler import Effects
from domain.breaker import BreakerChanged
from domain.market import Tick
from domain.messages import Message, decode, encode
from domain.ports.bus import Delivery
from domain.ports.keys import Key
from domain.ports.ledger import Commit, Log
from domain.producers import Producer
from domain.review import ReviewVerdict
from domain.rules import Rules
from domain.seals import key_id, seal
from domain.streams import Stream
from domain.voting import ConsensusResult, Outcome, TradingProposal, Vote
from tests.builders import AGENTS, at, proposal, tick, verdict, vote, votes

RULES = Rules()
_SPEAKERS = {
    TradingProposal: (Producer.MARKET_ANALYST, Stream.PROPOSALS),
    Tick: (Producer.CONSENSUS, Stream.TIME),
    ReviewVerdict: (Producer.OPERATOR, Stream.REVIEWS),
}


@dataclass
class Clock:
    """A machine's clock that a test sets."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment

    def observe(self, moment: datetime) -> None:
        pass


@dataclass
class Desk:
    """A handler of sealed messages, and all that it caused."""

    clock: Clock = field(default_factory=lambda: Clock(at(0)))
    secrets: dict[Producer, bytes] = field(
        default_factory=lambda: {p: bytes([n]) * 32 for n, p in enumerate(Producer)}
    )
    said: list[bytes] = field(default_factory=list)
    caused: list[Effects] = field(default_factory=list)

    def __post_init__(self) -> None:
        keys = {key_id(secret): Key(producer, secret) for producer, secret in self.secrets.items()}
        self.ledger = MemoryLedger()
        self.handler = DecisionHandler(
            RULES,
            PrometheusMetrics(),
            clock=self.clock,
            authenticity=Authenticity(SimpleNamespace(find=keys.get)),
        )

    async def say(self, *messages: Message) -> list[Effects]:
        """Let whoever may say it seal and send each message."""
        found: list[Effects] = []
        for message in messages:
            producer, _ = _speaker(message)
            data = seal(encode(message), self.secrets[producer])
            self.said.append(data)
            found.append(await self.deliver(message, data))
        return found

    async def again(self, *places: int) -> list[Effects]:
        """Send again what was said at these places; all of it where none is named."""
        chosen = [self.said[place] for place in places] or list(self.said)
        return [await self.deliver(decode(data), data) for data in chosen]

    async def deliver(self, message: Message, data: bytes) -> Effects:
        lease = await self.ledger.acquire(Log.DECISIONS, 0)
        _, stream = _speaker(message)
        came = Delivery(stream=stream, partition=0, position=f"{len(self.caused)}-0", data=data)
        effects = await self.handler.handle([(came, message)])
        commit = Commit(
            expected_sequence=lease.sequence, events=effects.events, inputs=effects.inputs
        )
        await self.ledger.commit(lease, commit)
        await self.ledger.release(lease)
        self.caused.append(effects)
        return effects

    @property
    def decisions(self) -> list[ConsensusResult]:
        events = [event for effects in self.caused for event in effects.events]
        return [event for event in events if isinstance(event, ConsensusResult)]


def _speaker(message: Message) -> tuple[Producer, Stream]:
    if isinstance(message, Vote):
        return Producer(message.agent_id), Stream.VOTES
    return _SPEAKERS[type(message)]


def reasons(effects: list[Effects]) -> list[str]:
    return [ignored.reason for each in effects for ignored in each.ignored]


@pytest.fixture
async def desk() -> Desk:
    made = Desk()
    await made.handler.recover(made.ledger)
    return made


async def test_a_whole_round_again_changes_nothing(desk):
    await desk.say(proposal(), *votes(), tick(3))
    [decided] = desk.decisions
    for _ in range(3):
        found = await desk.again(0, 1, 2, 3, 4)
        assert reasons(found) == ["duplicate", *["late"] * 4]
        assert [event for each in found for event in each.events] == []
    assert desk.decisions == [decided]
    assert desk.handler.engine.state.breakers == {}  # they had voted in time


async def test_a_vote_that_its_agent_has_taken_back_does_not_come_back(desk):
    changed = vote("p", AGENTS[0], score=10, seconds=0.7, version="2")
    await desk.say(proposal(), votes()[0], changed)
    assert reasons(await desk.again(1)) == ["duplicate"]
    await desk.say(*votes()[1:])
    [decision] = desk.decisions
    assert {v.agent_id: v.score for v in decision.counted}[AGENTS[0]] == 10


async def test_a_late_vote_is_held_against_its_agent_once(desk):
    await desk.say(proposal(), *votes()[:3], tick(3), votes()[3])
    late = desk.handler.engine.state.breakers[AGENTS[3]]
    assert late.late == 1
    for _ in range(5):
        await desk.again(5)
    assert desk.handler.engine.state.breakers[AGENTS[3]] == late


async def test_what_nobody_remembers_is_decided_by_nobody(desk):
    await desk.say(proposal(), *votes())
    hour = 3600
    desk.clock.moment = at(hour)
    await desk.say(tick(hour))
    assert desk.handler.engine.state.decided == {}
    found = await desk.again(0, 1, 2, 3, 4)
    assert reasons(found) == ["duplicate"]  # the record remembers the proposal
    told = await desk.say(tick(hour + 1), tick(hour + 40))
    assert reasons(told) == ["unknown_proposal"] * 4
    assert len(desk.decisions) == 1
    assert desk.handler.engine.state.breakers == {}


async def test_garbage_under_its_agent_s_seal_is_held_against_it_once(desk):
    """Else whoever kept one bad vote of an agent could have it cut off for ever."""
    agent = Producer(AGENTS[2])
    body = encode(vote("p", AGENTS[2])).replace(b'"score":80', b'"score": 80')
    data = seal(body, desk.secrets[agent])
    found = [await desk.deliver(decode(data), data) for _ in range(20)]
    assert desk.handler.engine.state.breakers[AGENTS[2]].refused == 1
    assert reasons(found) == ["not_canonical", *["duplicate"] * 19]
    assert not [e for each in found for e in each.events if isinstance(e, BreakerChanged)]
    assert all(len(each.dead_letters) == 1 for each in found)  # a person sees each of them


async def test_a_vote_too_many_is_held_against_its_agent_once(desk):
    crowd = [vote("p", AGENTS[0], version=str(n), seconds=0.1 * n) for n in range(9)]
    await desk.say(proposal(), *crowd)
    for _ in range(20):
        await desk.again(9)
    assert desk.handler.engine.state.breakers[AGENTS[0]].refused == 1


async def test_a_tick_of_the_past_turns_no_time_back(desk):
    await desk.say(tick(0))
    desk.clock.moment = at(7200)
    early = votes("q", seconds=7200)
    await desk.say(tick(7200), *early, proposal("r", seconds=7200))
    found = await desk.again(0)
    assert reasons(found) == ["from_the_past"]
    assert desk.handler.engine.state.now == at(7200)
    await desk.say(tick(7201), proposal("q", seconds=7200.9), *votes("r", seconds=7201))
    # What came early still counts, and no round was ended for its time.
    assert [(d.outcome, d.participation) for d in desk.decisions] == [(Outcome.EXECUTE, 4)] * 2


async def test_time_is_mended_after_a_clock_that_was_ahead(desk):
    desk.clock.moment = at(60)
    await desk.say(tick(3600))
    assert reasons(await desk.say(tick(61))) == []
    assert desk.handler.engine.state.now == at(61)
    # A standby's clock lags by a moment.
    assert reasons(await desk.say(tick(60.5))) == []


async def test_an_approval_again_is_not_a_second_person_s(desk):
    large = replace(proposal(), quantity=Decimal(10_000))
    await desk.say(large, *votes(scores=(100, 60, 100, 60)))
    [decision] = desk.decisions
    assert decision.outcome is Outcome.MANUAL_REVIEW
    await desk.say(verdict(decision.decision_id, actor="ada"))
    for _ in range(3):
        assert reasons(await desk.again(5)) == ["same_person"]
    await desk.say(verdict(decision.decision_id, actor="bob"))
    assert [d.outcome for d in desk.decisions] == [Outcome.MANUAL_REVIEW, Outcome.EXECUTE]
    assert reasons(await desk.again(5, 6)) == ["answered"] * 2


async def test_a_replay_of_the_journal_sees_it_alike(desk):
    await desk.say(proposal(), *votes()[:3], tick(3), votes()[3])
    await desk.again()
    state = desk.handler.engine.to_bytes()
    again = DecisionHandler(RULES, PrometheusMetrics())
    await again.recover(desk.ledger)
    assert again.engine.to_bytes() == state


async def test_a_moment_s_age_is_no_reason(desk):
    """A tick behind a backlog is late for the clock, and still tells the time."""
    await desk.say(tick(0))
    desk.clock.moment = at(600)
    assert reasons(await desk.say(tick(1))) == []
    assert desk.handler.engine.state.now == at(1)
