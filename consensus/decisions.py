"""The engine as a handler: recovered from the record, its decisions recorded and published."""

import time

from consensus.engine import Engine
from consensus.handler import Batch, Effects, dead_letter
from consensus.state import State
from domain.identity import derive_id
from domain.messages import decode
from domain.metrics import Metric
from domain.ports.bus import Delivery
from domain.ports.ledger import DeadLetter, Ignored, Ledger, Log, Outgoing
from domain.ports.metrics import Metrics
from domain.rules import Rules
from domain.streams import Stream
from domain.voting import ConsensusResult, ReviewVerdict, TradingProposal

#: Streams that the consensus reads; TIME is handled behind the others.
STREAMS = (Stream.PROPOSALS, Stream.VOTES, Stream.REVIEWS, Stream.TIME)

_INPUTS_BETWEEN_SNAPSHOTS = 10_000
_FOR_A_PERSON = frozenset({"unknown_agent", "unexpected_type"})


class DecisionHandler:
    """Decides proposals of one partition; a `consensus.handler.Handler`."""

    log: str = Log.DECISIONS

    def __init__(
        self,
        rules: Rules,
        metrics: Metrics,
        *,
        partition: int = 0,
        inputs_between_snapshots: int = _INPUTS_BETWEEN_SNAPSHOTS,
    ) -> None:
        self._rules = rules
        self._metrics = metrics
        self._partition = partition
        self._between = inputs_between_snapshots
        self._since_snapshot = 0
        self._taken_in: dict[str, float] = {}
        self._ledger: Ledger | None = None
        self.engine = Engine(rules)

    async def recover(self, ledger: Ledger) -> None:
        """Rebuild the engine from the last snapshot and the inputs that were journalled since."""
        self._ledger = ledger
        self._taken_in.clear()
        snapshot = await ledger.snapshot(self.log, self._partition)
        if snapshot is None:
            self.engine, number = Engine(self._rules, State()), 0
        else:
            self.engine, number = Engine.from_bytes(self._rules, snapshot.data), snapshot.inputs
        self._since_snapshot = 0
        while page := await ledger.inputs(self.log, self._partition, after=number):
            for entry in page:
                self.engine.apply(decode(entry.data))
            number = page[-1].number
            self._since_snapshot += len(page)

    async def handle(self, batch: Batch) -> Effects:
        """Apply a batch to the engine."""
        repeated = await self._decided_before(batch)
        inputs: list[Delivery] = []
        events: list[ConsensusResult | ReviewVerdict] = []
        ignored: list[Ignored] = []
        letters: list[DeadLetter] = []
        now = time.perf_counter()
        for delivery, message in batch:
            if message.message_id in repeated:
                ignored.append(Ignored(message=message, reason="duplicate"))
                continue
            inputs.append(delivery)
            if isinstance(message, TradingProposal):
                self._taken_in.setdefault(message.proposal_id, now)
            for event in self.engine.apply(message):
                if not isinstance(event, Ignored):
                    events.append(event)
                    continue
                ignored.append(event)
                if event.reason in _FOR_A_PERSON:
                    letters.append(dead_letter(delivery, event.reason))
        return Effects(
            inputs=tuple(inputs),
            events=tuple(events),
            outbox=tuple(
                Outgoing(stream=Stream.DECISIONS, partition=self._partition, message=event)
                for event in events
                if isinstance(event, ConsensusResult)
            ),
            dead_letters=tuple(letters),
            ignored=tuple(ignored),
            snapshot=self._snapshot(len(inputs)),
        )

    async def committed(self, effects: Effects) -> None:
        """Count what is now on record."""
        now = time.perf_counter()
        for event in effects.events:
            if isinstance(event, ConsensusResult):
                self._metrics.count(Metric.DECISIONS, outcome=event.outcome, reason=event.reason)
                taken_in = self._taken_in.pop(event.proposal.proposal_id, None)
                if taken_in is not None:
                    self._metrics.observe(Metric.DECISION_SECONDS, now - taken_in)
        self._metrics.gauge(Metric.OPEN_ROUNDS, len(self.engine.state.rounds))

    async def _decided_before(self, batch: Batch) -> set[str]:
        """Return proposals that were decided so long ago that only the record remembers."""
        ledger = self._ledger
        if ledger is None:
            return set()
        return {
            message.proposal_id
            for _, message in batch
            if isinstance(message, TradingProposal)
            and self.engine.may_have_forgotten(message)
            and await ledger.contains(self.log, derive_id("decision", message.proposal_id))
        }

    def _snapshot(self, inputs: int) -> bytes | None:
        self._since_snapshot += inputs
        if self._since_snapshot < self._between:
            return None
        self._since_snapshot = 0
        return self.engine.to_bytes()
