"""One voting round: which votes it takes, when it has heard everybody, and what it decides."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from consensus.rule import (
    AGENTS,
    RULE_VERSION,
    Reason,
    Tally,
    calculate_consensus,
    ignore,
    in_order,
    reject,
)
from domain.identity import derive_id
from domain.rules import Rules
from domain.voting import ConsensusResult, IgnoredVote, TradingProposal, Vote

#: How many votes of one agent are taken in: enough to change its mind, none to crowd others out.
MOST_VOTES = 8
#: How many refused votes a decision accounts for; the record of what was ignored has them all.
MOST_REFUSED = 32
#: Why a proposal has no decision here, nor its votes: the record has one that was made elsewhere.
DECIDED_ELSEWHERE = "decided_elsewhere"
#: What no sound agent sends; only votes that are certainly its own get here.
GARBAGE = frozenset({"wrong_symbol", "stale", "from_the_future", "too_many_votes"})


class Round(msgspec.Struct, kw_only=True):
    """An open round.

    Parameters
    ----------
    deadline
        When it ends whoever has voted.
    earliest, latest
        Between them, both included, a vote is timely.
    votes
        Those that may count, by their ids.
    refused
        The account of those that may not.
    cut_off
        Agents that it neither waits for nor counts.
    since
        The first tick that found it open.
    """

    proposal: TradingProposal
    deadline: datetime
    earliest: datetime
    latest: datetime
    votes: dict[str, Vote] = {}
    refused: list[IgnoredVote] = []
    cut_off: list[str] = []
    since: datetime | None = None


def open_round(proposal: TradingProposal, rules: Rules) -> Round:
    """Return the round that `proposal` opens."""
    deadline = proposal.occurred_at + rules.vote_deadline
    return Round(
        proposal=proposal,
        deadline=deadline,
        earliest=proposal.occurred_at - rules.vote_time_to_live,
        latest=deadline + rules.vote_time_to_live,
    )


def refusal(vote: Vote, voting: Round) -> str:
    """Return why the round does not take a vote in, or nothing."""
    if vote.message_id in voting.votes or (
        voting.refused and any(r.message_id == vote.message_id for r in voting.refused)
    ):
        return "duplicate"
    if vote.agent_id in voting.cut_off:
        return "breaker_open"
    if vote.symbol != voting.proposal.symbol:
        return "wrong_symbol"
    if vote.occurred_at < voting.earliest:
        return "stale"
    if vote.occurred_at > voting.latest:
        return "from_the_future"
    return "too_many_votes" if crowded(voting.votes, vote.agent_id) else ""


def crowded(votes: Mapping[str, Vote], agent: str) -> bool:
    """Whether an agent has sent as many votes on one proposal as are taken in."""
    return len(votes) >= MOST_VOTES and (
        sum(vote.agent_id == agent for vote in votes.values()) >= MOST_VOTES
    )


def all_heard(voting: Round) -> bool:
    """Whether every agent that the round waits for has voted."""
    waited_for = len(AGENTS) - len(voting.cut_off)
    return len(voting.votes) >= waited_for and (
        len({vote.agent_id for vote in voting.votes.values()}) == waited_for
    )


def absent(voting: Round) -> list[str]:
    """Return the agents that the round waited for and has not heard."""
    heard = {vote.agent_id for vote in voting.votes.values()}
    return [agent for agent in AGENTS if agent not in heard and agent not in voting.cut_off]


def decide(voting: Round, moment: datetime, rules: Rules, digest: str) -> ConsensusResult:
    """Return the decision; its time depends on the votes, not on their order."""
    votes = voting.votes.values()
    times = [vote.occurred_at for vote in votes]
    closed_at = max([moment, *times])
    oldest = closed_at - rules.vote_time_to_live
    if times and min(times) < oldest:
        voting.refused += [ignore(vote, "stale") for vote in votes if vote.occurred_at < oldest]
        votes = [vote for vote in votes if vote.occurred_at >= oldest]
    tally = calculate_consensus(votes, thresholds=rules.thresholds, action=voting.proposal.action)
    return _decision(voting, closed_at, tally, rules, digest)


def refuse(
    voting: Round, moment: datetime, reason: Reason, rules: Rules, digest: str
) -> ConsensusResult:
    """Return the rejection of a proposal that is not voted on, whoever has voted already."""
    voting.refused += [ignore(vote, reason) for vote in voting.votes.values()]
    return _decision(voting, moment, reject(reason), rules, digest)


def decision_id(proposal: TradingProposal) -> str:
    """Return the id of the decision on `proposal`, made yet or not."""
    return derive_id("decision", proposal.proposal_id)


def _decision(
    voting: Round, moment: datetime, tally: Tally, rules: Rules, digest: str
) -> ConsensusResult:
    proposal, account = voting.proposal, tally.ignored
    if voting.refused:
        account = in_order([*account, *voting.refused])
    return ConsensusResult(
        message_id=decision_id(proposal),
        correlation_id=proposal.correlation_id,
        causation_id=proposal.proposal_id,
        occurred_at=moment,
        proposal=proposal,
        outcome=tally.outcome,
        reason=tally.reason,
        weighted_score=tally.weighted_score,
        variance=tally.variance,
        participation=tally.participation,
        degraded=tally.degraded,
        counted=tally.counted,
        ignored=account,
        rule_version=RULE_VERSION,
        thresholds=rules.thresholds,
        rules_digest=digest,
    )
