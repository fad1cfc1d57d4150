"""Who takes part in a round: every agent's breaker, and the events that say when one changes."""

from collections.abc import Sequence
from datetime import datetime

from consensus.breaker import Breaker
from consensus.rounds import Round, absent
from consensus.rule import AGENTS
from consensus.state import State
from domain.breaker import BreakerChanged, BreakerRules, Cause
from domain.identity import derive_id
from domain.voting import TradingProposal, Vote, VoteRefused

_CLOSED = Breaker()
_MOST_GARBAGE = 10_000


class Participation:
    """The agents' breakers; pure like the engine that owns it.

    Parameters
    ----------
    rules
        When an agent is cut off.
    state
        The engine's; changed in place.
    """

    def __init__(self, rules: BreakerRules, state: State) -> None:
        self._rules = rules
        self._state = state

    def opened(self, voting: Round) -> Sequence[BreakerChanged]:
        """Settle which agents a new round admits; it may be the probe of some."""
        events: list[BreakerChanged] = []
        proposal = voting.proposal
        for agent, breaker in list(self._state.breakers.items()):
            offered = breaker.offer(proposal.proposal_id, proposal.occurred_at)
            events += self._set(agent, offered, proposal, proposal.occurred_at)
            if not offered.admits(proposal.proposal_id):
                voting.cut_off.append(agent)
        return events

    def ended(self, voting: Round, moment: datetime) -> Sequence[BreakerChanged]:
        """Take in who was heard in time, and who was not."""
        missing = absent(voting)
        if not missing and not self._state.breakers:
            return []
        events: list[BreakerChanged] = []
        key = voting.proposal.proposal_id
        if missing:
            self._state.absent[key] = missing
        for agent in AGENTS:
            if agent in voting.cut_off:
                continue
            before = self._state.breakers.get(agent, _CLOSED)
            after = (
                before.missed_round(key, moment, self._rules)
                if agent in missing
                else before.voted(key)
            )
            events += self._set(agent, after, voting.proposal, moment)
        return events

    def released(self, voting: Round) -> Sequence[BreakerChanged]:
        """Take in that a round ended without asking who voted: whom it probed, another one will."""
        events: list[BreakerChanged] = []
        proposal = voting.proposal
        for agent, breaker in list(self._state.breakers.items()):
            after = breaker.not_probed(proposal.proposal_id)
            events += self._set(agent, after, proposal, proposal.occurred_at)
        return events

    def voted_late(self, vote: Vote) -> Sequence[BreakerChanged]:
        """Take in a vote on a decided proposal; it is late if the round ended without its agent."""
        missing = self._state.absent.get(vote.proposal_id, [])
        if vote.agent_id not in missing:
            return []
        missing.remove(vote.agent_id)
        moment = self._state.decided[vote.proposal_id]
        before = self._state.breakers.get(vote.agent_id, _CLOSED)
        after = before.voted_late(vote.proposal_id, moment, self._rules)
        return self._set(vote.agent_id, after, vote, moment)

    def sent_garbage(self, vote: Vote | VoteRefused, moment: datetime) -> Sequence[BreakerChanged]:
        """Take in a vote of an agent that says what can't be; whoever sends it again, once."""
        if vote.message_id in self._state.garbage:
            return []
        self._state.garbage[vote.message_id] = None
        if len(self._state.garbage) > _MOST_GARBAGE:
            del self._state.garbage[next(iter(self._state.garbage))]
        before = self._state.breakers.get(vote.agent_id, _CLOSED)
        after = before.sent_garbage(vote.proposal_id, moment, self._rules)
        return self._set(vote.agent_id, after, vote, moment)

    def _set(
        self,
        agent: str,
        after: Breaker,
        because: TradingProposal | Vote | VoteRefused,
        moment: datetime,
    ) -> Sequence[BreakerChanged]:
        """Remember a breaker, and return the event if that changes whether the agent takes part."""
        before = self._state.breakers.get(agent, _CLOSED)
        if after == _CLOSED:
            self._state.breakers.pop(agent, None)
        else:
            self._state.breakers[agent] = after
        if after.state is before.state:
            return []
        self._state.announced += 1
        return [
            BreakerChanged(
                message_id=derive_id("breaker", agent, because.message_id, self._state.announced),
                correlation_id=because.correlation_id,
                causation_id=because.message_id,
                occurred_at=moment,
                agent_id=agent,
                before=before.state,
                after=after.state,
                cause=after.cause or before.cause or Cause.DEAD,
                proposal_id=because.proposal_id,
            )
        ]
