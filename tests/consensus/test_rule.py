"""The rule against an oracle in exact fractions, and at its boundaries."""

import statistics
from decimal import Decimal
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.rule import calculate_consensus
from domain.money import canonical
from domain.voting import Action, AgentId, Outcome, Thresholds
from tests.builders import AGENTS, vote, votes

EXECUTE, REJECT, REVIEW = Outcome.EXECUTE, Outcome.REJECT, Outcome.MANUAL_REVIEW

scores = st.integers(0, 100)
near_scores = st.integers(68, 82)
confidences = st.one_of(st.just(0), st.integers(0, 1_000_000))


def ballots(score=scores, size=4):
    return st.lists(st.tuples(score, confidences), min_size=0, max_size=size).map(
        lambda cast: [
            vote(agent=agent, score=s, ppm=c) for agent, (s, c) in zip(AGENTS, cast, strict=False)
        ]
    )


def oracle(cast, thresholds: Thresholds) -> Outcome:
    """The rule as the plan words it, in fractions and with the library's variance."""
    confidence = sum(Fraction(v.confidence_ppm, 1_000_000) for v in cast)
    if len(cast) < 2 or confidence == 0:
        return REJECT
    weighted = sum(Fraction(v.score) * Fraction(v.confidence_ppm, 1_000_000) for v in cast)
    variance = statistics.pvariance([Fraction(v.score) for v in cast])
    if variance > Fraction(thresholds.review_above_variance):
        return REVIEW
    if weighted / confidence < Fraction(thresholds.execute_at_weighted_score):
        return REJECT
    if len(cast) == 4:
        return EXECUTE
    if len(cast) == 3 and any(v.agent_id == AgentId.RISK_MANAGER for v in cast):
        return EXECUTE
    return REVIEW


@given(
    st.one_of(ballots(), ballots(near_scores)),
    st.sampled_from(["75", "70", "74.999999999", "0", "100"]),
    st.sampled_from(["40", "0", "6.25", "39.999999999", "2500"]),
)
def test_equals_the_oracle(cast, execute_at, review_above):
    thresholds = Thresholds(
        execute_at_weighted_score=Decimal(execute_at), review_above_variance=Decimal(review_above)
    )
    tally = calculate_consensus(cast, thresholds=thresholds)
    assert tally.outcome is oracle(cast, thresholds)
    assert tally.participation == len(cast)
    assert tally.degraded is (len(cast) < 4)
    if cast:
        variance = statistics.pvariance([Fraction(v.score) for v in cast])
        assert tally.variance is not None
        assert abs(Fraction(tally.variance) - variance) <= Fraction(1, 2 * 10**9)
    weights = [v.weight for v in tally.counted]
    if tally.weighted_score is not None:
        assert abs(sum(weights) - 1) <= Decimal("4e-9")
        confidence = sum(v.confidence_ppm for v in cast)
        mean = Fraction(sum(v.score * v.confidence_ppm for v in cast), confidence)
        assert abs(Fraction(tally.weighted_score) - mean) <= Fraction(1, 2 * 10**9)


@given(ballots())
def test_a_weight_is_the_share_of_all_confidence(cast):
    tally = calculate_consensus(cast)
    weights = {vote.agent_id: vote.weight for vote in tally.counted}
    assert weights.keys() == {vote.agent_id for vote in cast}
    confidence = sum(vote.confidence_ppm for vote in cast)
    if not confidence:
        assert all(weight == 0 for weight in weights.values())
        return
    half = Fraction(1, 2 * 10**9)  # each share is rounded to whole billionths
    for each in cast:
        share = Fraction(each.confidence_ppm, confidence)
        assert abs(Fraction(weights[each.agent_id]) - share) <= half
    assert abs(sum(map(Fraction, weights.values())) - 1) <= len(cast) * half


def test_weights_of_known_confidences():
    def weights(*ppm: int) -> list[str]:
        cast = [vote(agent=agent, ppm=c) for agent, c in zip(AGENTS, ppm, strict=False)]
        by_agent = {v.agent_id: v.weight for v in calculate_consensus(cast).counted}
        return [str(by_agent[agent]) for agent in AGENTS[: len(ppm)]]

    assert weights(900_000, 600_000, 300_000, 200_000) == ["0.45", "0.3", "0.15", "0.1"]
    assert weights(600_000, 600_000, 600_000) == ["0.333333333"] * 3
    assert weights(1_000_000, 0) == ["1", "0"]


def test_only_counted_votes_weigh():
    silent = vote(agent=AGENTS[0], ppm=1_000_000, abstention="model too old")
    stranger = vote(agent="mallory", ppm=1_000_000)
    tally = calculate_consensus([silent, stranger, *votes(ppm=500_000)[1:3]])
    assert {v.agent_id: v.weight for v in tally.counted} == {
        AGENTS[1]: Decimal("0.5"),
        AGENTS[2]: Decimal("0.5"),
    }


@given(ballots(near_scores), st.randoms(use_true_random=False))
def test_the_order_of_votes_does_not_matter(cast, random):
    doubled = cast + cast[:1]
    expected = calculate_consensus(doubled)
    random.shuffle(doubled)
    assert calculate_consensus(doubled) == expected


def test_75_executes_and_a_hair_below_does_not():
    assert calculate_consensus(votes(scores=(75, 75, 75, 75))).outcome is EXECUTE
    exact = [
        vote(agent=AGENTS[0], score=74, ppm=500_000),
        vote(agent=AGENTS[1], score=76, ppm=500_000),
        vote(agent=AGENTS[2], score=75, ppm=1),
        vote(agent=AGENTS[3], score=75, ppm=1),
    ]
    tally = calculate_consensus(exact)
    assert (tally.outcome, tally.weighted_score) == (EXECUTE, Decimal(75))
    below = [*exact[:1], vote(agent=AGENTS[1], score=76, ppm=499_999), *exact[2:]]
    tally = calculate_consensus(below)
    assert (tally.outcome, tally.reason) == (REJECT, "below_threshold")


def test_a_variance_of_40_executes_and_a_hair_above_is_reviewed():
    at_limit = (88, 72, 84, 76)
    assert statistics.pvariance(map(Fraction, at_limit)) == 40
    tally = calculate_consensus(votes(scores=at_limit))
    assert (tally.outcome, tally.variance) == (EXECUTE, Decimal(40))
    tally = calculate_consensus(votes(scores=(88, 72, 85, 76)))
    assert (tally.outcome, tally.reason) == (REVIEW, "disagreement")


def test_variance_is_looked_at_before_the_score():
    assert calculate_consensus(votes(scores=(0, 0, 100, 0))).outcome is REVIEW


@pytest.mark.parametrize(
    ("present", "outcome", "reason"),
    [
        ((0, 1, 2, 3), EXECUTE, "consensus"),
        ((0, 1, 2), EXECUTE, "consensus"),
        ((0, 1, 3), EXECUTE, "consensus"),
        ((1, 2, 3), EXECUTE, "consensus"),
        ((0, 2, 3), REVIEW, "degraded"),
        ((0, 1), REVIEW, "degraded"),
        ((2, 3), REVIEW, "degraded"),
        ((1,), REJECT, "no_quorum"),
        ((), REJECT, "no_quorum"),
    ],
)
def test_participation(present, outcome, reason):
    assert AGENTS[1] is AgentId.RISK_MANAGER
    tally = calculate_consensus([vote(agent=AGENTS[n]) for n in present])
    assert (tally.outcome, tally.reason) == (outcome, reason)
    assert tally.degraded is (len(present) < 4)


def test_degraded_votes_can_still_reject():
    tally = calculate_consensus([vote(agent=a, score=50) for a in AGENTS[:2]])
    assert (tally.outcome, tally.reason) == (REJECT, "below_threshold")


def test_no_confidence_is_no_quorum():
    tally = calculate_consensus(votes(ppm=0))
    assert (tally.outcome, tally.reason, tally.weighted_score) == (REJECT, "no_quorum", None)
    assert {v.weight for v in tally.counted} == {canonical(0)}


def test_a_veto_outweighs_every_score():
    cast = [*votes(scores=(100, 100, 100)), vote(agent=AGENTS[3], score=100, veto="gross exposure")]
    tally = calculate_consensus(cast)
    assert (tally.outcome, tally.reason) == (REJECT, "veto")
    assert [v.veto for v in tally.counted if v.veto] == ["gross exposure"]


def test_an_abstention_does_not_count_nor_veto():
    silent = vote(agent=AGENTS[1], abstention="model too old", veto="gross exposure")
    tally = calculate_consensus([silent, *votes()[2:], vote(agent=AGENTS[0])])
    assert (tally.outcome, tally.participation) == (REVIEW, 3)
    assert [i.reason for i in tally.ignored] == ["abstained: model too old"]


def test_hold_never_trades():
    tally = calculate_consensus(votes(scores=(100, 100, 100, 100)), action=Action.HOLD)
    assert (tally.outcome, tally.reason) == (REJECT, "hold")


def test_an_unknown_agent_is_ignored():
    tally = calculate_consensus([*votes(), vote(agent="mallory", score=0, veto="all")])
    assert tally.outcome is EXECUTE
    assert [(i.agent_id, i.reason) for i in tally.ignored] == [("mallory", "unknown_agent")]


def test_the_last_vote_of_an_agent_counts_whatever_arrives_last():
    first = vote(agent=AGENTS[0], score=10, seconds=0.1, version="first")
    tied = sorted(
        (vote(agent=AGENTS[0], score=s, seconds=0.2, version=str(s)) for s in (80, 90)),
        key=lambda v: v.message_id,
    )
    tallies = [
        calculate_consensus([*order, *votes()[1:]]) for order in permutations([first, *tied])
    ]
    assert all(tally == tallies[0] for tally in tallies)
    [counted] = [v for v in tallies[0].counted if v.agent_id == AGENTS[0]]
    assert counted.message_id == tied[-1].message_id
    assert [i.reason for i in tallies[0].ignored] == ["superseded", "superseded"]
