"""The consensus engine: a deterministic state machine over messages.

No clock, no randomness, no I/O: time enters as `Tick`. The same messages in the same order give
the same events, byte for byte, in any process. State is bounded: rounds end at their deadline,
and what is held or remembered is let go by logical time.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice

import msgspec

from consensus.participation import Participation
from consensus.review import Reviews
from consensus.rounds import (
    DECIDED_ELSEWHERE,
    GARBAGE,
    MOST_REFUSED,
    Round,
    all_heard,
    crowded,
    decide,
    decision_id,
    open_round,
    refusal,
    refuse,
)
from consensus.rule import AGENTS, Reason, ignore
from consensus.state import Held, State
from domain.market import Tick, TimeObserved
from domain.messages import Message
from domain.ports.ledger import DecisionEvent, Ignored
from domain.review import ReviewVerdict
from domain.rules import Rules, RulesChanged
from domain.voting import (
    ConsensusResult,
    Outcome,
    ProposalDecided,
    TradingProposal,
    Vote,
    VoteRefused,
)

_AGENTS = frozenset(AGENTS)
_NOT_ACCOUNTED = frozenset({"duplicate", "too_many_votes"})
_MOST_REMEMBERED = 100_000
_MANUAL_REVIEW = Outcome.MANUAL_REVIEW  # looking it up takes longer than comparing with it

Event = DecisionEvent | Ignored


class Engine:
    """Applies messages to a state.

    Engines of equal state answer equally; `to_bytes` and `from_bytes` carry the state from one
    process to another. The state is changed in place, because copying it for every message would
    cost more than deciding.

    Parameters
    ----------
    rules
        In force until a `RulesChanged` is applied.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self._adopt(State(rules=rules or Rules()))
        self._apply: Mapping[type[Message], Callable[..., Sequence[Event]]] = {
            Vote: self._vote,
            TradingProposal: self._propose,
            Tick: self._tick,
            TimeObserved: self._observe,
            ReviewVerdict: self._review,
            VoteRefused: self._refused,
            RulesChanged: self._change,
            ProposalDecided: self._withdraw,
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> "Engine":
        """Return the engine that `to_bytes` was asked of.

        Raises
        ------
        msgspec.ValidationError
            If another release wrote the bytes: rebuild the state from the journal.
        """
        engine = cls()
        engine._adopt(msgspec.json.decode(data, type=State))
        return engine

    def to_bytes(self) -> bytes:
        """Return the state's canonical bytes."""
        # Order of insertion is part of the state, so dictionaries are kept as they are.
        return msgspec.json.Encoder(decimal_format="string").encode(self.state)

    @property
    def rules(self) -> Rules:
        """The rules in force."""
        return self.state.rules

    def may_have_forgotten(self, proposal: TradingProposal) -> bool:
        """Whether the proposal could be one that was decided and let go: ask the record."""
        until = self.state.forgotten_until
        return (
            until is not None
            and proposal.occurred_at <= until
            and proposal.proposal_id not in self.state.rounds
            and proposal.proposal_id not in self.state.decided
        )

    def too_old(self, proposal: TradingProposal, now: datetime) -> bool:
        """Whether at `now` a proposal is too old to be decided on."""
        return now - proposal.occurred_at > self.rules.proposal_time_to_live

    def any_too_old(self, proposals: Iterable[TradingProposal], now: datetime) -> bool:
        """Whether at `now` one of `proposals`, or of those that are voted on, is too old."""
        oldest = islice(self.state.rounds.values(), 1)
        waiting = chain(proposals, (voting.proposal for voting in oldest))
        return any(self.too_old(proposal, now) for proposal in waiting)

    def apply(self, message: Message) -> Sequence[Event]:
        """Return what `message` causes, in order."""
        apply = self._apply.get(type(message))
        if apply is None:
            return [Ignored(message=message, reason="unexpected_type")]
        return apply(message)

    def _adopt(self, state: State) -> None:
        self.state = state
        # A dictionary finds its first key by walking over all that were removed before it.
        self._oldest = deque(state.decided)
        self._digest = state.rules.digest()
        self._reviews = Reviews(state.rules, state.reviews)
        self._participation = Participation(state.rules.breaker, state)

    def _change(self, change: RulesChanged) -> Sequence[Event]:
        self.state.rules = change.after
        self.state.announced += 1
        self._adopt(self.state)
        return [change]

    def _propose(self, proposal: TradingProposal) -> Sequence[Event]:
        key = proposal.proposal_id
        if key in self.state.rounds or key in self.state.decided:
            return [Ignored(message=proposal, reason="duplicate")]
        voting = open_round(proposal, self.rules)
        held = self.state.held.pop(key, None)
        now = self.state.now
        if now is not None and self.too_old(proposal, now):
            voting.votes = held.votes if held else {}
            return self._refuse(voting, now, Reason.TOO_OLD)
        events: list[Event] = []
        if len(self.state.rounds) >= _MOST_REMEMBERED:
            oldest = next(iter(self.state.rounds.values()))
            events += self._refuse(oldest, oldest.deadline, Reason.TOO_MANY_ROUNDS)
        self.state.rounds[key] = voting
        events += self._participation.opened(voting)
        # All that came before the proposal came before the decision: none of them is late.
        for vote in held.votes.values() if held else ():
            events += self._take_in(vote, voting)
        if all_heard(voting):
            events += self._decide(voting, proposal.occurred_at)
        return events

    def _vote(self, vote: Vote) -> Sequence[Event]:
        voting = self.state.rounds.get(vote.proposal_id)
        if vote.agent_id not in _AGENTS:
            return [Ignored(message=vote, reason="unknown_agent")]
        if voting is None:
            return self._vote_without_round(vote)
        if turned_away := self._take_in(vote, voting):
            return turned_away
        return self._decide(voting, voting.proposal.occurred_at) if all_heard(voting) else ()

    def _take_in(self, vote: Vote, voting: Round) -> Sequence[Event]:
        """Add a vote to its round, or to the account of those that do not count."""
        reason = refusal(vote, voting)
        if not reason:
            voting.votes[vote.message_id] = vote
            return ()
        if reason not in _NOT_ACCOUNTED and len(voting.refused) < MOST_REFUSED:
            voting.refused.append(ignore(vote, reason))
        ignored = Ignored(message=vote, reason=reason)
        if reason not in GARBAGE:
            return [ignored]
        return [ignored, *self._participation.sent_garbage(vote, voting.deadline)]

    def _vote_without_round(self, vote: Vote) -> Sequence[Event]:
        """Keep a vote whose proposal comes on another stream and may just be behind it."""
        if vote.proposal_id in self.state.decided:
            late = Ignored(message=vote, reason="late")
            return [late, *self._participation.voted_late(vote)]
        held = self.state.held.setdefault(vote.proposal_id, Held())
        if vote.message_id in held.votes:
            return [Ignored(message=vote, reason="duplicate")]
        if crowded(held.votes, vote.agent_id):
            return [Ignored(message=vote, reason="too_many_votes")]
        held.votes[vote.message_id] = vote
        if len(self.state.held) > _MOST_REMEMBERED:
            return self._let_go(next(iter(self.state.held)))
        return ()

    def _refused(self, refused: VoteRefused) -> Sequence[Event]:
        known = refused.message_id in self.state.garbage
        ignored = Ignored(message=refused, reason="duplicate" if known else refused.reason)
        if refused.agent_id not in _AGENTS:
            return [ignored]
        moment = self.state.now or refused.occurred_at
        return [ignored, *self._participation.sent_garbage(refused, moment)]

    def _let_go(self, proposal_id: str) -> list[Event]:
        held = self.state.held.pop(proposal_id)
        return [Ignored(message=vote, reason="unknown_proposal") for vote in held.votes.values()]

    def _decide(self, voting: Round, moment: datetime) -> Sequence[Event]:
        now = self.state.now
        if now is not None and self.too_old(voting.proposal, now):
            return self._refuse(voting, now, Reason.TOO_OLD)
        decision = decide(voting, moment, self.rules, self._digest)
        self._end(voting, decision)
        opened = decision.outcome is _MANUAL_REVIEW
        return [
            decision,
            *([self._reviews.open(decision)] if opened else ()),
            *self._participation.ended(voting, decision.occurred_at),
        ]

    def _refuse(self, voting: Round, moment: datetime, reason: Reason) -> Sequence[Event]:
        decision = refuse(voting, moment, reason, self.rules, self._digest)
        self._end(voting, decision)
        return [decision, *self._participation.released(voting)]

    def _withdraw(self, told: ProposalDecided) -> Sequence[Event]:
        """End a round without a decision: no proposal is decided twice."""
        voting = self.state.rounds.pop(told.proposal_id, None)
        if voting is None:
            return ()
        self._remember(told.proposal_id, max(told.occurred_at, voting.proposal.occurred_at))
        messages = (voting.proposal, *voting.votes.values())
        return [
            *(Ignored(message=message, reason=DECIDED_ELSEWHERE) for message in messages),
            *self._participation.released(voting),
        ]

    def _end(self, voting: Round, decision: ConsensusResult) -> None:
        self.state.rounds.pop(voting.proposal.proposal_id, None)
        # Never before the proposal's own time: by that the record is asked once it is forgotten.
        moment = max(decision.occurred_at, voting.proposal.occurred_at)
        self._remember(voting.proposal.proposal_id, moment)

    def _remember(self, key: str, moment: datetime) -> None:
        if key not in self.state.decided:
            self._oldest.append(key)
        self.state.decided[key] = moment
        if len(self.state.decided) > _MOST_REMEMBERED:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        key = self._oldest.popleft()
        moment = self.state.decided.pop(key)
        self.state.absent.pop(key, None)
        until = self.state.forgotten_until
        self.state.forgotten_until = moment if until is None else max(until, moment)

    def _observe(self, observed: TimeObserved) -> Sequence[Event]:
        now = self.state.now = observed.occurred_at
        old = [r for r in self.state.rounds.values() if self.too_old(r.proposal, now)]
        return [event for voting in old for event in self._refuse(voting, now, Reason.TOO_OLD)]

    def _tick(self, tick: Tick) -> Sequence[Event]:
        now = self.state.now = tick.occurred_at
        events: list[Event] = []
        due = [r for r in self.state.rounds.values() if r.deadline <= now]
        due.sort(key=lambda r: (r.deadline, r.proposal.proposal_id))
        for voting in due:
            events += self._decide(voting, voting.deadline)
        events += self._reviewed(self._reviews.expire(now))
        events += self._reviews.escalate(now)
        events += self._end_unreachable(now)
        for key, held in list(self.state.held.items()):
            if held.since is None:
                held.since = now
            elif held.since + self.rules.vote_time_to_live <= now:
                events += self._let_go(key)
        while self._oldest and self.state.decided[self._oldest[0]] + self.rules.memory <= now:
            self._forget_oldest()
        return events

    def _end_unreachable(self, now: datetime) -> Sequence[Event]:
        """End rounds whose deadline lies so far ahead that their proposal's time can't be true."""
        events: list[Event] = []
        for voting in list(self.state.rounds.values()):
            if voting.since is None:
                voting.since = now
            elif voting.since + self.rules.proposal_time_to_live < now:
                events += self._refuse(voting, now, Reason.FROM_THE_FUTURE)
        return events

    def _review(self, verdict: ReviewVerdict) -> Sequence[Event]:
        if verdict.decision_id not in self._reviews:
            known = verdict.decision_id in self.state.decided
            return [Ignored(message=verdict, reason="answered" if known else "unknown_decision")]
        return self._reviewed(self._reviews.answer(verdict))

    def _reviewed(self, events: Sequence[Event]) -> Sequence[Event]:
        """Remember the reviews that `events` end, so that a later answer hears of it."""
        for event in events:
            if isinstance(event, ConsensusResult):
                self._remember(decision_id(event.proposal), event.occurred_at)
        return events
