"""Bad input to the gateway: a typed refusal or denial, on record and counted, and nothing sent."""

import json
from datetime import timedelta

import pytest
from msgspec.structs import replace

from domain.messages import encode
from domain.orders import OrderStatus, OrderUpdated
from domain.refusals import Refusal
from domain.streams import Stream
from tests.trading.remote_venue import RemoteVenue
from tests.trading.test_handler import Plane


class Venue(RemoteVenue):
    """Notes what is sent."""


def spoilt(message, path, value):
    """Canonical bytes of a message with one field changed, wherever it stands."""
    whole = json.loads(encode(message))
    *before, last = path.split(".")
    place = whole
    for name in before:
        place = place[name]
    place[last] = value
    return json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()


async def taken_in(make, stream, *data):
    """What a gateway made of bytes, behind one good bar."""
    plane, venue = Plane(make), Venue(make.settings())
    async with plane.gateway(venue):
        await plane.send(Stream.MARKET, make.bar(0))
        for each in data:
            await plane.bus.publish_raw(stream, 0, each)
        await plane.drained(stream)
    return plane, venue


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("proposal.quantity", "0"),
        ("proposal.quantity", "-5"),
        ("proposal.quantity", str(2**63)),
        ("proposal.quantity", "NaN"),
        ("proposal.quantity", "Infinity"),
        ("proposal.reference_price", "NaN"),
        ("proposal.reference_price", "0"),
        ("proposal.reference_price", "-1"),
        ("proposal.symbol", "no symbol"),
        ("proposal.action", "SHORT"),
        ("outcome", "MAYBE"),
        ("occurred_at", "2400-01-01T00:00:00Z"),
    ],
)
async def test_a_decision_that_says_nonsense_is_buried(make, field, value):
    good = make.decision(make.bar(0))
    plane, venue = await taken_in(make, Stream.DECISIONS, spoilt(good, field, value))
    (letter,) = await plane.ledger.dead_letters()
    assert letter.reason in set(Refusal)
    assert letter.data  # as it came
    assert venue.sent() == []
    assert await plane.told(Stream.ORDERS, OrderUpdated) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", "NaN"),
        ("price", "0"),
        ("price", "-3"),
        ("volume", "-1"),
        ("high", "1"),
        ("observed_at", "1492-10-12T00:00:00Z"),
    ],
)
async def test_a_bar_that_cant_be_is_buried_and_marks_nothing(make, field, value):
    plane, _ = await taken_in(make, Stream.MARKET, spoilt(make.bar(1), field, value))
    (letter,) = await plane.ledger.dead_letters()
    assert letter.stream is Stream.MARKET
    assert len(await plane.recorded()) == 3  # the limits, the good bar and its portfolio


async def test_a_crossed_quote_is_buried(make):
    crossed = spoilt(make.bar(1), "bid", "101").replace(b'"ask":null', b'"ask":"100"')
    plane, _ = await taken_in(make, Stream.MARKET, crossed)
    (letter,) = await plane.ledger.dead_letters()
    assert "Crossed" in letter.trace


@pytest.mark.parametrize(
    ("made", "control"),
    [
        (lambda make: make.decision(make.bar(0, symbol="NOBODY")), "unknown_symbol"),
        (lambda make: make.decision(make.bar(0), quantity="0.5"), "lot_size"),
        (lambda make: make.decision(make.bar(0), quantity="999999999"), "maximum_order_quantity"),
        (lambda make: make.decision(make.bar(0), reference_price="250"), "price_collar"),
        (
            lambda make: replace(
                make.decision(make.bar(0)), occurred_at=make.at(0) + timedelta(days=9)
            ),
            "stale_price",
        ),
    ],
)
async def test_a_decision_that_no_market_bears_is_denied_by_name(make, made, control):
    plane, venue = await taken_in(make, Stream.DECISIONS, encode(made(make)))
    (update,) = await plane.told(Stream.ORDERS, OrderUpdated)
    assert (update.status, update.denial.control) == (OrderStatus.DENIED, control)
    assert venue.sent() == []


async def test_a_price_from_the_future_is_denied(make):
    plane, venue = Plane(make), Venue(make.settings())
    async with plane.gateway(venue) as handler:
        await plane.send(Stream.MARKET, make.bar(0))
        ahead = replace(make.bar(1), occurred_at=make.at(0))  # it says it was observed tomorrow
        await plane.send(Stream.MARKET, ahead)
        await plane.send(
            Stream.DECISIONS, replace(make.decision(make.bar(1)), occurred_at=make.at(0))
        )
        (update,) = await plane.told(Stream.ORDERS, OrderUpdated)
        assert update.denial.control == "stale_price"
        assert "future" in update.reason
        assert handler.gateway.book.open_orders() == []
    assert venue.sent() == []
