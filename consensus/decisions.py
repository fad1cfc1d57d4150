"""The engine as a handler: recovered from the record, its decisions recorded and published."""

import time
from collections import Counter
from collections.abc import Iterable

import msgspec
import structlog
from msgspec.structs import replace

from agents.scorecards import agreed
from consensus.authenticity import BY_ITS_BYTES, Authenticity
from consensus.engine import Engine
from consensus.handler import Batch, Effects, dead_letter
from consensus.rounds import decision_id
from consensus.rule import AGENTS
from domain.breaker import BreakerChanged, BreakerState
from domain.errors import RecordIncomplete
from domain.identity import derive_id
from domain.market import Tick, TimeObserved
from domain.messages import Message, decode, encode
from domain.metrics import Metric
from domain.ports.bus import Delivery
from domain.ports.clock import Clock
from domain.ports.ledger import DeadLetter, DecisionEvent, Ignored, Ledger, Log, Outgoing
from domain.ports.metrics import Metrics
from domain.refusals import Refusal
from domain.rules import Rules, RulesChanged
from domain.streams import Stream
from domain.voting import ConsensusResult, ProposalDecided, TradingProposal, VoteRefused

#: Streams that the consensus reads; TIME is handled behind the others.
STREAMS = (Stream.PROPOSALS, Stream.VOTES, Stream.REVIEWS, Stream.TIME)

_INPUTS_BETWEEN_SNAPSHOTS = 10_000
_TOLD_ON = Stream.DECISIONS
_SEVERITY = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
_log = structlog.get_logger(__name__)
_FOR_A_PERSON = {
    Refusal.UNKNOWN_AGENT: "No agent of that name votes.",
    Refusal.UNEXPECTED_TYPE: "The consensus takes no such message.",
}


class DecisionHandler:
    """Decides proposals of one partition; a `consensus.handler.Handler`.

    Parameters
    ----------
    rules
        What the settings say. Where the log was written under others so far, the change is its
        next event.
    clock
        Tells whether a backlog is too old to be decided on, and whether a tick is an old one that
        came again; without one only ticks tell the time.
    authenticity
        Judges what comes off the bus; None takes it as it comes (a simulation).
    """

    log: str = Log.DECISIONS

    def __init__(
        self,
        rules: Rules,
        metrics: Metrics,
        *,
        partition: int = 0,
        clock: Clock | None = None,
        authenticity: Authenticity | None = None,
        inputs_between_snapshots: int = _INPUTS_BETWEEN_SNAPSHOTS,
    ) -> None:
        self._rules = rules
        self._metrics = metrics
        self._partition = partition
        self._clock = clock
        self._authenticity = authenticity
        self._between = inputs_between_snapshots
        self._since_snapshot = 0
        self._taken_in: dict[str, float] = {}
        self._decided_elsewhere: tuple[str, ...] = ()
        self._ledger: Ledger | None = None
        self.engine = Engine()

    async def recover(self, ledger: Ledger) -> None:
        """Rebuild the engine from the last snapshot and the inputs that were journalled since."""
        self._ledger = ledger
        self._decided_elsewhere = ()
        self._taken_in.clear()
        self.engine, number = Engine(), 0
        snapshot = await ledger.snapshot(self.log, self._partition)
        if snapshot is not None:
            try:
                self.engine, number = Engine.from_bytes(snapshot.data), snapshot.inputs
            except msgspec.ValidationError as problem:
                _log.warning(
                    "a snapshot of another release: read the whole journal", problem=str(problem)
                )
        self._since_snapshot = 0
        while page := await ledger.inputs(self.log, self._partition, after=number):
            if page[0].number != number + 1:
                raise RecordIncomplete(
                    f"The journal of {self.log}/{self._partition} lacks what follows input "
                    f"{number}: it goes on with {page[0].number}.",
                    kept="Nothing was decided on a state that can't be known.",
                    next_step="Restore the journal, or a snapshot that this release reads.",
                )
            for entry in page:
                self.engine.apply(decode(entry.data))
            number = page[-1].number
            self._since_snapshot += len(page)
        open_rounds = {
            decision_id(voting.proposal): proposal_id
            for proposal_id, voting in self.engine.state.rounds.items()
        }
        if open_rounds:
            known = await ledger.recorded(self.log, list(open_rounds))
            self._decided_elsewhere = tuple(p for d, p in open_rounds.items() if d in known)
        self._show_breakers()

    async def handle(self, batch: Batch) -> Effects:
        """Apply a batch to the engine."""
        inputs: list[Delivery] = []
        events: list[DecisionEvent] = []
        ignored: list[Ignored] = []
        letters: list[DeadLetter] = []
        now = time.perf_counter()
        batch = self._authentic(batch, letters)
        for delivery, message in (*self._own(batch), *batch):
            if isinstance(message, TradingProposal) and await self._decided(message, events):
                ignored.append(Ignored(message=message, reason="duplicate"))
                continue
            if isinstance(message, Tick) and self._is_of_the_past(message):
                ignored.append(Ignored(message=message, reason="from_the_past"))
                continue
            inputs.append(_as_heard(delivery, message))
            if isinstance(message, TradingProposal):
                self._taken_in.setdefault(message.proposal_id, now)
            for event in self.engine.apply(message):
                if not isinstance(event, Ignored):
                    events.append(event)
                    continue
                ignored.append(event)
                if event.reason in _FOR_A_PERSON:
                    reason = Refusal(event.reason)
                    letters.append(dead_letter(delivery, reason, _FOR_A_PERSON[reason]))
        return Effects(
            inputs=tuple(inputs),
            events=tuple(events),
            outbox=tuple(
                Outgoing(stream=_TOLD_ON, partition=self._partition, message=event)
                for event in events
                if isinstance(event, ConsensusResult)
            ),
            dead_letters=tuple(letters),
            ignored=tuple(ignored),
            snapshot=self._snapshot(len(inputs)),
        )

    def refused_vote(self, delivery: Delivery, reason: Refusal) -> VoteRefused | None:
        """Return what the engine is to hear of a vote that is refused; a letter tells the rest."""
        if self._authenticity is None:
            return None
        now = self.engine.state.now or (self._clock.now() if self._clock is not None else None)
        return self._authenticity.refused_vote(delivery, reason, now)

    def _authentic(self, batch: Batch, letters: list[DeadLetter]) -> Batch:
        """Return what comes from who may say it; the rest becomes letters."""
        if self._authenticity is None:
            return batch
        let_in: list[tuple[Delivery, Message]] = []
        for delivery, message in batch:
            refused = self._authenticity.refusal(delivery, message)
            if refused is None:
                let_in.append((delivery, message))
                continue
            letters.append(dead_letter(delivery, *refused))
            if refused.reason in BY_ITS_BYTES:
                told = self.refused_vote(delivery, refused.reason)
                let_in += [(delivery, told)] if told is not None else []
        return let_in

    def _own(self, batch: Batch) -> Batch:
        """Return what the engine must be told before a batch; journalled like all that it hears."""
        own: list[Message] = []
        if not batch:
            return []
        first = batch[0][1]
        if self.engine.rules != self._rules:
            own.append(
                RulesChanged(
                    message_id=derive_id("rules", self._partition, self.engine.state.announced),
                    correlation_id=first.correlation_id,
                    causation_id=first.message_id,
                    occurred_at=first.occurred_at,
                    before=self.engine.rules,
                    after=self._rules,
                    actor="settings",
                )
            )
        for proposal_id in self._decided_elsewhere:
            _log.error("a proposal was decided elsewhere", proposal_id=proposal_id)
            own.append(
                ProposalDecided(
                    message_id=derive_id("decided elsewhere", self._partition, proposal_id),
                    correlation_id=proposal_id,
                    occurred_at=first.occurred_at,
                    proposal_id=proposal_id,
                )
            )
        self._decided_elsewhere = ()
        if self._clock is not None:
            now = self._clock.now()
            proposals = [m for _, m in batch if isinstance(m, TradingProposal)]
            if self.engine.any_too_old(proposals, now):
                identity = derive_id("time", self._partition, now.isoformat())
                own.append(
                    TimeObserved(message_id=identity, correlation_id=identity, occurred_at=now)
                )
        return [(self._delivery(message), message) for message in own]

    def _delivery(self, message: Message) -> Delivery:
        return Delivery(
            stream=Stream.SERVICE, partition=self._partition, position="", data=encode(message)
        )

    async def committed(self, effects: Effects) -> None:
        """Count what is now on record."""
        now = time.perf_counter()
        decided: Counter[tuple[str, str]] = Counter()
        sides: Counter[tuple[str, bool]] = Counter()
        for event in effects.events:
            if isinstance(event, BreakerChanged):
                self._metrics.count(Metric.BREAKER_CHANGES, agent=event.agent_id, state=event.after)
            if isinstance(event, ConsensusResult):
                decided[event.outcome, event.reason] += 1
                for vote in event.counted:
                    side = agreed(vote.score, event)
                    if side is not None:
                        sides[vote.agent_id, side] += 1
                taken_in = self._taken_in.pop(event.proposal.proposal_id, None)
                if taken_in is not None:
                    self._metrics.observe(Metric.DECISION_SECONDS, now - taken_in)
        for (outcome, reason), count in decided.items():
            self._metrics.count(Metric.DECISIONS, count, outcome=outcome, reason=reason)
        for (agent, side), count in sides.items():
            told = "yes" if side else "no"
            self._metrics.count(Metric.VOTES_AGREED, count, agent=agent, agreed=told)
        self._metrics.gauge(Metric.OPEN_ROUNDS, len(self.engine.state.rounds))
        self._show_breakers()

    def _is_of_the_past(self, tick: Tick) -> bool:
        """Whether a tick would turn logical time back to what this process's clock denies.

        A standby whose clock lags, or that mends time after one whose clock was ahead, may.
        """
        before = self.engine.state.now
        if self._clock is None or before is None or tick.occurred_at >= before:
            return False
        return abs(self._clock.now() - tick.occurred_at) > self._rules.vote_time_to_live / 2

    def _show_breakers(self) -> None:
        for agent in AGENTS:
            breaker = self.engine.state.breakers.get(agent)
            state = breaker.state if breaker else BreakerState.CLOSED
            self._metrics.gauge(
                Metric.BREAKER_STATE,
                _SEVERITY[state],
                agent=agent,
                partition=str(self._partition),
            )

    async def _decided(self, proposal: TradingProposal, events: Iterable[DecisionEvent]) -> bool:
        """Whether only the record, or this batch, remembers that a proposal was decided."""
        if self._ledger is None or not self.engine.may_have_forgotten(proposal):
            return False
        decision = decision_id(proposal)
        return any(event.message_id == decision for event in events) or bool(
            await self._ledger.recorded(self.log, [decision])
        )

    def _snapshot(self, inputs: int) -> bytes | None:
        self._since_snapshot += inputs
        # A snapshot holds all that is remembered: written too often it would cost more than
        # the decisions, and read too seldom the journal behind it would delay recovery.
        if self._since_snapshot < max(self._between, len(self.engine.state.decided)):
            return None
        self._since_snapshot = 0
        return self.engine.to_bytes()


def _as_heard(delivery: Delivery, message: Message) -> Delivery:
    """Return what the journal keeps: what the engine heard, where that is not what came."""
    if isinstance(message, VoteRefused):
        return replace(delivery, data=encode(message))
    return delivery
