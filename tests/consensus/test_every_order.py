"""Every order and repetition of a few messages gives the decision that the rule says.

The rule is computed again here, from the plan's words, in fractions, and of nothing but the order:
a proposal opens the round, all four agents or the first tick behind it close it.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations, product
from statistics import pvariance

import pytest

from consensus.engine import Engine
from domain.market import Tick
from domain.messages import Message
from domain.voting import AgentId, ConsensusResult, Outcome, TradingProposal, Vote
from tests.builders import AGENTS, proposal, tick, vote

PROPOSAL, TICK = proposal(), tick(2)
ANALYST = vote(agent=AGENTS[0], score=71, ppm=600_000, seconds=0.1)
RISK = vote(agent=AGENTS[1], score=78, ppm=900_000, seconds=0.2)
OPTIMIZER = vote(agent=AGENTS[2], score=75, ppm=300_000, seconds=0.3)
EXECUTION = vote(agent=AGENTS[3], score=83, ppm=500_000, seconds=0.3)
#: The analyst changes its mind: with it the agents disagree, or the score falls below.
SECOND_THOUGHT = vote(agent=AGENTS[0], score=60, ppm=600_000, seconds=0.4, version="second")
#: The same instant as its other vote, so the message ids decide which of them is the last.
SAME_INSTANT = vote(agent=AGENTS[0], score=66, ppm=800_000, seconds=0.1, version="third")

Expected = tuple[Outcome, int, Fraction | None, frozenset[str]] | None


def expected_decision(order: Sequence[Message]) -> Expected:
    """Outcome, participation, variance and the votes that count; None where nothing is decided."""
    if PROPOSAL not in order:
        return None
    votes: dict[str, Vote] = {}
    opened = closed = False
    for message in order:
        match message:
            case TradingProposal():
                opened = True
            case Tick():
                closed = opened
            case Vote():
                votes[message.message_id] = message
            case _:
                raise AssertionError(message)
        if closed or (opened and len({v.agent_id for v in votes.values()}) == len(AGENTS)):
            return of_votes(votes.values())
    return None


def of_votes(votes) -> Expected:
    last: dict[str, Vote] = {}
    for cast in votes:
        other = last.get(cast.agent_id, cast)
        mine, its = (cast.timestamp, cast.message_id), (other.timestamp, other.message_id)
        last[cast.agent_id] = cast if mine >= its else other
    counted = list(last.values())
    ids = frozenset(v.message_id for v in counted)
    variance = pvariance([Fraction(v.score) for v in counted]) if counted else None
    if len(counted) < 2 or variance is None:
        return Outcome.REJECT, len(counted), variance, ids
    weighted = sum(Fraction(v.score) * v.confidence_ppm for v in counted)
    score = weighted / sum(v.confidence_ppm for v in counted)
    if variance > 40:
        outcome = Outcome.MANUAL_REVIEW
    elif score < 75:
        outcome = Outcome.REJECT
    elif len(counted) == 4 or (len(counted) == 3 and AgentId.RISK_MANAGER in last):
        outcome = Outcome.EXECUTE
    else:
        outcome = Outcome.MANUAL_REVIEW
    return outcome, len(counted), variance, ids


def decided(order: Sequence[Message]) -> Expected:
    engine = Engine()
    found = [e for m in order for e in engine.apply(m) if isinstance(e, ConsensusResult)]
    assert len(found) <= 1, "a proposal is decided once"
    if not found:
        assert not engine.state.decided
        return None
    [decision] = found
    variance = None
    if decision.counted:
        variance = pvariance([Fraction(v.score) for v in decision.counted])
        assert decision.variance is not None
        assert abs(Fraction(decision.variance) - variance) <= Fraction(1, 2 * 10**9)
    counted = frozenset(v.message_id for v in decision.counted)
    return decision.outcome, decision.participation, variance, counted


@pytest.mark.parametrize("other", [SECOND_THOUGHT, SAME_INSTANT])
def test_every_permutation_of_seven_messages_that_close_the_round_either_way(other: Vote):
    messages = (PROPOSAL, TICK, ANALYST, RISK, OPTIMIZER, EXECUTION, other)
    seen = set()
    for order in permutations(messages):
        expected = expected_decision(order)
        assert decided(order) == expected, order
        seen.add(expected and expected[:2])
    assert len(seen) >= 6  # the orders do make a difference, so the comparison says something


SIX = (PROPOSAL, TICK, RISK, OPTIMIZER, ANALYST, SECOND_THOUGHT)


def test_every_sequence_of_six():
    """All 6⁶, so with every message missing, or there once or more often, at every place."""
    for order in product(SIX, repeat=6):
        assert decided(order) == expected_decision(order), order


@pytest.mark.parametrize("twice", range(6))
def test_every_permutation_of_six_and_one_of_them_again(twice: int):
    for order in permutations(range(7)):
        if order.index(twice) < order.index(6):  # the two are the same message
            messages = [SIX[twice if n == 6 else n] for n in order]
            assert decided(messages) == expected_decision(messages), messages
