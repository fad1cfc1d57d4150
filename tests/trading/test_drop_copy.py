"""While it runs, the gateway holds its record against the venue's own; a difference halts it."""

from decimal import Decimal

from domain.orders import OrderStatus, OrderUpdated, TradingState
from domain.reconciliation import DiscrepancyKind, Reconciled
from domain.streams import Stream
from tests.trading.remote_venue import RemoteVenue
from tests.trading.test_handler import Plane

D = Decimal


async def running(make, venue, *messages):
    """A gateway that has taken in messages; returns what it recorded."""
    plane = Plane(make)
    async with plane.gateway(venue):
        for stream, message in messages:
            await plane.send(stream, message)
            if message is messages[-2][1] and venue.spoil:
                venue.spoil()
    return plane


class Spoilt(RemoteVenue):
    """A venue where somebody else trades too, from some moment on."""

    def __init__(self, settings, spoil=None):
        super().__init__(settings)
        self.spoil = spoil


async def test_a_position_that_is_not_ours_halts_within_the_interval(make):
    venue = Spoilt(make.settings())
    venue.spoil = lambda: venue.venue._positions.update(IBM=D(7))
    plane = await running(
        make,
        venue,
        (Stream.MARKET, make.bar(0)),
        (Stream.MARKET, make.bar(1)),
        (Stream.DECISIONS, make.decision(make.bar(2))),  # a day later: it is compared before
    )
    (report,) = await plane.told(Stream.ORDERS, Reconciled)
    (found,) = report.discrepancies
    assert (found.kind, found.subject) == (DiscrepancyKind.POSITION, "IBM")
    assert (found.recorded, found.venue) == ("0", "7")
    (denied,) = await plane.told(Stream.ORDERS, OrderUpdated)
    assert (denied.status, denied.denial.control) == (OrderStatus.DENIED, "trading_state")
    assert venue.sent() == []


async def test_what_agrees_is_compared_again_and_again_and_nothing_is_said(make):
    venue = Spoilt(make.settings())
    plane = await running(
        make,
        venue,
        (Stream.MARKET, make.bar(0)),
        (Stream.DECISIONS, make.decision(make.bar(0))),
        (Stream.MARKET, make.bar(1)),
        (Stream.MARKET, make.bar(2)),
    )
    assert venue.asked.count(("positions",)) == 3  # at the start, and a day later each
    assert await plane.told(Stream.ORDERS, Reconciled) == []


async def test_a_fill_between_two_questions_is_no_difference(make):
    """Positions are told after the fills were asked for: what filled between is looked for."""
    venue = Spoilt(make.settings())
    plane = Plane(make)
    async with plane.gateway(venue) as handler:
        await plane.send(Stream.MARKET, make.bar(0))
        await plane.send(Stream.DECISIONS, make.decision(make.bar(0)))
        answered = venue.positions

        async def traded_before():
            await venue.on_market_data(make.bar(1))
            return await answered()

        venue.positions = traded_before
        events = await handler.gateway.compare()
        assert handler.gateway.book.trading_state is TradingState.ACTIVE
        assert not any(isinstance(event, Reconciled) for event in events)
        assert handler.gateway.book.ledger.quantity("IBM") == 100


async def test_a_silent_venue_lets_nothing_out_and_is_asked_again(make):
    venue = Spoilt(make.settings())
    plane = Plane(make)
    async with plane.gateway(venue) as handler:
        await plane.send(Stream.MARKET, make.bar(0))
        venue.lose = lambda operation, _done: operation == "positions"
        assert await handler.gateway.compare() == []
        await handler.gateway.on_market_data(make.bar(1))
        (*_, denied) = await handler.gateway.on_decision(make.decision(make.bar(1)))
        assert denied.denial.control == "venue_connection"
