"""One simulated run: two consensus processes and two gateways on one bus and one record."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random

import structlog
from msgspec.structs import replace

from adapters.bus.memory import MemoryBus
from adapters.clock import EventClock
from consensus.audit import verify_ledger
from consensus.decisions import STREAMS, DecisionHandler
from consensus.handler import Batch, Effects
from consensus.processor import Processor
from consensus.retries import keep_running
from domain.breaker import BreakerRules
from domain.errors import EnvironmentProblem, Fenced
from domain.identity import derive_id
from domain.market import Tick
from domain.metrics import Metric
from domain.ports.bus import MessageBus
from domain.ports.ledger import Ledger, Log
from domain.rules import Rules
from domain.settings import Settings
from domain.streams import Stream
from tests.builders import at
from tests.simulation import virtual_time
from tests.simulation.faults import FaultRates, Process
from tests.simulation.invariants import Witness
from tests.simulation.witnessed import WitnessedBroker, WitnessedBus, WitnessedLedger
from tests.simulation.workload import END_SECONDS, messages
from trading.handler import LOG_PARTITION, GatewayHandler
from trading.paper_venue import PaperVenue
from trading.service import sources

RULES = Rules(
    vote_time_to_live=timedelta(seconds=30),
    proposal_time_to_live=timedelta(seconds=12),
    review_timeout=timedelta(seconds=8),
    breaker=BreakerRules(missed_rounds=3, pause=timedelta(seconds=4)),
)
_TICK_SECONDS = 0.5
_WAIT_MS = 1000
_REST_SECONDS = 120.0
_LONGEST_RESTART = 2.0


Work = Callable[[Process], Coroutine[None, None, None]]


class NoMetrics:
    """A `domain.ports.metrics.Metrics` that keeps nothing."""

    def count(self, metric: Metric, amount: float = 1, **labels: str) -> None:
        """Count nothing."""

    def gauge(self, metric: Metric, value: float, **labels: str) -> None:
        """Show nothing."""

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Observe nothing."""


class SkewedClock:
    """A machine's clock, wrong by a few tenths of a second; a `domain.ports.clock.Clock`."""

    def __init__(self, world: "World", skew: float) -> None:
        self._world = world
        self._skew = skew

    def now(self) -> datetime:
        """Return what it shows."""
        return self._world.now(self._skew)

    def observe(self, moment: datetime) -> None:
        """Do nothing: messages do not move it."""


class WitnessedDecisions(DecisionHandler):
    """A decision handler that is looked at when it comes back, and fails now and then."""

    def __init__(self, world: "World", process: Process, partition: int) -> None:
        super().__init__(
            world.rules,
            NoMetrics(),
            partition=partition,
            clock=SkewedClock(world, process.random.gauss(0, 0.2)),
            inputs_between_snapshots=world.inputs_between_snapshots,
        )
        self._world = world
        self._process = process
        self._number = partition
        self._failed = False

    async def recover(self, ledger: Ledger) -> None:
        """Recover, then compare with what the record says."""
        witness, number = self._world.witness, self._number
        before = witness.commits(number)
        await super().recover(ledger)
        if witness.commits(number) == before:  # nobody took over meanwhile
            witness.recovered(number, self.engine.to_bytes())

    async def handle(self, batch: Batch) -> Effects:
        """Handle a batch, unless a fault in the code is due."""
        effects = await super().handle(batch)
        self._failed = not self._failed and self._process.random.random() < self._world.faulty()
        if self._failed:
            self._world.trace(f"{self._process.name}: fault in its handler")
            raise ZeroDivisionError
        return effects


@dataclass
class World:
    """Everything of one run; the same seed gives the same run.

    Parameters
    ----------
    seed
        All that happens derives from it.
    trace
        Told what happens, line by line.
    """

    seed: int
    trace: Callable[[str], None] = lambda _: None
    lives: int = 0
    random: Random = field(init=False)
    witness: Witness = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.partitions = self.random.choice((1, 1, 2))
        self.limit = self.random.choice((2, 5, 512))
        self.inputs_between_snapshots = self.random.choice((5, 10_000))
        self._faulty = self.random.choice((0.0, 0.05, 0.2))
        self._losses = self.random.choice((0, 0, 0, 1, 2))
        self._drawn = FaultRates.drawn(self.random)
        self._calm = False
        self._stop = asyncio.Event()
        four_eyes_above = Decimal(self.random.choice((0, 1_000_000)))
        self.rules = replace(RULES, review_four_eyes_above=four_eyes_above)
        self.witness = Witness(self.rules, self.partitions)
        self._broker = WitnessedBroker(self.witness)
        self._ledger = WitnessedLedger(self.witness)

    def rates(self) -> FaultRates:
        """Return the rates of faults now."""
        return FaultRates() if self._calm else self._drawn

    def faulty(self) -> float:
        """Return how likely a handler fails now; never twice in a row, so it is worth trying."""
        return 0.0 if self._calm else self._faulty

    def now(self, skew: float) -> datetime:
        """Return what a clock tells that is wrong by `skew` seconds."""
        return at(round(asyncio.get_running_loop().time() + skew, 6))

    async def run(self) -> None:
        """Let everything happen, come to rest, and check what is left."""
        living = [
            asyncio.ensure_future(self._live(name, work))
            for name, work in (
                ("consensus-a", self._consensus),
                ("consensus-b", self._consensus),
                ("gateway-a", self._gateway),
                ("gateway-b", self._gateway),
            )
        ]
        speaking = asyncio.ensure_future(self._speak())
        losing = asyncio.ensure_future(self._lose())
        await self._unless_failed(living, speaking)
        await losing
        self.trace("calm")
        self._calm = True
        await self._unless_failed(living, asyncio.ensure_future(self._rest()))
        self.witness.at_the_end()
        for log in (Log.DECISIONS, Log.ORDERS):
            audit = await verify_ledger(self._ledger, log)
            assert audit.sound, audit.findings
        self._stop.set()
        await asyncio.gather(*living)

    async def _unless_failed(
        self, living: "Sequence[asyncio.Future[None]]", what: "asyncio.Future[None]"
    ) -> None:
        done, _ = await asyncio.wait([what, *living], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _speak(self) -> None:
        """Send what the seed has everybody say, each at its moment."""
        bus = MemoryBus(self._broker)
        loop = asyncio.get_running_loop()
        for sent in messages(self.random, self.partitions):
            await asyncio.sleep(max(0.0, sent.moment - loop.time()))
            await bus.publish_raw(sent.stream, sent.partition, sent.data)

    async def _lose(self) -> None:
        """Have the bus lose everything now and then, as `FLUSHALL` does."""
        for _ in range(self._losses):
            await asyncio.sleep(self.random.uniform(0, END_SECONDS / 2))
            self.trace("flush")
            self._broker.lose_everything()

    async def _rest(self) -> None:
        """Wait until nothing is left to do."""
        bus = MemoryBus(self._broker)
        groups = [
            *(("consensus", s, p) for s in STREAMS[:-1] for p in range(self.partitions)),
            *(("gateway", s, p) for s, p in sources(self.partitions)),
        ]

        async def quiet() -> bool:
            backlogs = [await bus.backlog(*group) for group in groups]
            return self.witness.at_rest() and not any(b.total for b in backlogs)

        for _ in range(int(_REST_SECONDS)):
            await asyncio.sleep(1)
            if await quiet():
                # What was lost just now may be told again meanwhile.
                await asyncio.sleep(1.5 * _TICK_SECONDS)
                if await quiet():
                    return
        raise AssertionError("it never came to rest")

    async def _live(self, name: str, work: Work) -> None:
        """Be one process: start again whenever it died."""
        process = Process(name, Random(f"{self.seed} {name}"), self.rates, self.trace)
        while not self._stop.is_set():
            process.begin()
            self.lives += 1
            process.task = asyncio.ensure_future(work(process))
            await asyncio.wait([process.task])
            if not process.task.cancelled():
                # One that was killed may have been about to end because it was fenced.
                problem = process.task.exception()
                if problem is not None and not isinstance(problem, Fenced):
                    raise problem
                self.trace(f"{name}: ended, {problem!r}")
            await asyncio.sleep(process.random.uniform(0, _LONGEST_RESTART))

    async def _consensus(self, process: Process) -> None:
        """Run what `consensus.service.ConsensusService` runs, and its clock."""
        running: dict[int, Processor] = {}
        clock = asyncio.ensure_future(self._tell_time(process, running))
        processors = [
            asyncio.ensure_future(
                keep_running(partial(self._deciding, process, partition, running), self._stop)
            )
            for partition in range(self.partitions)
        ]
        try:
            await asyncio.gather(*processors)
        finally:
            for task in (*processors, clock):
                task.cancel()
            await asyncio.gather(*processors, clock, return_exceptions=True)

    @asynccontextmanager
    async def _deciding(
        self, process: Process, partition: int, running: dict[int, Processor]
    ) -> AsyncGenerator[Processor]:
        bus, ledger = self._bus(process, Log.DECISIONS), process.ledger(self._ledger)
        try:
            running[partition] = Processor(
                bus,
                ledger,
                WitnessedDecisions(self, process, partition),
                NoMetrics(),
                group="consensus",
                partition=partition,
                sources=[(stream, partition) for stream in STREAMS],
                last=[Stream.TIME],
                limit=self.limit,
                wait_ms=_WAIT_MS,
                ahead=True,
            )
            yield running[partition]
        finally:
            running.pop(partition, None)
            await ledger.close()
            await bus.close()

    async def _tell_time(self, process: Process, running: dict[int, Processor]) -> None:
        skew = process.random.gauss(0, 0.2)
        bus = process.bus(MemoryBus(self._broker))
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = self.now(skew)
            for partition, processor in list(running.items()):
                if processor.ready:
                    identity = derive_id("tick", process.name, partition, now.isoformat())
                    tick = Tick(message_id=identity, correlation_id=identity, occurred_at=now)
                    try:
                        await bus.publish(Stream.TIME, partition, tick)
                    except EnvironmentProblem:
                        continue

    async def _gateway(self, process: Process) -> None:
        await keep_running(partial(self._trading, process), self._stop)

    @asynccontextmanager
    async def _trading(self, process: Process) -> AsyncGenerator[Processor]:
        bus, ledger = self._bus(process, Log.ORDERS), process.ledger(self._ledger)
        settings = Settings(partitions=self.partitions)
        venue = PaperVenue(settings.trading)
        try:
            yield Processor(
                bus,
                ledger,
                GatewayHandler(
                    venue,
                    EventClock(),
                    NoMetrics(),
                    settings,
                    events_between_snapshots=self.inputs_between_snapshots,
                ),
                NoMetrics(),
                group="gateway",
                partition=LOG_PARTITION,
                sources=sources(self.partitions),
                limit=self.limit,
                wait_ms=_WAIT_MS,
            )
        finally:
            await ledger.close()
            await bus.close()

    def _bus(self, process: Process, log: str) -> MessageBus:
        bus = WitnessedBus(self.witness, log, self._broker, process.random)
        return process.bus(bus)


def simulate(seed: int, trace: Callable[[str], None] = lambda _: None) -> World:
    """Run one seed; an invariant that breaks raises `AssertionError`."""
    before = structlog.get_config()
    structlog.configure(processors=[_silent])
    random.seed(seed)  # the jitter of retries

    async def whole() -> World:
        world = World(seed, trace)
        await world.run()
        return world

    try:
        return virtual_time.run(whole())
    except Exception as broken:
        broken.add_note(f"Replay it: python -m tests.simulation --first {seed} --trace")
        raise
    finally:
        structlog.configure(**before)


def _silent(*_: object) -> structlog.typing.EventDict:
    raise structlog.DropEvent
