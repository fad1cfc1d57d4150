"""The voting rule told a second time, slowly, from the plan's table: what a decision must be."""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction

from domain.rules import Rules
from domain.voting import Action, AgentId, ConsensusResult, Outcome, TradingProposal, Vote


def counted_votes(
    proposal: TradingProposal, votes: Sequence[Vote], closed_at: datetime, rules: Rules
) -> dict[str, Vote]:
    """Return agent → the vote that counts, of those that were taken in before the decision."""
    counted: dict[str, Vote] = {}
    for vote in sorted(votes, key=lambda v: (v.occurred_at, v.message_id)):
        known = vote.agent_id in {agent.value for agent in AgentId}
        oldest = max(closed_at, proposal.occurred_at) - rules.vote_time_to_live
        latest = proposal.occurred_at + rules.vote_deadline + rules.vote_time_to_live
        timely = oldest <= vote.occurred_at <= latest
        if known and timely and vote.symbol == proposal.symbol:
            counted[vote.agent_id] = vote
    return {agent: vote for agent, vote in counted.items() if not vote.abstention}


def outcome(proposal: TradingProposal, votes: Sequence[Vote], rules: Rules) -> Outcome:
    """Return what the plan's rule and its table of degraded participation say."""
    number = len(votes)
    confidence = sum(v.confidence_ppm for v in votes)
    if proposal.action is Action.HOLD or any(v.veto for v in votes):
        return Outcome.REJECT
    if number < 2 or confidence == 0:
        return Outcome.REJECT
    mean = Fraction(sum(v.score for v in votes), number)
    variance = sum((v.score - mean) ** 2 for v in votes) / number
    weighted = Fraction(sum(v.score * v.confidence_ppm for v in votes), confidence)
    if variance > Fraction(rules.thresholds.review_above_variance):
        return Outcome.MANUAL_REVIEW
    if weighted < Fraction(rules.thresholds.execute_at_weighted_score):
        return Outcome.REJECT
    risk_manager_votes = any(v.agent_id == AgentId.RISK_MANAGER for v in votes)
    enough = number == 4 or (number == 3 and risk_manager_votes)
    return Outcome.EXECUTE if enough else Outcome.MANUAL_REVIEW


def check(decision: ConsensusResult, votes: Sequence[Vote], rules: Rules) -> None:
    """Assert that a decision is the one that the votes before it call for."""
    proposal = decision.proposal
    counted = counted_votes(proposal, votes, decision.occurred_at, rules)
    assert {c.agent_id: c.message_id for c in decision.counted} == {
        agent: vote.message_id for agent, vote in counted.items()
    }, "other votes were counted than those that count"
    for entry in decision.counted:
        vote = counted[entry.agent_id]
        assert (entry.score, entry.confidence_ppm, entry.veto) == (
            vote.score,
            vote.confidence_ppm,
            vote.veto,
        ), "a vote was altered"
    assert decision.outcome == outcome(proposal, list(counted.values()), rules)
    assert decision.participation == len(counted)
    assert decision.degraded == (len(counted) < len(AgentId))
    explained = {c.message_id for c in decision.counted} | {i.message_id for i in decision.ignored}
    assert {v.message_id for v in votes} <= explained, "a vote disappeared"
