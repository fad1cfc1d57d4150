"""The consensus engine: a deterministic state machine over messages.

No clock, no randomness, no I/O: time enters as `Tick`. The same messages in the same order give
the same events, byte for byte, in any process. State is bounded: rounds end at their deadline,
and what is held or remembered is let go by logical time.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from consensus.review import Reviews
from consensus.rule import RULE_VERSION, calculate_consensus, ignore
from consensus.state import Held, Round, State
from domain.identity import derive_id
from domain.market import Tick
from domain.messages import Message
from domain.ports.ledger import Ignored
from domain.rules import Rules
from domain.voting import (
    AgentId,
    ConsensusResult,
    Outcome,
    ReviewVerdict,
    TradingProposal,
    Vote,
)

_AGENTS = frozenset(map(str, AgentId))
_MOST_VOTES_IN_A_ROUND = 32
_MOST_REMEMBERED = 100_000

Event = ConsensusResult | ReviewVerdict | Ignored


class Engine:
    """Applies messages to a state.

    Two engines of equal rules and equal state answer equally; `to_bytes` and `from_bytes` carry
    the state from one process to another. The state is changed in place, because copying it for
    every message would cost more than deciding.
    """

    def __init__(self, rules: Rules, state: State | None = None) -> None:
        self.rules = rules
        self.state = state if state is not None else State()
        self._reviews = Reviews(rules, self.state.reviews)

    @classmethod
    def from_bytes(cls, rules: Rules, data: bytes) -> "Engine":
        """Return the engine that `to_bytes` was asked of, under `rules`."""
        return cls(rules, msgspec.json.decode(data, type=State))

    def to_bytes(self) -> bytes:
        """Return the state's canonical bytes."""
        # Order of insertion is part of the state, so dictionaries are kept as they are.
        return msgspec.json.Encoder(decimal_format="string").encode(self.state)

    def may_have_forgotten(self, proposal: TradingProposal) -> bool:
        """Whether the proposal could be one that was decided and let go: ask the record."""
        known = proposal.proposal_id in self.state.rounds or (
            proposal.proposal_id in self.state.decided
        )
        until = self.state.forgotten_until
        return not known and until is not None and proposal.occurred_at <= until

    def apply(self, message: Message) -> Sequence[Event]:
        """Return what `message` causes, in order."""
        match message:
            case Vote():
                return self._vote(message)
            case TradingProposal():
                return self._propose(message)
            case Tick():
                return self._tick(message.occurred_at)
            case ReviewVerdict():
                return self._review(message)
            case _:
                return [Ignored(message=message, reason="unexpected_type")]

    def _propose(self, proposal: TradingProposal) -> Sequence[Event]:
        key = proposal.proposal_id
        if key in self.state.rounds or key in self.state.decided:
            return [Ignored(message=proposal, reason="duplicate")]
        self.state.rounds[key] = Round(
            proposal=proposal, deadline=proposal.occurred_at + self.rules.vote_deadline
        )
        events: list[Event] = []
        held = self.state.held.pop(key, None)
        for vote in held.votes if held else ():
            events += self._vote(vote)
        return events

    def _vote(self, vote: Vote) -> Sequence[Event]:
        voting = self.state.rounds.get(vote.proposal_id)
        if reason := self._without_effect(vote, voting):
            return [Ignored(message=vote, reason=reason)]
        if voting is None:
            return self._hold(vote)
        if reason := self._untimely(vote, voting):
            voting.refused.append(ignore(vote, reason))
            return [Ignored(message=vote, reason=reason)]
        voting.votes.append(vote)
        if len({v.agent_id for v in voting.votes}) < len(_AGENTS):
            return []
        return [self._close(voting, voting.proposal.occurred_at)]

    def _without_effect(self, vote: Vote, voting: Round | None) -> str:
        """Return why a vote can't even enter the account of its round, or nothing."""
        if vote.agent_id not in _AGENTS:
            return "unknown_agent"
        if vote.proposal_id in self.state.decided:
            return "late"
        held = self.state.held.get(vote.proposal_id)
        votes = voting.votes if voting else held.votes if held else []
        if any(earlier.message_id == vote.message_id for earlier in votes):
            return "duplicate"
        if len(votes) + (len(voting.refused) if voting else 0) >= _MOST_VOTES_IN_A_ROUND:
            return "too_many_votes"
        return ""

    def _untimely(self, vote: Vote, voting: Round) -> str:
        if vote.symbol != voting.proposal.symbol:
            return "wrong_symbol"
        if vote.occurred_at < voting.proposal.occurred_at - self.rules.vote_time_to_live:
            return "stale"
        if vote.occurred_at > voting.deadline + self.rules.vote_time_to_live:
            return "from_the_future"
        return ""

    def _hold(self, vote: Vote) -> Sequence[Event]:
        """Keep a vote whose proposal comes on another stream and may just be behind it."""
        self.state.held.setdefault(vote.proposal_id, Held()).votes.append(vote)
        if len(self.state.held) > _MOST_REMEMBERED:
            return self._let_go(next(iter(self.state.held)))
        return []

    def _let_go(self, proposal_id: str) -> list[Event]:
        held = self.state.held.pop(proposal_id)
        return [Ignored(message=vote, reason="unknown_proposal") for vote in held.votes]

    def _close(self, voting: Round, moment: datetime) -> ConsensusResult:
        """Decide a round; the decision's time depends on its votes, not on their order."""
        proposal = voting.proposal
        closed_at = max([moment, *(v.occurred_at for v in voting.votes)])
        oldest = closed_at - self.rules.vote_time_to_live
        tally = calculate_consensus(
            [v for v in voting.votes if v.occurred_at >= oldest],
            thresholds=self.rules.thresholds,
            action=proposal.action,
        )
        stale = [ignore(v, "stale") for v in voting.votes if v.occurred_at < oldest]
        ignored = sorted(
            [*tally.ignored, *voting.refused, *stale],
            key=lambda i: (i.agent_id, i.message_id, i.reason),
        )
        decision = ConsensusResult(
            message_id=derive_id("decision", proposal.proposal_id),
            correlation_id=proposal.correlation_id,
            causation_id=proposal.proposal_id,
            occurred_at=closed_at,
            proposal=proposal,
            outcome=tally.outcome,
            reason=tally.reason,
            weighted_score=tally.weighted_score,
            variance=tally.variance,
            participation=tally.participation,
            degraded=tally.degraded,
            counted=tally.counted,
            ignored=tuple(ignored),
            rule_version=RULE_VERSION,
            thresholds=self.rules.thresholds,
        )
        del self.state.rounds[proposal.proposal_id]
        self._remember(proposal.proposal_id, closed_at)
        if decision.outcome is Outcome.MANUAL_REVIEW:
            self._reviews.open(decision)
        return decision

    def _remember(self, key: str, moment: datetime) -> None:
        self.state.decided[key] = moment
        if len(self.state.decided) > _MOST_REMEMBERED:
            self._forget(next(iter(self.state.decided)))

    def _forget(self, key: str) -> None:
        moment = self.state.decided.pop(key)
        until = self.state.forgotten_until
        self.state.forgotten_until = moment if until is None else max(until, moment)

    def _tick(self, now: datetime) -> Sequence[Event]:
        events: list[Event] = []
        due = [r for r in self.state.rounds.values() if r.deadline <= now]
        due.sort(key=lambda r: (r.deadline, r.proposal.proposal_id))
        events += [self._close(voting, voting.deadline) for voting in due]
        events += [self._reviewed(answer) for answer in self._reviews.expire(now)]
        for key, held in list(self.state.held.items()):
            if held.since is None:
                held.since = now
            elif held.since + self.rules.vote_time_to_live <= now:
                events += self._let_go(key)
        while self.state.decided:
            key, moment = next(iter(self.state.decided.items()))
            if moment + self.rules.memory > now:
                break
            self._forget(key)
        return events

    def _review(self, verdict: ReviewVerdict) -> Sequence[Event]:
        if verdict.decision_id not in self._reviews:
            known = verdict.decision_id in self.state.decided
            return [Ignored(message=verdict, reason="answered" if known else "unknown_decision")]
        return [verdict, self._reviewed(self._reviews.answer(verdict))]

    def _reviewed(self, answer: ConsensusResult) -> ConsensusResult:
        self._remember(derive_id("decision", answer.proposal.proposal_id), answer.occurred_at)
        return answer
