"""What a fault run left on record: nothing lost, doubled, out of order, altered or unexplained."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from adapters.ledger import open_ledger
from adapters.projections import verify
from consensus.audit import read_log, verify_ledger
from consensus.engine import Engine
from domain.identity import client_order_id
from domain.messages import Message, decode
from domain.orders import OrderStatus, OrderUpdated
from domain.ports.ledger import Ignored, Input, Ledger, Log
from domain.review import ReviewOpened, ReviewVerdict
from domain.settings import Settings
from domain.voting import Action, ConsensusResult, Outcome, TradingProposal
from orchestration.projections import JUDGES
from tests.faults.load import Load
from tests.faults.persons import Answering, Said
from tests.faults.plane import Plane

_SETTLE_SECONDS = 90.0
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Logs:
    """All that is on record: each log's events by partition, and the decisions' inputs."""

    decisions: Mapping[int, Sequence[Message]]
    orders: Sequence[Message]
    inputs: Mapping[int, Sequence[Input]]
    faults: Sequence[str]

    @property
    def decided(self) -> dict[str, ConsensusResult]:
        """Proposal id → its decision."""
        return {e.proposal.proposal_id: e for e in self.results}

    @property
    def taken(self) -> list[ConsensusResult]:
        """The decisions that the gateway took, in its order."""
        return [e for e in self.orders if isinstance(e, ConsensusResult)]

    @property
    def results(self) -> list[ConsensusResult]:
        """Every decision, and every answer to a review."""
        events = (e for held in self.decisions.values() for e in held)
        return [e for e in events if isinstance(e, ConsensusResult)]


def read(settings: Settings) -> Logs:
    """Read and audit both logs."""

    async def all_of(ledger: Ledger) -> Logs:
        decisions: dict[int, list[Message]] = {}
        async for entry in read_log(ledger, Log.DECISIONS):
            decisions.setdefault(entry.partition, []).append(entry.message)
        orders = [entry.message async for entry in read_log(ledger, Log.ORDERS)]
        inputs = {p: [i async for i in _inputs(ledger, p)] for p in range(settings.partitions)}
        audits = [await verify_ledger(ledger, log) for log in Log]
        faults = [finding.explanation for audit in audits for finding in audit.findings]
        return Logs(decisions, orders, inputs, faults)

    async def run() -> Logs:
        ledger = open_ledger(settings)
        try:
            return await all_of(ledger)
        finally:
            await ledger.close()

    return asyncio.run(run())


async def _inputs(ledger: Ledger, partition: int):
    number = 0
    while page := await ledger.inputs(Log.DECISIONS, partition, after=number):
        for entry in page:
            yield entry
        number = page[-1].number


def settle(plane: Plane, *loads: Load) -> Logs:
    """Wait until all that was sent is decided and told; return what is on record then.

    What a bus lost before anybody took it in is sent again, as who sent it would do.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        logs = read(plane.settings)
        undecided = [set(load.sent) - set(logs.decided) for load in loads]
        if not any(undecided) and len(logs.taken) == len(logs.results):
            return logs
        assert time.monotonic() < deadline, f"it never settled: {undecided}\n{plane.output()}"
        for load, missing in zip(loads, undecided, strict=True):
            load.repeat(missing)
        plane.revive()
        time.sleep(_LOOK_SECONDS)


def examine(logs: Logs, sent: Mapping[str, TradingProposal]) -> None:
    """Assert what must hold of every run, whatever happened in it."""
    assert logs.faults == [], "the chain is broken"
    _each_decided_once(logs, sent)
    _in_order(logs)
    _as_the_inputs_say(logs)
    _told_and_traded_once(logs)


def _each_decided_once(logs: Logs, sent: Collection[str]) -> None:
    for partition, events in logs.decisions.items():
        ids = [event.message_id for event in events]
        assert len(ids) == len(set(ids)), f"something was decided twice in partition {partition}"
    undecided = set(sent) - set(logs.decided)
    assert not undecided, f"{len(undecided)} proposals were lost"


def _in_order(logs: Logs) -> None:
    for partition, inputs in logs.inputs.items():
        last: dict[str, tuple[int, ...]] = {}
        for entry in inputs:
            if not entry.position:
                continue  # what the process told itself
            position = tuple(int(part) for part in entry.position.split("-"))
            before = last.get(entry.stream, (0,))
            assert position > before, f"{entry.stream} out of order in partition {partition}"
            last[entry.stream] = position


def _as_the_inputs_say(logs: Logs) -> None:
    """Decide everything again from what was heard: the same events, byte for byte."""
    for partition, inputs in logs.inputs.items():
        engine, events = Engine(), list[Message]()
        for entry in inputs:
            applied = engine.apply(decode(entry.data))
            events += [event for event in applied if not isinstance(event, Ignored)]
        assert events == list(logs.decisions.get(partition, ())), "the log is not what was heard"


def _told_and_traded_once(logs: Logs) -> None:
    """The gateway took every decision once, in the log's order, and made its order of it."""
    for partition, events in logs.decisions.items():
        told = [e for e in events if isinstance(e, ConsensusResult)]
        own = {e.message_id for e in told}
        heard = [e for e in logs.taken if e.message_id in own]
        assert heard == told, f"the gateway heard something else than partition {partition} says"
    first = (OrderStatus.SUBMITTED, OrderStatus.DENIED)
    made = [
        e.order.client_order_id
        for e in logs.orders
        if isinstance(e, OrderUpdated) and e.status in first
    ]
    assert len(made) == len(set(made)), "an order was made twice"
    wanted = {
        client_order_id(e.decision_id)
        for e in logs.taken
        if e.outcome is Outcome.EXECUTE and e.proposal.action is not Action.HOLD
    }
    assert set(made) == wanted, "orders and decisions to execute differ"


def answers_kept(logs: Logs, persons: Answering) -> int:
    """Assert that what persons were told was taken is on record once; returns how many answers.

    An answer whose desk died may be on record, once, or not at all; nobody else's is.
    """
    events = [e for held in logs.decisions.values() for e in held]
    taken = Counter(Said.of(e) for e in events if isinstance(e, ReviewVerdict))
    assert set(taken.values()) <= {1}, "an answer was taken twice"
    assert persons.acknowledged <= set(taken), "an answer was lost after it was acknowledged"
    assert set(taken) <= persons.sent, "an answer is on record that nobody gave"
    opened = {e.decision_id for e in events if isinstance(e, ReviewOpened)}
    assert {said.decision_id for said in taken} <= opened
    ends = Counter(r.decision_id for r in logs.results)
    assert all(ends[key] <= (2 if key in opened else 1) for key in ends), "a review ended twice"
    return len(taken)


def projections_equal(settings: Settings) -> int:
    """Assert that the read side is the one built from nothing; returns its number of events."""
    comparison = verify(settings.ledger_url.get_secret_value(), JUDGES)
    assert comparison.different == [], "a projection depends on when it was made"
    return comparison.events
