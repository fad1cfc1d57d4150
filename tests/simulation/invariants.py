"""What must hold after every step of a simulated run, and what must hold at its end."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from adapters.bus.numbering import Position, parse
from consensus.engine import Engine
from consensus.rule import Reason
from domain.breaker import BreakerChanged
from domain.chain import link
from domain.errors import MessageRefused
from domain.identity import client_order_id, derive_id
from domain.market import Tick
from domain.messages import Message, decode
from domain.orders import ExecutionReport, OrderStatus, OrderUpdated
from domain.ports.bus import Delivery
from domain.ports.ledger import GENESIS, Commit, Committed, Ignored, Lease, Log, Recorded
from domain.review import ReviewVerdict
from domain.rules import Rules
from domain.streams import Stream, partition_of
from domain.voting import (
    Action,
    AgentId,
    ConsensusResult,
    Outcome,
    TradingProposal,
    Vote,
)
from tests.simulation import oracle

Source = tuple[Stream, int]

#: What a round is made of; a deadline is judged behind what stood on these.
_BEFORE_TIME = (Stream.PROPOSALS, Stream.VOTES, Stream.REVIEWS)


@dataclass
class _Appended:
    """A message on the bus: the how-manieth of all, and whether the bus lost it untaken."""

    number: int
    data: bytes
    lost: bool = False


@dataclass
class _Taken:
    """What one log has taken in of one source."""

    positions: set[Position] = field(default_factory=set)
    offset: Position = (0, 0)


@dataclass
class _LogSoFar:
    """What one partition of a log holds, as its commits told."""

    hash: bytes = GENESIS
    events: list[Message] = field(default_factory=list)
    commits: int = 0
    told: int = 0  # how many of its decisions were published


class Witness:
    """Sees every append to the bus and every commit, and checks both against what came before."""

    def __init__(self, rules: Rules, partitions: int) -> None:
        self.rules = rules
        self._partitions = partitions
        self.steps = 0
        self._appended: defaultdict[Source, dict[Position, _Appended]] = defaultdict(dict)
        self._ends: dict[Source, Position] = {}
        self._count = 0
        self._logs: defaultdict[tuple[str, int], _LogSoFar] = defaultdict(_LogSoFar)
        self._taken: defaultdict[tuple[str, Source], _Taken] = defaultdict(_Taken)
        self._letters: set[tuple[str, Source, Position]] = set()
        self._votes: defaultdict[str, list[Vote]] = defaultdict(list)
        self._let_go: set[tuple[str, str]] = set()
        self._shadows: defaultdict[int, Engine] = defaultdict(Engine)
        self._verdicts: defaultdict[str, list[ReviewVerdict]] = defaultdict(list)
        self._cut_off: set[tuple[int, str]] = set()

    def appended(self, source: Source, position: Position, data: bytes) -> None:
        """Check what enters the bus: a decision only once it is on record, in its order."""
        self.steps += 1
        self._count += 1
        before = self._appended[source].get(position)
        assert before is None or before.data == data, "another message took a position"
        self._appended[source][position] = _Appended(self._count, data)
        end, self._ends[source] = self._ends.get(source), position
        stream, partition = source
        if stream is Stream.DECISIONS:
            assert end is None or position[0] == end[0] + 1, "decisions were told in another order"
            log = self._logs[Log.DECISIONS, partition]
            results = [e for e in log.events if isinstance(e, ConsensusResult)]
            assert position[0] <= len(results), "a decision was told before its commit"
            assert decode(data) == results[position[0] - 1], "another decision was told"
            log.told = max(log.told, position[0])

    def lost(self) -> None:
        """Learn that the bus lost everything; of decisions all must come again."""
        self._ends.clear()
        for (stream, partition), entries in self._appended.items():
            if stream is not Stream.DECISIONS:
                log = Log.ORDERS if stream is Stream.MARKET else Log.DECISIONS
                offset = self._taken[log, (stream, partition)].offset
                for position, entry in entries.items():
                    entry.lost = entry.lost or position > offset

    def acknowledged(self, log: str, deliveries: Sequence[Delivery]) -> None:
        """Check that only what is on record is taken off the bus."""
        self.steps += 1
        for delivery in deliveries:
            taken = self._taken[log, (delivery.stream, delivery.partition)]
            assert parse(delivery.position) in taken.positions, (
                f"{delivery.stream} {delivery.position} was acknowledged, but is not on record"
            )

    def chained(self, place: tuple[str, int], new: Sequence[Recorded]) -> None:
        """Check that events follow those before them without a gap, and hang in their chain."""
        log = self._logs[place]
        for number, entry in enumerate(new, len(log.events) + 1):
            log.hash = link(log.hash, entry.data)
            assert (entry.sequence, entry.hash) == (number, log.hash), "the chain is broken"

    def committed(self, lease: Lease, commit: Commit, committed: Committed) -> None:
        """Check one transaction."""
        self.steps += 1
        log = self._logs[lease.log, lease.partition]
        log.commits += 1
        log.events += commit.events
        assert committed.sequence == len(log.events), "the log has a gap"
        self._check_inputs(lease, commit)
        if lease.log == Log.DECISIONS:
            self._check_decisions(lease.partition, commit)

    def commits(self, partition: int) -> int:
        """Return how many transactions a partition of the decisions' log has seen."""
        return self._logs[Log.DECISIONS, partition].commits

    def recovered(self, partition: int, state: bytes) -> None:
        """Check that a process that comes back knows exactly what the record says."""
        assert state == self._shadows[partition].to_bytes(), "another state came back"

    def _check_inputs(self, lease: Lease, commit: Commit) -> None:
        """Every message of a source is taken in once, none is passed over, none is altered."""
        accounted_for = {i.message.message_id for i in commit.ignored}
        accounted_for |= {e.message_id for e in commit.events}  # the gateway records what it took
        for letter in commit.dead_letters:
            place = lease.log, (letter.stream, letter.partition), parse(letter.position)
            assert place not in self._letters, "one message became two dead letters"
            self._letters.add(place)
        for delivery in commit.inputs:
            self._take(lease.log, delivery)
            if lease.log == Log.DECISIONS and delivery.stream is Stream.TIME:
                self._check_time(lease.partition, delivery, commit)
        for offset in commit.offsets:
            source = offset.stream, offset.partition
            taken, reached = self._taken[lease.log, source], parse(offset.position)
            assert reached > taken.offset, "an offset went back"
            for position, entry in self._between(source, taken.offset, reached):
                accounted = position in taken.positions or (
                    entry.lost
                    or (lease.log, source, position) in self._letters
                    or _message_id(entry.data) in accounted_for
                )
                assert accounted, f"{source} {position} was passed over: {entry.data!r}"
                taken.positions.add(position)
            taken.offset = reached

    def _take(self, log: str, delivery: Delivery) -> None:
        if delivery.stream is Stream.SERVICE:
            return  # the process told itself
        source, position = (delivery.stream, delivery.partition), parse(delivery.position)
        taken = self._taken[log, source]
        assert position > max(taken.positions, default=(0, 0)), "messages changed places"
        entry = self._appended[source][position]
        assert delivery.data == entry.data, "an input was altered"
        entry.lost = False  # it was in hand
        taken.positions.add(position)

    def _check_time(self, partition: int, delivery: Delivery, commit: Commit) -> None:
        """A tick is handled behind everything that stood on the bus before it."""
        position = parse(delivery.position)
        told = self._appended[delivery.stream, partition][position].number
        in_commit = {
            (d.stream, d.partition, parse(d.position)): n for n, d in enumerate(commit.inputs)
        }
        own = in_commit[delivery.stream, delivery.partition, position]
        others = {i.message.message_id for i in commit.ignored}
        for stream in _BEFORE_TIME:
            source = stream, partition
            taken = self._taken[Log.DECISIONS, source]
            for at, entry in self._appended[source].items():
                if at <= taken.offset or entry.lost or entry.number > told:
                    continue
                before = in_commit.get((*source, at), own) < own
                refused = (Log.DECISIONS, source, at) in self._letters
                accounted = before or refused or _message_id(entry.data) in others
                assert accounted, "a deadline was judged before its votes"

    def _check_decisions(self, partition: int, commit: Commit) -> None:
        for entry in commit.ignored:
            if isinstance(entry.message, Vote) and entry.reason == "unknown_proposal":
                self._let_go.add((entry.message.proposal_id, entry.message.message_id))
        engine, expected = self._shadows[partition], list[Message]()
        for delivery in commit.inputs:
            message = decode(delivery.data)
            if isinstance(message, Vote):
                self._votes[message.proposal_id].append(message)
            if isinstance(message, ReviewVerdict):
                self._verdicts[message.decision_id].append(message)
            for event in engine.apply(message):
                if isinstance(event, Ignored):
                    continue
                expected.append(event)
                if isinstance(event, BreakerChanged):
                    self._cut_off.add((partition, event.agent_id))
                elif isinstance(event, ConsensusResult):
                    self._check_decision(event, message, engine.state.now)
        assert list(commit.events) == expected, "the log is not what its inputs cause"

    def _check_decision(
        self, decision: ConsensusResult, cause: Message, now: datetime | None
    ) -> None:
        proposal, key = decision.proposal, decision.proposal.proposal_id
        if decision.message_id != derive_id("decision", key):
            self._check_answer(decision, cause)
            return
        if decision.reason == Reason.TOO_OLD:
            assert now is not None
            assert now - proposal.occurred_at > self.rules.proposal_time_to_live
            assert decision.outcome is Outcome.REJECT
            return
        if isinstance(cause, Tick):
            deadline = proposal.occurred_at + self.rules.vote_deadline
            assert cause.occurred_at >= deadline, "a round was closed before its deadline"
        partition = partition_of(proposal.symbol, self._partitions)
        cut_off = {v.message_id for v in decision.ignored if v.reason == "breaker_open"}
        votes = {v.message_id: v for v in self._votes[key] if v.agent_id in list(AgentId)}
        for message_id in cut_off:
            was_open = (partition, votes[message_id].agent_id) in self._cut_off
            assert was_open, "an agent was cut off without a word"
        oracle.check(
            decision,
            [
                vote
                for message_id, vote in votes.items()
                if message_id not in cut_off and (key, message_id) not in self._let_go
            ],
            self.rules,
        )

    def _check_answer(self, answer: ConsensusResult, cause: Message) -> None:
        """A review ends once; in a trade only by as many persons as its value asks for."""
        proposal = answer.proposal
        first = derive_id("decision", proposal.proposal_id)
        assert answer.message_id == derive_id("review", first)
        if answer.outcome is Outcome.EXECUTE:
            assert isinstance(cause, ReviewVerdict)
            then = proposal.reference_price
            collar = self.rules.review_price_collar * then
            agreed = {
                verdict.actor
                for verdict in self._verdicts[first]
                if verdict.approved and abs(verdict.price_now - then) <= collar
            }
            above = then * proposal.quantity > self.rules.review_four_eyes_above
            assert len(agreed) >= (2 if above else 1), "too few persons approved it"

    def at_rest(self) -> bool:
        """Whether no round is open, no review waits, all that was decided was told, all is read."""
        return not self._unread() and all(
            not self._shadows[p].state.rounds
            and not self._shadows[p].state.reviews
            and self._logs[Log.DECISIONS, p].told == self._told_at_the_end(p)
            for p in range(self._partitions)
        )

    def _told_at_the_end(self, partition: int) -> int:
        events = self._logs[Log.DECISIONS, partition].events
        return sum(isinstance(e, ConsensusResult) for e in events)

    def at_the_end(self) -> None:
        """Check what must hold once everything came to rest."""
        for partition in range(self._partitions):
            self._check_decided(partition)
            log = self._logs[Log.DECISIONS, partition]
            assert log.told == self._told_at_the_end(partition), "a decision was never told"
        assert not self._unread(), f"not read to their ends: {self._unread()}"
        for log, source, kept in self._inputs():
            offset = self._taken[log, source].offset
            for position, data in kept.items():
                refused = (log, source, position) in self._letters
                read = position <= offset
                assert refused or not read or _message_id(data), "rubbish is no dead letter"
        self._check_orders()

    def _unread(self) -> list[Source]:
        """Return what a log has not taken in to its end; of time only the latest matters."""
        return [
            source
            for log, source, kept in self._inputs()
            if source[0] is not Stream.TIME and self._taken[log, source].offset < max(kept)
        ]

    def _inputs(self) -> Iterator[tuple[str, Source, dict[Position, bytes]]]:
        """Yield each stream that a log takes in, with what the bus still holds of it."""
        for source, entries in list(self._appended.items()):
            kept = {at: entry.data for at, entry in entries.items() if not entry.lost}
            if kept and source[0] in (*_BEFORE_TIME, Stream.TIME):
                yield Log.DECISIONS, source, kept
            elif kept and source[0] in (Stream.MARKET, Stream.DECISIONS):
                yield Log.ORDERS, source, kept

    def _check_decided(self, partition: int) -> None:
        """Exactly one decision for every proposal, exactly one end for every review."""
        events = self._logs[Log.DECISIONS, partition].events
        decided = [e for e in events if isinstance(e, ConsensusResult)]
        ids = [e.message_id for e in decided]
        assert len(ids) == len(set(ids)), "a decision was doubled"
        proposed = {
            message.proposal_id
            for entry in self._appended[Stream.PROPOSALS, partition].values()
            if not entry.lost
            if isinstance(message := _message(entry.data), TradingProposal)
        }
        first = {e.proposal.proposal_id: e for e in decided if e.message_id in _first(proposed)}
        assert set(first) == proposed, "a proposal was never decided"
        for decision in first.values():
            answered = derive_id("review", decision.decision_id) in ids
            in_review = decision.outcome is Outcome.MANUAL_REVIEW
            assert answered == in_review, "a review did not end, or one that never was"
        assert self._shadows[partition].state.rounds == {}, "a round never ends"

    def _check_orders(self) -> None:
        """Exactly one order for every decision to execute, and none for any other."""
        events = self._logs[Log.ORDERS, 0].events
        ids = [e.message_id for e in events]
        assert len(ids) == len(set(ids)), "the gateway did something twice"
        wanted = {
            client_order_id(e.message_id)
            for (log, _), held in self._logs.items()
            for e in held.events
            if log == Log.DECISIONS and isinstance(e, ConsensusResult)
            if e.outcome is Outcome.EXECUTE and e.proposal.action is not Action.HOLD
        }
        first = (OrderStatus.SUBMITTED, OrderStatus.DENIED)
        made = [
            e.order.client_order_id
            for e in events
            if isinstance(e, OrderUpdated) and e.status in first
        ]
        assert len(made) == len(set(made)), "an order was made twice"
        assert set(made) == wanted, "orders and decisions to execute differ"
        filled = {e.client_order_id for e in events if isinstance(e, ExecutionReport)}
        assert filled <= wanted
        taken = [e for e in events if isinstance(e, ConsensusResult)]
        for (log, partition), held in self._logs.items():
            if log == Log.DECISIONS:
                own = {e.message_id for e in held.events}
                told = [e for e in held.events if isinstance(e, ConsensusResult)]
                heard = [e for e in taken if e.message_id in own]
                assert heard == told, f"the gateway heard another partition {partition}"

    def _between(
        self, source: Source, after: Position, until: Position
    ) -> list[tuple[Position, _Appended]]:
        entries = self._appended[source].items()
        return [(at, entry) for at, entry in entries if after < at <= until]


def _message(data: bytes) -> Message | None:
    try:
        return decode(data)
    except MessageRefused:
        return None


def _message_id(data: bytes) -> str:
    message = _message(data)
    return message.message_id if message else ""


def _first(proposals: set[str]) -> set[str]:
    return {derive_id("decision", key) for key in proposals}
