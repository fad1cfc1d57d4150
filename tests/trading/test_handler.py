"""The order path under the exactly-once processor, on the bus and the ledger in memory."""

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from msgspec.structs import replace

from adapters.bus.memory import MemoryBus
from adapters.ledger.memory import MemoryLedger
from consensus.processor import Processor
from domain.errors import RecordIncomplete
from domain.experience import Experience
from domain.limits import LimitsDeclared
from domain.market import MarketData, Tick
from domain.messages import decode
from domain.orders import (
    ExecutionReport,
    OrderStatus,
    OrderUpdated,
    TradingState,
    TradingStateChanged,
)
from domain.orders import TradingStateRequested as Requested
from domain.portfolio import PortfolioUpdated
from domain.ports.ledger import Log
from domain.settings import Settings
from domain.streams import Stream, partition_of
from domain.voting import Action, Outcome
from trading.handler import GatewayHandler
from trading.paper_venue import PaperVenue
from trading.service import sources

D = Decimal
GROUP = "gateway"


class Plane:
    """A bus and a ledger that outlive any number of gateway processes."""

    def __init__(self, make, partitions=1):
        self.make = make
        self.settings = Settings(partitions=partitions)
        self.bus = MemoryBus()
        self.ledger = MemoryLedger()

    def venue(self):
        return PaperVenue(self.settings.trading)

    @asynccontextmanager
    async def gateway(self, venue=None, *, between=10_000):
        """Run a fresh gateway process for the block."""
        handler = GatewayHandler(
            venue or self.venue(),
            self.make.clock(),
            self.make.metrics(),
            self.settings,
            events_between_snapshots=between,
        )
        processor = Processor(
            self.bus,
            self.ledger,
            handler,
            self.make.metrics(),
            group=GROUP,
            sources=sources(self.settings.partitions),
            wait_ms=10,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(processor.run(stop))
        try:
            yield handler
        finally:
            stop.set()
            await running

    async def send(self, stream, *messages):
        """Publish one message after the other, each when the one before is drained."""
        for message in messages:
            await self.bus.publish(stream, 0, message)
            await self.drained(stream)

    async def drained(self, stream):
        while (await self.bus.backlog(GROUP, stream, 0)).total:  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def told(self, stream, kind):
        deliveries = await self.bus.read(stream, 0, limit=10_000)
        return [m for m in map(decode, (d.data for d in deliveries)) if isinstance(m, kind)]

    async def recorded(self):
        return [r.data for r in await self.ledger.events(Log.ORDERS, 0, limit=10_000)]


@pytest.fixture
def plane(make):
    return Plane(make)


async def walk(plane, make):
    yield Stream.MARKET, make.bar(0)
    yield Stream.DECISIONS, make.decision(make.bar(0), horizon_days=2)
    yield Stream.MARKET, make.bar(1, "103", volume="900")
    yield Stream.DECISIONS, make.decision(make.bar(1, "103"), Action.SELL, "20", horizon_days=1)
    yield (
        Stream.DECISIONS,
        replace(
            make.decision(make.bar(1, "103"), quantity="9999", horizon_days=1),
            message_id="too-large",
        ),
    )
    yield Stream.MARKET, make.bar(2, "104")
    yield Stream.MARKET, make.bar(3, "105")


async def test_everybody_hears_what_the_order_path_did(make, plane):
    async with plane.gateway():
        async for stream, message in walk(plane, make):
            await plane.send(stream, message)
    updates = await plane.told(Stream.ORDERS, OrderUpdated)
    assert [(u.order.side, u.status) for u in updates] == [
        ("BUY", OrderStatus.SUBMITTED),
        ("BUY", OrderStatus.ACCEPTED),
        ("BUY", OrderStatus.PARTIALLY_FILLED),
        ("BUY", OrderStatus.EXPIRED),
        ("SELL", OrderStatus.SUBMITTED),
        ("SELL", OrderStatus.ACCEPTED),
        ("BUY", OrderStatus.DENIED),
        ("SELL", OrderStatus.FILLED),
    ]
    fills = await plane.told(Stream.EXECUTIONS, ExecutionReport)
    assert [(f.side, f.quantity) for f in fills] == [("BUY", D(45)), ("SELL", D(20))]
    portfolios = await plane.told(Stream.PORTFOLIO, PortfolioUpdated)
    assert [p.causation_id for p in portfolios] == [make.bar(day).message_id for day in range(4)]
    assert portfolios[-1].portfolio.quantity("IBM") == 25
    experiences = await plane.told(Stream.EXPERIENCES, Experience)
    assert {e.outcome for e in experiences} == {Outcome.EXECUTE}


@pytest.mark.parametrize("between", [1, 4, 10_000])
@pytest.mark.parametrize("crash_after", range(7))
async def test_a_restart_anywhere_records_the_same_bytes(make, plane, crash_after, between):
    async with plane.gateway():
        async for stream, message in walk(plane, make):
            await plane.send(stream, message)
    other = Plane(make)
    messages = [pair async for pair in walk(other, make)]
    for part in (messages[: crash_after + 1], messages[crash_after + 1 :]):
        async with other.gateway(between=between):
            for stream, message in part:
                await other.send(stream, message)
    assert await other.recorded() == await plane.recorded()


async def lived(make, plane, between=2):
    """Return the state of a gateway that has lived through the walk."""
    async with plane.gateway(between=between) as handler:
        async for stream, message in walk(plane, make):
            await plane.send(stream, message)
        return handler.gateway.book.to_bytes()


async def test_recovery_reads_the_snapshot_and_what_follows_it(make, plane, monkeypatch):
    state = await lived(make, plane)
    snapshot = await plane.ledger.snapshot(Log.ORDERS, 0)
    last, read = len(await plane.recorded()), []
    assert 0 < snapshot.sequence < last
    events = plane.ledger.events

    async def noted(log, partition, *, after, limit):
        page = await events(log, partition, after=after, limit=limit)
        read.extend(entry.sequence for entry in page)
        return page

    monkeypatch.setattr(plane.ledger, "events", noted)
    handler = GatewayHandler(plane.venue(), make.clock(), make.metrics(), plane.settings)
    await handler.recover(plane.ledger)
    assert read == list(range(snapshot.sequence + 1, last + 1))
    assert handler.gateway.book.to_bytes() == state
    assert await handler.gateway.dispatch() == []


async def test_a_snapshot_of_another_release_is_passed_over(make, plane, monkeypatch):
    state = await lived(make, plane)
    snapshot = await plane.ledger.snapshot(Log.ORDERS, 0)
    foreign = replace(snapshot, data=b'{"of_tomorrow":1}')

    async def of_tomorrow(*_):
        return foreign

    monkeypatch.setattr(plane.ledger, "snapshot", of_tomorrow)
    handler = GatewayHandler(plane.venue(), make.clock(), make.metrics(), plane.settings)
    await handler.recover(plane.ledger)
    assert handler.gateway.book.to_bytes() == state


async def test_without_the_events_it_needs_nothing_is_traded(make, plane, monkeypatch):
    await lived(make, plane, between=10_000)
    events = plane.ledger.events

    async def archived(log, partition, *, after, limit):
        return await events(log, partition, after=max(after, 3), limit=limit)

    monkeypatch.setattr(plane.ledger, "events", archived)
    handler = GatewayHandler(plane.venue(), make.clock(), make.metrics(), plane.settings)
    with pytest.raises(RecordIncomplete, match="has event 4 where 1 should follow"):
        await handler.recover(plane.ledger)


async def test_what_comes_twice_is_ignored_with_a_reason(make, plane):
    async with plane.gateway():
        await plane.send(Stream.MARKET, make.bar(0), make.bar(0))
        await plane.send(Stream.DECISIONS, *[make.decision(make.bar(0))] * 2)
    assert len(await plane.told(Stream.PORTFOLIO, PortfolioUpdated)) == 1
    ignored = await plane.ledger.ignored(Log.ORDERS, 0)
    assert [(type(i.message).__name__, i.reason) for i in ignored] == [
        ("MarketData", "duplicate"),
        ("ConsensusResult", "duplicate"),
    ]


async def test_the_trading_state_outlives_the_process(make, plane):
    halt = Requested(
        message_id="halt",
        correlation_id="halt",
        occurred_at=make.at(0),
        state=TradingState.HALTED,
        actor="ada",
        reason="drill",
    )
    async with plane.gateway():
        await plane.send(Stream.MARKET, make.bar(0))
        await plane.send(Stream.TRADING_STATE, halt, halt)
    async with plane.gateway() as handler:
        await plane.send(Stream.DECISIONS, make.decision(make.bar(0)))
        assert handler.gateway.book.trading_state is TradingState.HALTED
    (update,) = await plane.told(Stream.ORDERS, OrderUpdated)
    assert update.denial.control == "trading_state"


@pytest.mark.parametrize("between", [1, 10_000])
async def test_what_was_asked_before_a_halt_does_not_end_it_when_it_comes_again(
    make, plane, between
):
    def asked(name, state):
        return Requested(
            message_id=name,
            correlation_id=name,
            occurred_at=make.at(0),
            state=state,
            actor="ada",
            reason="drill",
        )

    resume = asked("resume", TradingState.ACTIVE)
    async with plane.gateway(between=between):
        await plane.send(Stream.TRADING_STATE, resume, asked("halt", TradingState.HALTED), resume)
    async with plane.gateway(between=between) as handler:
        await plane.send(Stream.TRADING_STATE, resume)
        assert handler.gateway.book.trading_state is TradingState.HALTED
    assert len(await plane.told(Stream.ORDERS, TradingStateChanged)) == 2


async def test_what_is_not_for_the_gateway_becomes_a_dead_letter(make, plane):
    tick = Tick(message_id="tick", correlation_id="tick", occurred_at=make.at(0))
    async with plane.gateway():
        await plane.send(Stream.MARKET, tick, make.bar(0))
    (letter,) = await plane.ledger.dead_letters()
    assert (letter.reason, letter.trace) == ("unexpected_type", "The gateway takes no Tick.")
    assert len(await plane.told(Stream.PORTFOLIO, PortfolioUpdated)) == 1


async def test_bars_are_recorded_without_floats(make, plane):
    async with plane.gateway():
        await plane.send(Stream.MARKET, make.bar(0, indicators={"rsi_14": 51.25}))
    first = next(m for m in map(decode, await plane.recorded()) if isinstance(m, MarketData))
    assert first.technical_indicators == {}


class OutsideVenue:
    """A venue in another process: it looks at the record when an order reaches it."""

    def __init__(self, plane):
        self.plane = plane
        self.seen = []

    async def submit(self, order):
        recorded = [decode(data) for data in await self.plane.recorded()]
        committed = [e for e in recorded if isinstance(e, OrderUpdated)]
        self.seen.append((order.client_order_id, [e.status for e in committed]))
        return OrderStatus.ACCEPTED

    async def status(self, _):
        return OrderStatus.ACCEPTED

    async def executions(self, _):
        return []

    async def open_orders(self):
        return []

    async def positions(self):
        return {}

    async def on_market_data(self, _):
        return []


async def test_a_venue_outside_hears_of_an_order_after_its_commit(make, plane):
    venue = OutsideVenue(plane)
    async with plane.gateway(venue):
        await plane.send(Stream.MARKET, make.bar(0))
        await plane.send(Stream.DECISIONS, make.decision(make.bar(0)))
    assert [statuses for _, statuses in venue.seen] == [[OrderStatus.SUBMITTED]]
    updates = await plane.told(Stream.ORDERS, OrderUpdated)
    assert [u.status for u in updates] == [OrderStatus.SUBMITTED, OrderStatus.ACCEPTED]


async def test_events_go_to_their_symbols_partition(make):
    plane = Plane(make, partitions=4)
    bar = make.bar(0, symbol="MSFT")
    async with plane.gateway():
        await plane.bus.publish(Stream.MARKET, 2, bar)
        while (await plane.bus.backlog(GROUP, Stream.MARKET, 2)).total:  # noqa: ASYNC110
            await asyncio.sleep(0)
    partition = partition_of("MSFT", 4)
    assert len(await plane.bus.read(Stream.PORTFOLIO, partition)) == 1


async def test_a_start_with_looser_settings_raises_no_limit(make, plane):
    def limited(value):
        return Settings(trading={"maximum_order_value": value})

    plane.settings = limited(5_000)
    async with plane.gateway():
        await plane.send(Stream.MARKET, make.bar(0))
    plane.settings = limited(50_000)
    async with plane.gateway(between=1):
        await plane.send(Stream.DECISIONS, make.decision(make.bar(0)))
    plane.settings = limited(4_000)
    async with plane.gateway() as handler:
        await plane.send(Stream.MARKET, make.bar(1))
        assert handler.gateway.book.limits.value("maximum_order_value") == 4_000
    async with plane.gateway():
        await plane.send(Stream.MARKET, make.bar(2))
    (denied,) = await plane.told(Stream.ORDERS, OrderUpdated)
    assert (denied.denial.control, denied.denial.limit) == ("maximum_order_value", 5_000)
    said = await plane.told(Stream.ORDERS, LimitsDeclared)
    assert [m.limits["maximum_order_value"] for m in said] == [5_000, 50_000, 4_000]
