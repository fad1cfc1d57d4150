"""The engine: rounds, time, what comes too early, too late or twice, and reviews."""

import subprocess
import sys
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.engine import Engine
from domain.errors import InvalidValue
from domain.identity import derive_id
from domain.messages import encode
from domain.ports.ledger import Ignored
from domain.review import ReviewVerdict
from domain.rules import Rules
from domain.voting import Action, ConsensusResult, Outcome, TradingProposal, Vote
from tests.builders import AGENTS, at, observed, proposal, tick, verdict, vote, votes
from tests.consensus.traffic import traffic


def run(*messages, engine: Engine | None = None) -> list:
    engine = engine or Engine(Rules())
    return [event for message in messages for event in engine.apply(message)]


def run_with_record(*messages, engine: Engine, record: set[str]) -> list:
    """Apply messages as the handler does: what the engine may have forgotten, the record knows."""
    events = []
    for message in messages:
        if (
            isinstance(message, TradingProposal)
            and engine.may_have_forgotten(message)
            and derive_id("decision", message.proposal_id) in record
        ):
            continue
        caused = engine.apply(message)
        record.update(d.decision_id for d in decisions(caused))
        events += caused
    return events


def decisions(events) -> list[ConsensusResult]:
    return [e for e in events if isinstance(e, ConsensusResult)]


def reasons(events) -> list[str]:
    return [e.reason for e in events if isinstance(e, Ignored)]


def test_four_votes_close_a_round():
    *before, last = [proposal(), *votes()]
    engine = Engine(Rules())
    assert run(*before, engine=engine) == []
    [decision] = run(last, engine=engine)
    assert decision.outcome is Outcome.EXECUTE
    assert decision.decision_id == derive_id("decision", proposal().proposal_id)
    assert decision.causation_id == proposal().proposal_id
    assert decision.correlation_id == proposal().correlation_id
    assert decision.occurred_at == at(0.5)
    assert [v.agent_id for v in decision.counted] == sorted(AGENTS)
    assert engine.state.rounds == {}


def test_the_bytes_do_not_depend_on_the_order_of_arrival():
    cast = [vote(agent=a, score=70 + n, seconds=n / 10) for n, a in enumerate(AGENTS)]
    bytes_seen = {encode(decisions(run(*order))[0]) for order in permutations([proposal(), *cast])}
    assert len(bytes_seen) == 1


def test_the_deadline_closes_a_round():
    events = run(proposal(), *votes()[:2], tick(1.9))
    assert events == []
    [decision] = decisions(run(proposal(), *votes()[:2], tick(1.9), tick(2)))
    assert (decision.outcome, decision.reason) == (Outcome.MANUAL_REVIEW, "degraded")
    assert decision.occurred_at == at(2)
    [silent] = run(proposal(), tick(3600))
    assert (silent.outcome, silent.reason) == (Outcome.REJECT, "no_quorum")
    assert silent.occurred_at == at(2)


def test_an_abstention_is_heard():
    [decision] = run(proposal(), *votes()[:3], vote(agent=AGENTS[3], abstention="no model"))
    assert (decision.participation, decision.degraded) == (3, True)


def test_hold_is_rejected():
    [decision] = run(proposal(action=Action.HOLD), *votes())
    assert (decision.outcome, decision.reason) == (Outcome.REJECT, "hold")


def test_a_late_vote_is_accounted_for_and_changes_nothing():
    events = run(proposal(), *votes()[:3], tick(2), votes()[3])
    assert len(decisions(events)) == 1
    assert reasons(events) == ["late"]


def test_duplicates_have_no_effect():
    cast = votes()
    events = run(proposal(), proposal(), cast[0], cast[0], *cast[1:], cast[2], proposal())
    assert [d.ignored for d in decisions(events)] == [()]
    assert reasons(events) == ["duplicate", "duplicate", "late", "duplicate"]


def test_a_vote_waits_for_its_proposal_but_not_for_ever():
    engine = Engine(Rules())
    assert run(*votes(), tick(1), tick(20), engine=engine) == []
    assert len(decisions(run(proposal(), engine=engine))) == 1
    expired = run(vote("nothing"), tick(1), tick(30.9), tick(31))
    assert reasons(expired) == ["unknown_proposal"]


def test_every_vote_that_waited_for_its_proposal_is_looked_at():
    thinks_again = vote(agent=AGENTS[3], score=10, seconds=0.7, version="again")
    [decision] = decisions(run(*votes(), thinks_again, proposal()))
    counted = {v.message_id for v in decision.counted}
    assert counted == {v.message_id for v in (thinks_again, *votes()[:3])}
    assert [i.reason for i in decision.ignored] == ["superseded"]


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (vote(agent=AGENTS[0], seconds=-31), "stale"),
        (vote(agent=AGENTS[0], seconds=33), "from_the_future"),
        (vote(agent=AGENTS[0], symbol="AAPL"), "wrong_symbol"),
    ],
)
def test_untimely_votes_are_refused_with_a_reason(odd, reason):
    events = run(proposal(), odd, *votes()[1:], tick(2))
    [decision] = decisions(events)
    assert decision.participation == 3
    assert [i.reason for i in decision.ignored] == [reason]
    assert reasons(events) == [reason]


def test_a_vote_can_grow_stale_while_the_round_is_open():
    old = vote(agent=AGENTS[0], seconds=-29)
    [decision] = run(proposal(), old, *votes(seconds=1.5)[1:])
    assert (decision.participation, [i.reason for i in decision.ignored]) == (3, ["stale"])


def test_an_unknown_agent_is_never_heard():
    events = run(proposal(), vote(agent="mallory"), *votes()[:3], tick(2))
    assert decisions(events)[0].participation == 3
    assert reasons(events) == ["unknown_agent"]


def test_the_last_vote_of_an_agent_counts():
    changed = vote(agent=AGENTS[0], score=0, seconds=0.6, version="second")
    [decision] = decisions(run(proposal(), votes()[0], changed, *votes()[1:]))
    assert decision.reason == "disagreement"
    assert [i.reason for i in decision.ignored] == ["superseded"]


def test_a_flood_of_votes_is_bounded():
    flood = [vote(agent=AGENTS[0], seconds=0.1, version=str(n)) for n in range(40)]
    engine = Engine(Rules())
    events = run(proposal(), *flood, engine=engine)
    assert reasons(events)[:8] == ["too_many_votes"] * 8
    [decision] = decisions(run(tick(2), engine=engine))
    assert len(decision.ignored) == 7


def test_other_messages_are_no_business_here():
    [decision] = run(proposal(), *votes())
    assert reasons(run(decision)) == ["unexpected_type"]


def test_what_is_decided_is_let_go_and_the_record_is_asked():
    engine = Engine(Rules())
    run(proposal("a"), *votes("a"), tick(40), engine=engine)
    assert engine.apply(proposal("a"))[0].reason == "duplicate"
    assert not engine.may_have_forgotten(proposal("a"))
    run(tick(63), engine=engine)
    assert engine.state.decided == {}
    assert engine.may_have_forgotten(proposal("a"))
    assert not engine.may_have_forgotten(proposal("b", seconds=63))


@settings(max_examples=60, deadline=None)
@given(traffic(), st.integers(0, 30))
def test_every_proposal_is_decided_once_and_every_vote_accounted_for(messages, cut):
    engine, record = Engine(Rules()), set[str]()
    events = run_with_record(*messages, engine=engine, record=record)
    whole = engine.to_bytes()
    end = tick(100_000), tick(100_031), tick(200_000)
    events += run_with_record(*end, engine=engine, record=record)
    decided = decisions(events)
    first = [d for d in decided if d.reason not in REVIEWED]
    assert len({d.decision_id for d in decided}) == len(decided)
    assert {d.proposal.proposal_id for d in first} == {derive_id("proposal", n) for n in "abc"}
    reviewed = [d for d in first if d.outcome is Outcome.MANUAL_REVIEW]
    assert len(decided) == len(first) + len(reviewed)
    state = engine.state
    assert not any((state.rounds, state.held, state.reviews, state.decided))
    accounted = {v.message_id for d in first for v in (*d.counted, *d.ignored)}
    accounted |= {e.message.message_id for e in events if isinstance(e, Ignored)}
    assert accounted >= {m.message_id for m in messages if isinstance(m, Vote)}

    # A copy made from bytes half-way goes on as if nothing had happened.
    part, record = Engine(Rules()), set[str]()
    before = run_with_record(*messages[:cut], engine=part, record=record)
    restored = Engine.from_bytes(part.to_bytes())
    after = run_with_record(*messages[cut:], engine=restored, record=record)
    assert before + after == events[: len(before + after)]
    assert restored.to_bytes() == whole


REVIEWED = {"approved", "review_rejected", "review_timeout", "price_moved"}

_PROGRAM = """
import hashlib
from consensus.engine import Engine
from domain.breaker import BreakerRules
from domain.messages import encode
from domain.ports.ledger import Ignored
from domain.rules import Rules, RulesChanged
from tests.builders import AGENTS, observed, proposal, tick, vote, votes
quick = Rules(breaker=BreakerRules(missed_rounds=2, late_votes=2, refused_votes=2))
change = RulesChanged(
    message_id="r", correlation_id="r", occurred_at=tick(0).occurred_at,
    before=Rules(), after=quick, actor="settings",
)
engine, digest, kinds = Engine(), hashlib.sha256(), set()
def apply(*messages):
    for message in messages:
        for event in engine.apply(message):
            kinds.add(type(event).__name__)
            digest.update(event.reason.encode() if isinstance(event, Ignored) else encode(event))
for n in range(60):
    name, moment = str(n), 40 * n
    cast = votes(name, scores=(60 + n % 40, 80, 75, 90 - n % 50), seconds=moment + 0.5)
    heard = cast[: 4 - n // 7 % 5]
    apply(proposal(name, seconds=moment), *heard[n % 3 :], *heard[:2])
    apply(vote(name, AGENTS[n % 4], symbol="AAPL", seconds=moment, version="wrong"))
    apply(vote(name, "mallory"), vote(str(n + 1), seconds=moment, version="early"))
    apply(tick(moment + 2), *cast[2:], observed(moment + 3))
    if n == 10:
        apply(change)
apply(observed(9000), proposal("old"), tick(20_000))
assert len(kinds) == 6, kinds
print(digest.hexdigest(), hashlib.sha256(engine.to_bytes()).hexdigest())
"""


def test_another_hash_seed_gives_the_same_bytes():
    answers = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(answers) == 1


def test_a_verdict_needs_a_price():
    with pytest.raises(InvalidValue):
        verdict("x", price="0")
    assert isinstance(verdict("x"), ReviewVerdict)


def test_a_proposal_that_is_too_old_is_never_executed():
    assert reasons(run(tick(3601), proposal(), *votes())) == ["late"] * 4
    [refused] = decisions(run(tick(3601), proposal(), *votes()))
    assert (refused.outcome, refused.reason) == (Outcome.REJECT, "too_old")
    assert (refused.participation, refused.counted) == (0, ())
    [early] = decisions(run(*votes(), tick(1), tick(2), tick(3601), proposal()))
    assert early.reason == "too_old"
    [just] = decisions(run(tick(3600), proposal(), *votes()))
    assert just.outcome is Outcome.EXECUTE


def test_time_that_is_only_observed_judges_age_and_no_deadline():
    engine = Engine()
    run(proposal("a"), *votes("a")[:2], proposal("b", seconds=3000), engine=engine)
    [expired] = run(observed(3601), engine=engine)
    assert (expired.reason, [i.reason for i in expired.ignored]) == ("too_old", ["too_old"] * 2)
    [decision] = run(*votes("b", seconds=3001), engine=engine)
    assert (decision.outcome, decision.degraded) == (Outcome.EXECUTE, False)


def test_a_round_that_the_deadline_ends_too_late_to_matter_is_not_executed():
    [in_time] = decisions(run(proposal(), *votes()[:3], tick(3600)))
    assert (in_time.outcome, in_time.degraded) == (Outcome.EXECUTE, True)
    [expired] = decisions(run(proposal(), *votes()[:3], tick(3601)))
    assert (expired.outcome, expired.reason, expired.participation) == (
        Outcome.REJECT,
        "too_old",
        0,
    )


def test_a_round_from_the_future_ends_too():
    engine = Engine()
    assert run(proposal(seconds=10**9), tick(0), tick(3600), engine=engine) == []
    [refused] = run(tick(3601), engine=engine)
    assert (refused.outcome, refused.reason) == (Outcome.REJECT, "from_the_future")
    assert engine.state.rounds == {}
    run(tick(2 * 10**9), engine=engine)
    assert engine.state.decided == {}
    assert engine.may_have_forgotten(proposal(seconds=10**9))


def test_votes_that_wait_for_their_proposal_are_all_in_time():
    """Only when the proposal comes is the round decided: a change of mind before it counts."""
    second = vote(agent=AGENTS[0], score=20, seconds=0.6, version="second")
    [decision] = decisions(run(*votes(), second, proposal()))
    assert (decision.outcome, decision.reason) == (Outcome.MANUAL_REVIEW, "disagreement")
    assert [i.reason for i in decision.ignored] == ["superseded"]


def test_one_agent_can_not_crowd_the_others_out():
    flood = [vote(agent=AGENTS[0], seconds=0.1, version=str(n)) for n in range(100)]
    for order in ([proposal(), *flood, *votes()[1:]], [*flood, *votes()[1:], proposal()]):
        [decision] = decisions(run(*order))
        assert (decision.outcome, decision.participation) == (Outcome.EXECUTE, 4)


@settings(max_examples=60)
@given(traffic(), st.integers(1, 4))
def test_what_is_remembered_is_bounded_and_every_round_ends(messages, limit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("consensus.engine._MOST_REMEMBERED", limit)
        engine, record, events = Engine(), set[str](), []
        for message in messages:
            events += run_with_record(message, engine=engine, record=record)
            state = engine.state
            known = (state.rounds, state.held, state.decided, state.absent)
            assert max(map(len, known)) <= limit
        events += run_with_record(
            tick(10_000), tick(10_031), tick(100_000), engine=engine, record=record
        )
    first = [d for d in decisions(events) if d.reason not in REVIEWED]
    assert {d.proposal.proposal_id for d in first} == {derive_id("proposal", n) for n in "abc"}
    assert len({d.decision_id for d in decisions(events)}) == len(decisions(events))
    assert not any((engine.state.rounds, engine.state.held, engine.state.reviews))
