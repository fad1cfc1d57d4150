"""What exchanges say of orders and fills, read into the platform's words.

A fee that an exchange keeps of what was bought is a quantity that never came: the fill is booked
as the quantity that did, at the fill's price, and the rest's value as its fee. So position and
cash are the account's, exactly; the order ends short of its quantity.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from adapters.brokers.wire import number, text, unusable
from domain.errors import InvalidValue
from domain.identity import derive_id
from domain.money import EXACT, ZERO, canonical, notional
from domain.orders import ExecutionReport, Order, OrderType, Side, TimeInForce

Answer = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OUR_ID = re.compile(r"q-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WIRE_ID = re.compile(r"([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})")
_TYPES: Mapping[tuple[str, ...], OrderType] = {
    (): OrderType.MARKET,
    ("limit_price",): OrderType.LIMIT,
    ("stop_price",): OrderType.STOP,
    ("limit_price", "stop_price"): OrderType.STOP_LIMIT,
}


def wire_id(client_order_id: str) -> str:
    """Return a client order id as exchanges take it: 32 letters and digits.

    Raises
    ------
    InvalidValue
        If it is none of `domain.identity.client_order_id`.
    """
    if not _OUR_ID.fullmatch(client_order_id):
        raise InvalidValue(
            f"{client_order_id!r} is no client order id of this platform.",
            next_step="Make it by domain.identity.client_order_id.",
        )
    return client_order_id.removeprefix("q-").replace("-", "")


def own_id(sent: str) -> str:
    """Return the client order id that was sent as this; another's stays as it is."""
    found = _WIRE_ID.fullmatch(sent)
    return f"q-{'-'.join(found.groups())}" if found else sent


def an_object(venue: str, answer: object) -> Answer:
    """Return an answer that must be an object.

    Raises
    ------
    VenueAnswerUnusable
        If it is none.
    """
    if not isinstance(answer, dict):
        raise unusable(venue, "no object where one should be")
    return answer  # pyright: ignore[reportUnknownVariableType]


def a_list(venue: str, answer: object) -> list[Answer]:
    """Return an answer that must be a list of objects.

    Raises
    ------
    VenueAnswerUnusable
        If it is none.
    """
    if not isinstance(answer, list):
        raise unusable(venue, "no list where one should be")
    return [an_object(venue, each) for each in answer]  # pyright: ignore[reportUnknownVariableType]


def moment(venue: str, answer: Answer) -> datetime:
    """Return when something happened, by its milliseconds since 1970.

    Raises
    ------
    VenueAnswerUnusable
        If they are missing or no instant.
    """
    told = answer.get("timestamp")
    if not isinstance(told, int):
        raise unusable(venue, "no timestamp")
    try:
        return _EPOCH + timedelta(milliseconds=told)
    except OverflowError:
        raise unusable(venue, f"the timestamp {told}") from None


def reports(
    venue: str, fills: Sequence[Answer], order: Answer, client_order_id: str
) -> list[ExecutionReport]:
    """Return an order's fills as they are booked.

    Parameters
    ----------
    fills
        All of them, oldest first.

    Raises
    ------
    VenueAnswerUnusable
        If one can't be read, or a fee was taken in a third currency.
    """
    leaves, found = number(venue, order, "amount"), list[ExecutionReport]()
    for fill in fills:
        leaves = EXACT.subtract(leaves, number(venue, fill, "amount"))
        found.append(_report(venue, fill, client_order_id, leaves))
    return found


def _report(venue: str, fill: Answer, client_order_id: str, leaves: Decimal) -> ExecutionReport:
    symbol = text(venue, fill, "symbol")
    # A trade's number is unique in its pair alone, and both sides of it may be ours.
    execution_id = f"{symbol}:{text(venue, fill, 'order')}:{text(venue, fill, 'id')}"
    happened, price = moment(venue, fill), number(venue, fill, "price")
    try:
        side = Side(text(venue, fill, "side").upper())
        quantity, fee = _booked(venue, fill, side, price)
        return ExecutionReport(
            message_id=derive_id("execution", venue, execution_id),
            correlation_id=client_order_id,
            occurred_at=happened,
            execution_id=execution_id,
            client_order_id=client_order_id,
            decision_id="",
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=price,
            fee=fee,
            executed_at=happened,
            leaves_quantity=leaves,
        )
    except ValueError as problem:
        raise unusable(venue, f"the fill {execution_id}: {problem}") from None


def _booked(venue: str, fill: Answer, side: Side, price: Decimal) -> tuple[Decimal, Decimal]:
    """Return the quantity and the fee (second currency of the pair) to book for a fill."""
    quantity, fee = number(venue, fill, "amount"), fill.get("fee")
    if fee is None:
        return quantity, ZERO
    fee = an_object(venue, fee)
    if fee.get("cost") is None:
        return quantity, ZERO
    cost, currency = number(venue, fee, "cost"), fee.get("currency")
    base, _, quote = text(venue, fill, "symbol").partition("/")
    if currency == quote or not cost:
        return quantity, canonical(cost)
    if currency == base and side is Side.BUY and ZERO < cost < quantity:
        return EXACT.subtract(quantity, cost), notional(price, cost)
    raise unusable(
        venue,
        f"a fee of {cost} {currency} for a {side} of {base}/{quote} (have fees taken in the "
        "pair's own currencies)",
    )


def open_order(venue: str, answer: Answer, symbol: str) -> Order:
    """Return an order as the exchange has it; whose decision it was, it can't know.

    Raises
    ------
    VenueAnswerUnusable
        If it can't be read.
    """
    client_order_id = own_id(text(venue, answer, "clientOrderId"))
    prices = {
        name: number(venue, answer, theirs)
        for name, theirs in (("limit_price", "price"), ("stop_price", "triggerPrice"))
        if answer.get(theirs) is not None
    }
    try:
        return Order(
            client_order_id=client_order_id,
            decision_id="",
            symbol=symbol,
            side=Side(text(venue, answer, "side").upper()),
            quantity=number(venue, answer, "amount"),
            order_type=_TYPES[tuple(prices)],
            time_in_force=TimeInForce(answer.get("timeInForce") or "GTC"),
            arrival_price=next(iter(prices.values()), Decimal(1)),
            created_at=moment(venue, answer),
            limit_price=prices.get("limit_price"),
            stop_price=prices.get("stop_price"),
        )
    except (ValueError, TypeError) as problem:
        raise unusable(venue, f"the open order {client_order_id}: {problem}") from None
