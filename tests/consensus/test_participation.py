"""Agents that are cut off, inside the engine: rounds go on without them, by the plan's table."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from consensus.engine import Engine
from domain.breaker import BreakerChanged, BreakerRules, BreakerState, Cause
from domain.ports.ledger import Ignored
from domain.rules import Rules
from domain.voting import ConsensusResult, Outcome, ProposalDecided, VoteRefused
from tests.builders import AGENTS, at, observed, proposal, tick, vote, votes

RULES = Rules(
    breaker=BreakerRules(
        missed_rounds=2, late_votes=2, refused_votes=2, pause=timedelta(seconds=60)
    )
)
DEAD = AGENTS[3]
ALIVE = [agent for agent in AGENTS if agent != DEAD]


def apply(engine: Engine, *messages) -> list:
    return [event for message in messages for event in engine.apply(message)]


def changes(events) -> list[tuple[str, BreakerState, Cause]]:
    return [(e.agent_id, e.after, e.cause) for e in events if isinstance(e, BreakerChanged)]


def decisions(events) -> list[ConsensusResult]:
    return [e for e in events if isinstance(e, ConsensusResult)]


def reasons(events) -> list[str]:
    return [e.reason for e in events if isinstance(e, Ignored)]


def round_without(engine: Engine, name: str, seconds: float, *missing: str) -> list:
    cast = [vote(name, agent, seconds=seconds + 0.5) for agent in AGENTS if agent not in missing]
    return apply(engine, proposal(name, seconds=seconds), *cast, tick(seconds + 2))


def cut_off(*missing: str) -> Engine:
    engine = Engine(RULES)
    round_without(engine, "a", 0, *missing)
    events = round_without(engine, "b", 10, *missing)
    assert changes(events) == [(agent, BreakerState.OPEN, Cause.DEAD) for agent in sorted(missing)]
    return engine


def test_a_dead_agent_is_no_longer_waited_for():
    engine = cut_off(DEAD)
    cast = [vote("c", agent, seconds=20.5) for agent in ALIVE]
    [decision] = apply(engine, proposal("c", seconds=20), *cast)
    assert (decision.outcome, decision.participation) == (Outcome.EXECUTE, 3)
    assert decision.degraded
    assert decision.occurred_at == at(20.5)


@pytest.mark.parametrize(
    ("missing", "outcome", "reason"),
    [
        ((AGENTS[1],), Outcome.MANUAL_REVIEW, "degraded"),
        ((AGENTS[0], AGENTS[2]), Outcome.MANUAL_REVIEW, "degraded"),
        (AGENTS[:3], Outcome.REJECT, "no_quorum"),
        (AGENTS, Outcome.REJECT, "no_quorum"),
    ],
)
def test_the_table_of_degraded_participation_applies(missing, outcome, reason):
    engine = cut_off(*missing)
    cast = [vote("c", agent, seconds=20.5) for agent in AGENTS if agent not in missing]
    [decision] = decisions(apply(engine, proposal("c", seconds=20), *cast))
    assert (decision.outcome, decision.reason) == (outcome, reason)
    assert decision.participation == 4 - len(missing)


def test_its_votes_are_ignored_until_a_probe_succeeds():
    engine = cut_off(DEAD)
    events = apply(engine, proposal("c", seconds=20), *votes("c", seconds=20.5)[::-1])
    [decision] = decisions(events)
    assert reasons(events) == ["breaker_open"]
    assert [(i.agent_id, i.reason) for i in decision.ignored] == [(DEAD, "breaker_open")]

    # The pause runs from the deadline of the round that opened it: 12 s. Two rounds open after it.
    events = apply(engine, proposal("d", seconds=72), proposal("e", seconds=72))
    assert changes(events) == [(DEAD, BreakerState.HALF_OPEN, Cause.DEAD)]
    [other] = decisions(apply(engine, *[vote("e", a, seconds=72.1) for a in ALIVE]))
    assert other.participation == 3
    *probe, last = votes("d", seconds=72.2)
    assert apply(engine, *probe) == []
    decision, change = apply(engine, last)
    assert (decision.participation, decision.outcome) == (4, Outcome.EXECUTE)
    assert changes([change]) == [(DEAD, BreakerState.CLOSED, Cause.DEAD)]
    assert change.proposal_id == decision.proposal.proposal_id == change.causation_id
    assert engine.state.breakers == {}
    assert decisions(apply(engine, proposal("f", seconds=80), *votes("f", seconds=80))) != []


def test_a_probe_that_fails_cuts_it_off_again():
    engine = cut_off(DEAD)
    events = round_without(engine, "d", 72, DEAD)
    assert changes(events) == [
        (DEAD, BreakerState.HALF_OPEN, Cause.DEAD),
        (DEAD, BreakerState.OPEN, Cause.DEAD),
    ]
    assert changes(round_without(engine, "e", 100, DEAD)) == []
    assert changes(round_without(engine, "f", 134, DEAD))[0][1] is BreakerState.HALF_OPEN


@pytest.mark.parametrize(
    "end",
    [
        [observed(72 + 3601)],  # too old to matter
        [
            ProposalDecided(
                message_id="m",
                correlation_id="c",
                occurred_at=at(72),
                proposal_id=proposal("d").proposal_id,
            )
        ],
    ],
    ids=["too_old", "decided_elsewhere"],
)
def test_a_probe_that_ends_unasked_leaves_the_next_round_to_probe(end):
    engine = cut_off(DEAD)
    assert changes(apply(engine, proposal("d", seconds=72)))[0][1] is BreakerState.HALF_OPEN
    assert changes(apply(engine, *end)) == [(DEAD, BreakerState.OPEN, Cause.DEAD)]
    assert engine.state.rounds == {}
    events = apply(engine, proposal("e", seconds=3673))
    assert changes(events) == [(DEAD, BreakerState.HALF_OPEN, Cause.DEAD)]


def test_a_round_that_cut_it_off_says_nothing_of_it_later():
    engine = cut_off(DEAD)
    apply(engine, proposal("without", seconds=71.5), proposal("probe", seconds=72))
    assert changes(apply(engine, *votes("probe", seconds=72))) != []
    apply(engine, proposal("first", seconds=70), *[vote("first", a, seconds=70) for a in ALIVE])
    apply(engine, *[vote("without", a, seconds=72) for a in ALIVE[:2]], tick(72), tick(74))
    assert engine.state.breakers[DEAD].missed == 1
    assert changes(round_without(engine, "second", 80, DEAD)) == [
        (DEAD, BreakerState.OPEN, Cause.DEAD)
    ]


def test_a_slow_agent_is_cut_off_for_its_late_votes():
    engine = Engine(replace(RULES, breaker=replace(RULES.breaker, missed_rounds=9)))
    for name, seconds in (("a", 0), ("b", 10)):
        assert changes(round_without(engine, name, seconds, DEAD)) == []
        late = vote(name, DEAD, seconds=seconds + 3)
        events = apply(engine, late, late)
        assert reasons(events) == ["late", "late"]
    assert changes(events) == [(DEAD, BreakerState.OPEN, Cause.SLOW)]


def test_a_second_vote_after_the_decision_is_not_slow():
    engine = Engine(RULES)
    for name, seconds in (("a", 0), ("b", 10), ("c", 20)):
        round_without(engine, name, seconds)
        again = vote(name, DEAD, seconds=seconds + 3, version="second thought")
        events = apply(engine, again)
        assert (reasons(events), changes(events)) == (["late"], [])


def test_garbage_cuts_off_and_is_never_counted():
    engine = Engine(RULES)
    wrong = [vote("a", DEAD, symbol="AAPL", version=str(n)) for n in range(3)]
    events = apply(engine, proposal("a"), wrong[0], wrong[0], wrong[1], wrong[2])
    assert reasons(events) == ["wrong_symbol", "duplicate", "wrong_symbol", "wrong_symbol"]
    assert changes(events) == [(DEAD, BreakerState.OPEN, Cause.GARBAGE)]
    [decision] = decisions(apply(engine, *[vote("a", a) for a in ALIVE], tick(2)))
    assert decision.participation == 3


def test_bytes_that_no_decoder_takes_count_against_whose_seal_they_carry():
    engine = Engine(RULES)
    refused = [
        VoteRefused(
            message_id=str(n),
            correlation_id="c",
            occurred_at=at(n),
            agent_id=agent,
            reason="out_of_range",
        )
        for n, agent in enumerate([DEAD, "mallory", "mallory", DEAD])
    ]
    events = apply(engine, *refused)
    assert reasons(events) == ["out_of_range"] * 4
    assert changes(events) == [(DEAD, BreakerState.OPEN, Cause.GARBAGE)]


def test_an_abstention_is_a_sign_of_life():
    engine = Engine(RULES)
    for n, name in enumerate("abcd"):
        cast = [vote(name, a, seconds=10 * n) for a in ALIVE]
        silent = vote(name, DEAD, seconds=10 * n, abstention="model too old")
        assert changes(apply(engine, proposal(name, seconds=10 * n), *cast, silent)) == []


def test_every_change_has_an_id_of_its_own():
    engine, ids = Engine(RULES), []
    for n in range(12):
        for name, missing in ((f"a{n}", (DEAD,)), (f"b{n}", (DEAD,)), (f"c{n}", ())):
            events = round_without(engine, name, 100 * n + 10 * len(ids), *missing)
            ids += [e.message_id for e in events if isinstance(e, BreakerChanged)]
    assert len(ids) > 20
    assert len(set(ids)) == len(ids)
