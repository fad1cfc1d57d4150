from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agents.scorecards import agreed, from_event, from_ignored
from consensus.engine import Engine, Rules
from domain.experience import Experience
from domain.ports.ledger import Ignored
from domain.scorecards import Scorecard, total
from domain.voting import Action, AgentId, Outcome
from tests.builders import AGENTS, at, proposal, tick, verdict, vote, votes

ANALYST = AgentId.MARKET_ANALYST
WHOLE = Scorecard(agent_id=ANALYST)


def decided(*cast, hold: bool = False):
    """Return the decisions, and what was ignored, of one proposal with these votes."""
    engine = Engine(Rules())
    asked = proposal(action=Action.HOLD if hold else Action.BUY)
    events = [event for message in (asked, *cast, tick(60)) for event in engine.apply(message)]
    return [e for e in events if not isinstance(e, Ignored)], [
        e for e in events if isinstance(e, Ignored)
    ]


def card_of(agent: str, *events, ignored=()) -> Scorecard:
    cards = [card for event in events for card in from_event(event)]
    cards += [card for event in ignored for card in from_ignored(event)]
    return total((c for c in cards if c.agent_id == agent), Scorecard(agent_id=agent))


def experience(reward: str, *, score: int, ppm: int) -> Experience:
    return Experience(
        message_id="e",
        correlation_id="",
        occurred_at=at(0),
        decision_id="d",
        symbol="IBM",
        state={},
        action=Action.BUY,
        outcome=Outcome.EXECUTE,
        reward=Decimal(reward),
        next_state={},
        horizon_days=5,
        agent_contributions={},
        scores={ANALYST: score, AgentId.RISK_MANAGER: 80},
        confidences_ppm={ANALYST: ppm, AgentId.RISK_MANAGER: ppm},
        model_versions={ANALYST: "market_analyst@2:feed"},
    )


def test_a_counted_vote_adds_its_figures():
    [decision], _ = decided(*votes(scores=(90, 80, 80, 80), seconds=0.25))
    card = card_of(ANALYST, decision)
    assert (card.counted, card.decided, card.agreed) == (1, 1, 1)
    assert (card.mean_score, card.mean_confidence) == (90, 0.6)
    assert card.mean_latency_seconds == 0.25
    assert (card.hit_rate, card.brier_score) == (None, None)
    [single] = [c for c in from_event(decision) if c.agent_id == ANALYST]
    assert (single.day, single.model_version) == (at(0).date(), "market_analyst@1:0123abcd")


@pytest.mark.parametrize(
    ("scores", "sides"),
    [
        ((76, 76, 76, 76), (1, 1, 1, 1)),
        ((74, 74, 74, 76), (1, 1, 1, 0)),
        ((75, 75, 75, 75), (1, 1, 1, 1)),
    ],
)
def test_who_was_on_the_outcomes_side_agreed(scores, sides):
    [decision], _ = decided(*votes(scores=scores))
    assert tuple(card_of(agent, decision).agreed for agent in AGENTS) == sides


def test_while_a_person_has_to_decide_nobody_agreed_then_those_on_the_answers_side_did():
    engine = Engine(Rules())
    scores = (100, 60, 80, 80)
    first, _ = [e for m in (proposal(), *votes(scores=scores)) for e in engine.apply(m)]
    assert [agreed(score, first) for score in scores] == [None] * 4
    *_, final = engine.apply(verdict(first.decision_id, seconds=1))
    cards = [card_of(agent, first, final) for agent in AGENTS]
    assert [(c.counted, c.decided, c.agreed) for c in cards] == [
        (1, 1, 1),
        (1, 1, 0),
        (1, 1, 1),
        (1, 1, 1),
    ]
    assert sum(c.score_sum for c in cards) == sum(scores)


def test_where_holding_was_proposed_nothing_was_asked():
    [decision], _ = decided(*votes(), hold=True)
    assert card_of(ANALYST, decision).decided == 0


def test_votes_that_were_not_counted_add_their_reason_once():
    cast = [
        vote(agent=ANALYST, abstention="model too old: 500 days", version="1"),
        vote(agent=AgentId.RISK_MANAGER, seconds=-90, version="1"),
        vote(agent=AgentId.RISK_MANAGER, version="2"),
        vote(agent=AgentId.RISK_MANAGER, version="3", seconds=0.7),
        vote(agent="impostor"),
    ]
    decisions, ignored = decided(*cast)
    late = Ignored(message=vote(agent=AgentId.EXECUTION), reason="late")
    ignored.append(late)
    assert card_of(ANALYST, *decisions, ignored=ignored).abstained == 1
    risk = card_of(AgentId.RISK_MANAGER, *decisions, ignored=ignored)
    assert (risk.counted, risk.ignored) == (1, {"stale": 1, "superseded": 1})
    assert card_of(AgentId.EXECUTION, *decisions, ignored=ignored).late == 1
    assert card_of("impostor", *decisions, ignored=ignored).ignored == {}


@pytest.mark.parametrize(
    ("reward", "score", "right", "brier"),
    [("0.01", 80, 1.0, 0.09), ("-0.01", 80, 0.0, 0.49), ("-0.01", 70, 1.0, 0.09)],
)
def test_what_came_tells_hit_rate_and_brier_score(reward, score, right, brier):
    lived = experience(reward, score=score, ppm=700_000)
    card = card_of(ANALYST, lived)
    assert (card.matured, card.hit_rate) == (1, right)
    assert card.brier_score == pytest.approx(brier, abs=1e-15)
    assert [c.model_version for c in from_event(lived)] == ["market_analyst@2:feed"]


def test_a_verdict_that_the_experience_can_not_judge_is_not_scored():
    lived = experience("0.01", score=80, ppm=700_000)  # the risk manager gave no bound
    assert card_of(AgentId.RISK_MANAGER, lived).matured == 0


@given(
    st.lists(
        st.builds(
            Scorecard,
            agent_id=st.just(ANALYST),
            counted=st.integers(0, 9),
            agreed=st.integers(0, 9),
            squared_error_sum=st.integers(0, 10**15),
            ignored=st.dictionaries(st.sampled_from(["late", "stale"]), st.integers(1, 5)),
        ),
        max_size=6,
    ),
    st.integers(0, 6),
)
def test_a_sum_of_sums_is_the_sum_in_any_order(cards, cut):
    parts = [total(cards[:cut], WHOLE), total(cards[cut:], WHOLE)]
    assert total(parts, WHOLE) == total(reversed(cards), WHOLE)


def test_nothing_gives_no_figures():
    empty = total([], replace(WHOLE, model_version="m"))
    assert (empty.agreement_rate, empty.mean_score, empty.mean_confidence) == (None, None, None)
    assert (empty.mean_latency_seconds, empty.late, empty.abstained) == (None, 0, 0)
    assert empty.model_version == "m"
