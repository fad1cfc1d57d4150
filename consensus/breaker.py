"""The circuit breaker of one agent: a pure value, so that a replay trips it at the same message.

Closed, the agent is waited for and counted. After too many failures in a row it opens: rounds
neither wait for the agent nor count it. Once the pause is over the next round is its probe, the
only one that admits it: a vote in time closes the breaker, anything else opens it again.
"""

from datetime import datetime
from typing import Self

from msgspec.structs import replace

from domain.breaker import BreakerRules, BreakerState, Cause
from domain.messages import Value


class Breaker(Value, frozen=True, kw_only=True):
    """What is known of one agent; every method returns the breaker that comes after.

    Parameters
    ----------
    missed
        Rounds in a row that ended at their deadline without its vote.
    late
        Votes in a row that came after the decision.
    refused
        Votes in a row that said what can't be.
    cause
        Why it opened last.
    retry_at
        When it may probe; logical time.
    probe
        The one proposal that a half-open breaker admits the agent to.
    """

    state: BreakerState = BreakerState.CLOSED
    missed: int = 0
    late: int = 0
    refused: int = 0
    cause: Cause | None = None
    retry_at: datetime | None = None
    probe: str = ""

    def offer(self, proposal_id: str, moment: datetime) -> Self:
        """Make a round that opens at `moment` the probe, if the pause is over."""
        if self.state is not BreakerState.OPEN or self.retry_at is None or moment < self.retry_at:
            return self
        return replace(self, state=BreakerState.HALF_OPEN, probe=proposal_id)

    def admits(self, proposal_id: str) -> bool:
        """Whether the agent takes part in a round that opens now."""
        return self.state is BreakerState.CLOSED or (
            self.state is BreakerState.HALF_OPEN and self.probe == proposal_id
        )

    def not_probed(self, proposal_id: str) -> Self:
        """Take in that a round ended without asking who voted: the next one is the probe."""
        if self.state is not BreakerState.HALF_OPEN or self.probe != proposal_id:
            return self
        return replace(self, state=BreakerState.OPEN, probe="")

    def voted(self, proposal_id: str) -> Self:
        """Take in that the agent's vote on a round was there in time."""
        return type(self)() if self.admits(proposal_id) else self

    def missed_round(self, proposal_id: str, moment: datetime, rules: BreakerRules) -> Self:
        """Take in that a round which admitted the agent ended without it, at `moment`."""
        count = self.missed + 1
        if not self._trips(proposal_id, count, rules.missed_rounds):
            return replace(self, missed=count) if self.admits(proposal_id) else self
        return self._opened(Cause.DEAD, moment, rules)

    def voted_late(self, proposal_id: str, moment: datetime, rules: BreakerRules) -> Self:
        """Take in a vote on a round that had ended without it."""
        count = self.late + 1
        if not self._trips(proposal_id, count, rules.late_votes):
            return replace(self, late=count) if self.admits(proposal_id) else self
        return self._opened(Cause.SLOW, moment, rules)

    def sent_garbage(self, proposal_id: str, moment: datetime, rules: BreakerRules) -> Self:
        """Take in a vote that was refused for what it says."""
        count = self.refused + 1
        if not self._trips(proposal_id, count, rules.refused_votes):
            return replace(self, refused=count) if self.admits(proposal_id) else self
        return self._opened(Cause.GARBAGE, moment, rules)

    def _trips(self, proposal_id: str, failures: int, limit: int) -> bool:
        """Whether a failure in a round opens it; one from before it opened does nothing."""
        if self.state is BreakerState.CLOSED:
            return failures >= limit
        return self.admits(proposal_id)

    def _opened(self, cause: Cause, moment: datetime, rules: BreakerRules) -> Self:
        return type(self)(state=BreakerState.OPEN, cause=cause, retry_at=moment + rules.pause)
