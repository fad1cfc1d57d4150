"""Deciding again: the same code finds the same bytes, changed code is found out and named."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from adapters.ledger.memory import MemoryLedger
from adapters.metrics import PrometheusMetrics
from consensus import redecision, rounds, rule
from consensus.decisions import DecisionHandler
from consensus.replay import Interval, Replayed, differences
from consensus.replay import replay as replay_partition
from domain.identity import derive_id
from domain.messages import encode
from domain.ports.bus import Delivery
from domain.ports.ledger import Commit, Log
from domain.review import final_id, opened_id
from domain.rules import Rules
from domain.streams import Stream
from domain.voting import Action, ConsensusResult, Thresholds
from tests.builders import AGENTS, at, proposal, tick, verdict, vote, votes

STRICT = Rules(
    thresholds=Thresholds(execute_at_weighted_score=Decimal(90)),
    review_price_collar=Decimal("0.01"),
)
ALWAYS = Interval()
BOTH = pytest.mark.parametrize("content", [False, True])


def decision_of(name: str) -> str:
    return derive_id("decision", derive_id("proposal", name))


def history() -> list[tuple[Rules, list]]:
    """Every way in which a round and a review can end, under two sets of rules."""
    reviewed = {"scores": (100, 60, 80, 80)}
    default = [
        *[proposal("executed"), *votes("executed"), *votes("executed", version="late")],
        *[proposal("below"), *votes("below", scores=(74, 75, 75, 75))],
        *[proposal("hold", action=Action.HOLD), *votes("hold")],
        *[proposal("veto"), *votes("veto", veto="gross exposure")],
        *[proposal("approved"), *votes("approved", **reviewed)],
        *[proposal("moved"), *votes("moved", **reviewed)],
        *[proposal("unanswered"), *votes("unanswered", **reviewed)],
        *[proposal("degraded"), *votes("degraded")[:2], proposal("nobody"), tick(2)],
        verdict(decision_of("approved")),
        verdict(decision_of("moved"), price="200"),
    ]
    strict = [
        *[proposal("strict", seconds=100), *votes("strict", seconds=101)],
        *[proposal("garbage", seconds=200), vote("garbage", symbol="AAPL", seconds=201)],
        *[*votes("garbage", seconds=200)[1:], tick(203), tick(4000)],
        *[proposal("old", seconds=300), *votes("old", seconds=301)],
        *[proposal("collar", seconds=3990), *votes("collar", seconds=3990, **reviewed)],
        verdict(decision_of("collar"), price="105", seconds=4000),
    ]
    return [(Rules(), default), (STRICT, strict)]


async def record() -> MemoryLedger:
    ledger, metrics, sequence = MemoryLedger(), PrometheusMetrics(), 0
    lease = await ledger.acquire(Log.DECISIONS, 0)
    for rules, messages in history():
        handler = DecisionHandler(rules, metrics)
        await handler.recover(ledger)
        effects = await handler.handle(
            [
                (Delivery(stream=Stream.VOTES, partition=0, position="", data=encode(m)), m)
                for m in messages
            ]
        )
        commit = Commit(expected_sequence=sequence, inputs=effects.inputs, events=effects.events)
        sequence = (await ledger.commit(lease, commit)).sequence
    return ledger


async def replay(ledger, interval=ALWAYS, *, content=False) -> Replayed:
    return await replay_partition(ledger, 0, interval, content=content)


def named(found: Replayed) -> dict[str, dict[str, tuple[str, str]]]:
    """Event → field → (recorded, again)."""
    return {
        d.message_id: {c.field: (c.recorded, c.again) for c in d.differences}
        for d in found.divergences
    }


@BOTH
async def test_the_same_code_decides_the_same(content):
    ledger = await record()
    found = await replay(ledger, content=content)
    assert found.method == ("content" if content else "inputs")
    assert found.divergences == ()
    events = [e.message for e in await ledger.events(Log.DECISIONS, 0)]
    assert found.events == len(events)
    reasons = {e.reason for e in events if isinstance(e, ConsensusResult)}
    assert reasons == {
        *("consensus", "below_threshold", "hold", "veto", "disagreement", "degraded"),
        *("no_quorum", "approved", "price_moved", "review_timeout", "too_old"),
    }


@BOTH
async def test_a_changed_rule_is_found_and_named_field_by_field(monkeypatch, content):
    ledger = await record()
    monkeypatch.setattr(rule, "_FEWEST_VOTES", 3)
    found = named(await replay(ledger, content=content))
    first = found.pop(decision_of("degraded"))
    assert first == {
        "outcome": ('"MANUAL_REVIEW"', '"REJECT"'),
        "reason": ('"degraded"', '"no_quorum"'),
    }
    # It would not have gone to a person, who therefore would not have let it time out.
    degraded = decision_of("degraded")
    assert set(found) == {opened_id(degraded), final_id(degraded)}
    assert {again for fields in found.values() for _, again in fields.values()} == {"absent"}


@BOTH
async def test_another_arithmetic_is_found(monkeypatch, content):
    """A sample variance where the population's is meant: the classic slip."""
    ledger = await record()
    whole = rule.judge

    def judge(counted, thresholds, action=None):
        found = whole(counted, thresholds, action)
        n = len(counted)
        if n < 2 or found.variance is None:
            return found
        return replace(found, variance=found.variance * n / (n - 1))

    monkeypatch.setattr(rule, "judge", judge)
    monkeypatch.setattr(redecision, "judge", judge)
    found = named(await replay(ledger, content=content))
    changed = found[decision_of("approved")]
    assert changed == {"variance": ('"200"', '"266.6666666666666666666666667"')}
    assert decision_of("executed") not in found  # four equal scores have none


@BOTH
async def test_the_rules_version_is_part_of_the_decision(monkeypatch, content):
    ledger = await record()
    monkeypatch.setattr(rounds, "RULE_VERSION", "2")
    monkeypatch.setattr(redecision, "RULE_VERSION", "2")
    found = await replay(ledger, Interval(until=at(1)), content=content)
    until = [e.message for e in await ledger.events(Log.DECISIONS, 0)]
    decided = [e for e in until if isinstance(e, ConsensusResult) and e.occurred_at < at(1)]
    assert len(found.divergences) == len(decided) > 0
    assert all("rule_version" in d for d in named(found).values())


async def test_what_only_the_inputs_tell_is_found_by_them(monkeypatch):
    """Which votes are accounted for: what a decision holds is taken as it is, the journal tells."""
    ledger = await record()
    monkeypatch.setattr(rounds, "MOST_REFUSED", 0)
    monkeypatch.setattr("consensus.engine.MOST_REFUSED", 0)
    found = named(await replay(ledger))
    assert found == {
        decision_of("garbage"): {
            "ignored": ("absent", "[]"),
            "ignored[0].agent_id": (f'"{AGENTS[0]}"', "absent"),
            "ignored[0].message_id": (f'"{vote("garbage").message_id}"', "absent"),
            "ignored[0].model_version": (f'"{vote("garbage").model_version}"', "absent"),
            "ignored[0].reason": ('"wrong_symbol"', "absent"),
        }
    }
    assert (await replay(ledger, content=True)).divergences == ()


@BOTH
async def test_an_interval_bounds_what_is_compared(monkeypatch, content):
    ledger = await record()
    events = [e.message.occurred_at for e in await ledger.events(Log.DECISIONS, 0)]
    cut: datetime = at(2)
    before = await replay(ledger, Interval(until=cut), content=content)
    after = await replay(ledger, Interval(since=cut), content=content)
    assert before.events == sum(moment < cut for moment in events)
    assert after.events == sum(moment >= cut for moment in events)
    monkeypatch.setattr(rounds, "RULE_VERSION", "2")
    monkeypatch.setattr(redecision, "RULE_VERSION", "2")
    late = await replay(ledger, Interval(since=at(10**6)), content=content)
    assert (late.events, late.divergences) == (0, ())
    some = await replay(ledger, Interval(since=cut), content=content)
    assert some.divergences
    assert all(d.occurred_at >= cut for d in some.divergences)


async def test_an_altered_log_diverges_from_its_inputs():
    """One event stands there but was never decided, another was and does not stand there."""
    ledger = await record()
    entries = ledger._partitions[Log.DECISIONS, 0].events
    gone = entries.pop(0)
    forged = replace(entries[0].message, message_id="forged", occurred_at=at(0))
    entries.insert(0, replace(entries[0], data=encode(forged)))
    found = await replay(ledger)
    by_id = {d.message_id: d for d in found.divergences}
    assert by_id.keys() == {"forged", gone.message.message_id}
    assert by_id[gone.message.message_id].sequence is None
    assert {c.again for c in by_id["forged"].differences} == {"absent"}


async def test_without_the_beginning_of_the_journal_the_decisions_speak_for_themselves():
    ledger = await record()
    del ledger._partitions[Log.DECISIONS, 0].inputs[0]
    found = await replay(ledger)
    assert (found.method, found.divergences) == ("content", ())


def test_differences_name_the_innermost_field():
    before = proposal()
    after = replace(
        before,
        price_target=Decimal(106),
        portfolio=replace(before.portfolio, cash=Decimal(1)),
        occurred_at=before.occurred_at + timedelta(seconds=1),
    )
    assert [d.field for d in differences(before, after)] == [
        "occurred_at",
        "portfolio.cash",
        "price_target",
    ]
    assert differences(before, before) == ()
