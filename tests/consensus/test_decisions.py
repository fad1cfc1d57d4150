"""The engine on record: recovery, rules that change, and backlogs, on bus and ledger in memory."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bus.memory import MemoryBus
from adapters.ledger.memory import MemoryLedger
from adapters.ledger.postgres import PostgresLedger
from adapters.metrics import PrometheusMetrics
from agents.scorecards import from_ignored
from consensus.authenticity import Authenticity
from consensus.decisions import STREAMS, DecisionHandler
from consensus.engine import Engine
from consensus.processor import Processor
from domain.breaker import BreakerChanged, BreakerRules, BreakerState, Cause
from domain.errors import RecordIncomplete
from domain.messages import Message, decode, encode
from domain.ports.bus import Delivery
from domain.ports.keys import Key
from domain.ports.ledger import Commit, Ignored, Lease, Ledger, Log
from domain.producers import Producer
from domain.rules import Rules, RulesChanged
from domain.seals import key_id, seal
from domain.streams import Stream
from domain.voting import (
    AgentId,
    ConsensusResult,
    Outcome,
    Thresholds,
    TradingProposal,
    Vote,
    VoteRefused,
)
from tests.builders import AGENTS, at, proposal, tick, votes
from tests.consensus.traffic import traffic

DEFAULTS = Rules()
STRICT = Rules(thresholds=Thresholds(execute_at_weighted_score=Decimal(90)))


@dataclass
class Clock:
    """A clock that a test sets."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment

    def observe(self, moment: datetime) -> None:
        pass


@dataclass
class Desk:
    """A bus and a record that outlive any number of consensus processes."""

    bus: MemoryBus = field(default_factory=MemoryBus)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    metrics: PrometheusMetrics = field(default_factory=PrometheusMetrics)

    @asynccontextmanager
    async def consensus(
        self,
        rules: Rules = DEFAULTS,
        *,
        clock: Clock | None = None,
        authenticity: Authenticity | None = None,
    ):
        """Run a fresh process for the block."""
        handler = DecisionHandler(
            rules,
            self.metrics,
            clock=clock,
            authenticity=authenticity,
            inputs_between_snapshots=7,
        )
        processor = Processor(
            self.bus,
            self.ledger,
            handler,
            self.metrics,
            group="consensus",
            sources=[(stream, 0) for stream in STREAMS],
            last=[Stream.TIME],
            limit=4,
            wait_ms=10,
            ahead=True,
            attribute=handler.refused_vote,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(processor.run(stop))
        try:
            yield handler
            await self.drained()
        finally:
            stop.set()
            await running

    async def publish(self, *messages: Message) -> None:
        for message in messages:
            match message:
                case TradingProposal():
                    stream = Stream.PROPOSALS
                case Vote():
                    stream = Stream.VOTES
                case _:
                    stream = Stream.TIME
            await self.bus.publish(stream, 0, message)

    async def drained(self) -> None:
        for stream in STREAMS:
            while (await self.bus.backlog("consensus", stream, 0)).total:  # noqa: ASYNC110
                await asyncio.sleep(0)

    async def recorded(self) -> list[Message]:
        return [e.message for e in await self.ledger.events(Log.DECISIONS, 0, limit=10_000)]

    async def decided(self) -> dict[str, ConsensusResult]:
        events = await self.recorded()
        return {e.proposal.proposal_id: e for e in events if isinstance(e, ConsensusResult)}


async def test_the_log_says_which_rules_its_decisions_were_made_under():
    desk = Desk()
    async with desk.consensus():
        await desk.publish(proposal("a"), *votes("a"))
    async with desk.consensus(STRICT):
        await desk.publish(proposal("b"), *votes("b"))
    async with desk.consensus(STRICT):
        await desk.publish(proposal("c"), *votes("c"))
    async with desk.consensus():
        await desk.publish(proposal("d"), *votes("d"))
    a, stricter, b, c, looser, d = await desk.recorded()
    assert isinstance(stricter, RulesChanged)
    assert (stricter.before, stricter.after, stricter.actor) == (Rules(), STRICT, "settings")
    assert isinstance(looser, RulesChanged)
    assert (looser.before, looser.after) == (STRICT, Rules())
    assert stricter.message_id != looser.message_id
    outcomes = [(x.outcome, x.rules_digest) for x in (a, b, c, d)]
    default, strict = Rules().digest(), STRICT.digest()
    assert outcomes == [
        (Outcome.EXECUTE, default),
        (Outcome.REJECT, strict),
        (Outcome.REJECT, strict),
        (Outcome.EXECUTE, default),
    ]
    assert b.thresholds == STRICT.thresholds


async def test_a_restart_behind_a_backlog_degrades_nothing():
    """Ticks far past every deadline wait in the backlog too; every round has its four votes."""
    desk = Desk()
    names = [f"p{n}" for n in range(12)]
    await desk.publish(*[proposal(name, seconds=n) for n, name in enumerate(names)])
    await desk.publish(tick(100), tick(200))
    for n, name in enumerate(names):
        await desk.publish(*votes(name, seconds=n + 0.5))
    async with desk.consensus(clock=Clock(at(300))):
        pass
    decided = await desk.decided()
    assert len(decided) == 12
    assert {(d.outcome, d.degraded) for d in decided.values()} == {(Outcome.EXECUTE, False)}


async def test_what_is_too_old_to_matter_is_refused_though_its_votes_are_all_there():
    """Nobody listened for two hours; only the proposals of the last one are still decided on."""
    desk = Desk()
    for n in range(12):
        await desk.publish(proposal(f"p{n}", seconds=600 * n))
        await desk.publish(*votes(f"p{n}", seconds=600 * n + 1))
    now = at(7000)
    async with desk.consensus(clock=Clock(now)) as handler:
        pass
    decided = [
        d
        for _, d in sorted((await desk.decided()).items(), key=lambda d: d[1].proposal.occurred_at)
    ]
    assert [(d.outcome, d.reason, d.participation) for d in decided] == [
        *[(Outcome.REJECT, "too_old", 0)] * 6,
        *[(Outcome.EXECUTE, "consensus", 4)] * 6,
    ]
    assert [now - d.proposal.occurred_at > timedelta(hours=1) for d in decided] == (
        [True] * 6 + [False] * 6
    )
    # What the clock said is in the journal, so a process with another clock recovers the same.
    other = DecisionHandler(Rules(), desk.metrics, clock=Clock(at(0)))
    await other.recover(desk.ledger)
    assert other.engine.to_bytes() == handler.engine.to_bytes()


async def test_a_round_that_was_open_before_a_long_stop_expires():
    desk = Desk()
    async with desk.consensus(clock=Clock(at(1))):
        await desk.publish(proposal("a"), *votes("a")[:3])
    await desk.publish(votes("a")[3], proposal("b", seconds=9000))
    async with desk.consensus(clock=Clock(at(9001))):
        await desk.publish(*votes("b", seconds=9000))
    first, second = (await desk.decided()).values()
    assert (first.outcome, first.reason) == (Outcome.REJECT, "too_old")
    assert [i.reason for i in first.ignored] == ["too_old"] * 3
    assert second.outcome is Outcome.EXECUTE


async def test_decisions_and_who_agreed_with_them_are_among_the_metrics():
    desk = Desk()
    async with desk.consensus():
        await desk.publish(proposal("a"), *votes("a", (80, 80, 80, 74)))
        await desk.publish(proposal("b"), *votes("b", (70, 70, 70, 70)))
        await desk.publish(proposal("c"), *votes("c", (100, 60, 80, 80)))  # a person decides
    shown = desk.metrics.exposition().decode()
    assert 'quorum_decisions_total{outcome="EXECUTE",reason="consensus"} 1.0' in shown
    assert 'quorum_decisions_total{outcome="REJECT",reason="below_threshold"} 1.0' in shown
    assert 'quorum_decisions_total{outcome="MANUAL_REVIEW",reason="disagreement"} 1.0' in shown
    for agent, agreed in ((AGENTS[0], {"yes": 2}), (AGENTS[3], {"yes": 1, "no": 1})):
        for told, count in agreed.items():
            line = f'quorum_votes_decided_total{{agent="{agent}",agreed="{told}"}} {count}.0'
            assert line in shown


async def test_breakers_are_on_record_and_among_the_metrics():
    desk = Desk()
    rules = Rules(breaker=BreakerRules(missed_rounds=2))
    async with desk.consensus(rules):
        for n in range(3):
            cast = votes(f"p{n}", seconds=10 * n)[:3]
            await desk.publish(proposal(f"p{n}", seconds=10 * n), *cast)
            await desk.drained()
            await desk.publish(tick(10 * n + 2))
            await desk.drained()
    changes = [e for e in await desk.recorded() if isinstance(e, BreakerChanged)]
    assert [(c.agent_id, c.after) for c in changes] == [(AGENTS[3], "open")]
    shown = desk.metrics.exposition().decode()
    assert f'quorum_breaker_state{{agent="{AGENTS[3]}",partition="0"}} 2.0' in shown
    assert f'quorum_breaker_state{{agent="{AGENTS[0]}",partition="0"}} 0.0' in shown
    assert f'quorum_breaker_changes_total{{agent="{AGENTS[3]}",state="open"}} 1.0' in shown


def delivered(batch) -> list[tuple[Delivery, Message]]:
    return [
        (Delivery(stream=Stream.VOTES, partition=0, position="", data=encode(m)), m) for m in batch
    ]


async def commit(handler: DecisionHandler, lease: Lease, ledger: MemoryLedger, batch, sequence):
    effects = await handler.handle(delivered(batch))
    committed = await ledger.commit(
        lease,
        Commit(
            expected_sequence=sequence,
            inputs=effects.inputs,
            events=effects.events,
            snapshot=effects.snapshot,
        ),
    )
    return committed.sequence


@settings(max_examples=40)
@given(traffic(), st.lists(st.integers(0, 60), max_size=6), st.integers(1, 30), st.data())
def test_a_snapshot_and_its_tail_equal_the_whole_journal(messages, cuts, between, data):
    rules = data.draw(st.lists(st.sampled_from([Rules(), STRICT]), min_size=7, max_size=7))

    async def run() -> None:
        ledger, metrics, sequence = MemoryLedger(), PrometheusMetrics(), 0
        lease = await ledger.acquire(Log.DECISIONS, 0)
        places = [0, *sorted(cuts), len(messages)]
        for (start, end), own in zip(pairwise(places), rules, strict=False):
            handler = DecisionHandler(own, metrics, inputs_between_snapshots=between)
            await handler.recover(ledger)  # from the last snapshot, and what came behind it
            assert handler.engine.to_bytes() == (await rebuilt(ledger)).to_bytes()
            if batch := messages[start:end]:
                sequence = await commit(handler, lease, ledger, batch, sequence)
                assert handler.engine.rules == own
        assert handler.engine.to_bytes() == (await rebuilt(ledger)).to_bytes()

    asyncio.run(run())


async def rebuilt(ledger: MemoryLedger) -> Engine:
    """The engine that the whole journal gives, without any snapshot."""
    engine = Engine()
    for entry in await ledger.inputs(Log.DECISIONS, 0, limit=10_000):
        engine.apply(decode(entry.data))
    return engine


async def journalled(snapshot: bytes | None) -> MemoryLedger:
    ledger = MemoryLedger()
    handler = DecisionHandler(Rules(), PrometheusMetrics())
    lease = await ledger.acquire(Log.DECISIONS, 0)
    sequence = await commit(handler, lease, ledger, [proposal("a"), *votes("a")[:2]], 0)
    await ledger.commit(lease, Commit(expected_sequence=sequence, snapshot=snapshot))
    return ledger


async def test_a_snapshot_of_another_release_is_passed_over():
    ledger = await journalled(b'{"rounds":{},"of":"another release"}')
    handler = DecisionHandler(Rules(), PrometheusMetrics())
    await handler.recover(ledger)
    assert handler.engine.to_bytes() == (await rebuilt(ledger)).to_bytes()
    assert len(handler.engine.state.rounds) == 1


async def test_without_the_inputs_behind_the_snapshot_nothing_is_decided(monkeypatch):
    ledger = await journalled(None)
    whole: Sequence = await ledger.inputs(Log.DECISIONS, 0)

    async def trimmed(*_, after: int, **__):
        return [entry for entry in whole if entry.number > max(after, 1)]

    monkeypatch.setattr(ledger, "inputs", trimmed)
    with pytest.raises(RecordIncomplete, match="lacks what follows input 0"):
        await DecisionHandler(Rules(), PrometheusMetrics()).recover(ledger)


async def test_a_proposal_again_is_known_though_the_same_batch_decided_and_forgot_it():
    ledger = MemoryLedger()
    handler = DecisionHandler(DEFAULTS, PrometheusMetrics())
    lease = await ledger.acquire(Log.DECISIONS, 0)
    await handler.recover(ledger)
    batch = [proposal(), *votes(), tick(3000), proposal(), *votes(), tick(3001)]
    assert await commit(handler, lease, ledger, batch, 0) == 1


async def test_a_snapshot_is_written_the_less_often_the_more_it_holds():
    handler = DecisionHandler(DEFAULTS, PrometheusMetrics(), inputs_between_snapshots=5)
    written = []
    for number in range(40):
        name = f"p{number}"
        effects = await handler.handle(delivered([proposal(name), *votes(name)]))
        if effects.snapshot is not None:
            written.append(number)
    gaps = [after - before for before, after in pairwise(written)]
    assert gaps == sorted(gaps)
    assert (gaps[0], gaps[-1]) == (1, 8)


async def test_a_vote_that_no_decoder_takes_is_journalled_as_the_engine_heard_it():
    ledger = MemoryLedger()
    handler = DecisionHandler(DEFAULTS, PrometheusMetrics())
    lease = await ledger.acquire(Log.DECISIONS, 0)
    await handler.recover(ledger)
    refused = VoteRefused(
        message_id="m",
        correlation_id="c",
        occurred_at=at(0),
        agent_id=AGENTS[0],
        reason="out_of_range",
    )
    came = Delivery(stream=Stream.VOTES, partition=0, position="", data=b'{"score":101}')
    effects = await handler.handle([(came, refused)])
    await ledger.commit(lease, Commit(expected_sequence=0, inputs=effects.inputs))
    assert handler.engine.state.breakers[AGENTS[0]].refused == 1
    assert (await rebuilt(ledger)).to_bytes() == handler.engine.to_bytes()


@asynccontextmanager
async def deciding(bus: MemoryBus, ledger: Ledger, metrics: PrometheusMetrics, partition: int):
    """Run one partition's consensus for the block, as a process of its own."""
    handler = DecisionHandler(DEFAULTS, metrics, partition=partition)
    processor = Processor(
        bus,
        ledger,
        handler,
        metrics,
        group="consensus",
        partition=partition,
        sources=[(stream, partition) for stream in STREAMS],
        last=[Stream.TIME],
        wait_ms=10,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(processor.run(stop))
    try:
        yield handler
        for stream in STREAMS:
            while (await bus.backlog("consensus", stream, partition)).total:  # noqa: ASYNC110
                await asyncio.sleep(0)
    finally:
        stop.set()
        await running


@pytest.mark.parametrize("taken_in", ["in one batch", "journalled before"])
async def test_a_proposal_that_another_partition_decided_blocks_nothing(
    taken_in: str, ledger_url: str
):
    bus, metrics, ledger = MemoryBus(), PrometheusMetrics(), PostgresLedger(ledger_url)
    twice = {0: proposal("twice", symbol="IBM"), 1: proposal("twice", symbol="XOM")}
    cast = {p: votes("twice", symbol=m.symbol) for p, m in twice.items()}
    if taken_in == "journalled before":
        async with deciding(bus, ledger, metrics, 1):
            await bus.publish(Stream.PROPOSALS, 1, twice[1])
            await bus.publish(Stream.TIME, 1, tick(0.5))
    async with deciding(bus, ledger, metrics, 0):
        await bus.publish(Stream.PROPOSALS, 0, twice[0])
        for vote in cast[0]:
            await bus.publish(Stream.VOTES, 0, vote)
    async with deciding(bus, ledger, metrics, 1) as handler:
        if taken_in == "in one batch":
            await bus.publish(Stream.PROPOSALS, 1, twice[1])
        for vote in (*cast[1], *votes("next", symbol="XOM")):
            await bus.publish(Stream.VOTES, 1, vote)
        await bus.publish(Stream.PROPOSALS, 1, proposal("next", symbol="XOM"))
    first, second = [
        [e.message.proposal for e in await ledger.events(Log.DECISIONS, p)] for p in (0, 1)
    ]
    assert first == [twice[0]]
    assert second == [proposal("next", symbol="XOM")]
    ignored = await ledger.ignored(Log.DECISIONS, 1)
    assert next(i.message for i in ignored if i.reason == "decided_elsewhere") == twice[1]
    without_effect = {i.message.message_id for i in ignored}
    assert without_effect == {m.message_id for m in (twice[1], *cast[1])}
    assert 'reason="decided_elsewhere"' in metrics.exposition().decode()
    again = DecisionHandler(DEFAULTS, metrics, partition=1)
    await again.recover(ledger)
    assert again.engine.to_bytes() == handler.engine.to_bytes()
    await ledger.close()


@pytest.mark.parametrize(
    ("sealed_by", "said", "reason"),
    [
        (AGENTS[1], b'{"score":101}', "missing_field"),
        (AGENTS[1], encode(votes()[1]).replace(b'"score":80', b'"score":101'), "out_of_range"),
        (AGENTS[1], encode(votes()[1]).replace(b'"score":80', b'"score": 80'), "not_canonical"),
        (AGENTS[1], encode(votes()[0]), "forged_vote"),
        (AGENTS[1], b"\xff", "malformed"),
        (AGENTS[1], b'{"proposal_id":"\\u0000"}', "nul_character"),
        (None, encode(votes()[1]).replace(b'"score":80', b'"score":101'), "out_of_range"),
        (None, encode(votes()[1]), "forged_vote"),
    ],
)
async def test_garbage_is_counted_against_the_agent_whose_seal_it_bears_and_nobody_else(
    sealed_by: str | None, said: bytes, reason: str
):
    desk, secrets = Desk(), {p: bytes([n]) * 32 for n, p in enumerate(Producer)}
    keys = {key_id(secret): Key(producer, secret) for producer, secret in secrets.items()}
    ring = SimpleNamespace(find=keys.get)
    forger = b"nobody's".ljust(32)
    limit = DEFAULTS.breaker.refused_votes
    secret = secrets[Producer(sealed_by)] if sealed_by else forger
    # So many that differ: the same one is held against nobody twice.
    garbage = [seal(_another(said, number), secret) for number in range(limit)]
    async with desk.consensus(clock=Clock(at(0)), authenticity=Authenticity(ring)) as handler:
        for data in garbage:
            await desk.bus.publish_raw(Stream.VOTES, 0, data)
    changes = [e for e in await desk.recorded() if isinstance(e, BreakerChanged)]
    cut_off = [(e.agent_id, e.after, e.cause) for e in changes]
    assert cut_off == ([(sealed_by, BreakerState.OPEN, Cause.GARBAGE)] if sealed_by else [])
    letters = await desk.ledger.dead_letters()
    assert [(d.data, d.reason) for d in letters] == [(data, reason) for data in garbage]
    told = [i.message for i in await desk.ledger.ignored(Log.DECISIONS, 0)]
    assert len(told) == (limit if sealed_by else 0)
    cards = [card for m in told for card in from_ignored(Ignored(message=m, reason=reason))]
    assert [(c.agent_id, c.ignored) for c in cards] == [(sealed_by, {reason: 1})] * len(told)
    assert (await rebuilt(desk.ledger)).to_bytes() == handler.engine.to_bytes()


def _another(said: bytes, number: int) -> bytes:
    """Return garbage of the same kind in other bytes."""
    if b"measured" in said:
        return said.replace(b"measured", b"measured" + b"a" * number)
    return said[:1] + b" " * number + said[1:] if said[:1] == b"{" else said + b"a" * number


async def test_garbage_under_a_seal_of_other_bytes_is_nobody_s():
    secret, agent = b"1" * 32, AgentId.EXECUTION
    ring = SimpleNamespace(find={key_id(secret): Key(Producer(agent), secret)}.get)
    desk, stolen = Desk(), seal(encode(votes()[3]), secret)
    for forged in (stolen.replace(b'"score":80', b'"score":101'), stolen + b"}"):
        for _ in range(DEFAULTS.breaker.refused_votes):
            await desk.bus.publish_raw(Stream.VOTES, 0, forged)
    async with desk.consensus(clock=Clock(at(0)), authenticity=Authenticity(ring)) as handler:
        pass
    assert handler.engine.state.breakers == {}
    assert len(await desk.ledger.dead_letters()) == 2 * DEFAULTS.breaker.refused_votes


async def test_an_agent_may_not_tell_of_another_s_refused_vote():
    secret = b"1" * 32
    ring = SimpleNamespace(find={key_id(secret): Key(Producer.EXECUTION, secret)}.get)
    desk = Desk()
    for agent in (AgentId.RISK_MANAGER, "unknown"):
        slander = VoteRefused(
            message_id=agent, correlation_id="c", occurred_at=at(0), agent_id=agent, reason="stale"
        )
        await desk.bus.publish_raw(Stream.VOTES, 0, seal(encode(slander), secret))
    async with desk.consensus(clock=Clock(at(0)), authenticity=Authenticity(ring)) as handler:
        pass
    assert set(handler.engine.state.breakers) == {AgentId.EXECUTION}  # its seal, so its garbage
    assert {d.reason for d in await desk.ledger.dead_letters()} == {"forged_message"}
