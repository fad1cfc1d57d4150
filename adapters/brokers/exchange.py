"""Crypto exchanges (spot) as venues: Binance and OKX, play money first."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import ccxt.async_support as ccxt
import structlog

from adapters.brokers.exchange_answers import (
    Answer,
    a_list,
    an_object,
    moment,
    open_order,
    reports,
    wire_id,
)
from adapters.brokers.exchange_connection import MISREAD, REFUSED, ExchangeConnection
from adapters.brokers.exchange_dialects import DIALECTS
from adapters.brokers.wire import VenueAnswerUnusable, number, text, unusable
from domain.market import MarketData
from domain.money import ZERO
from domain.orders import ExecutionReport, Order, OrderStatus, OrderType, TimeInForce

_TIMES_IN_FORCE = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
_PRICED = (OrderType.LIMIT, OrderType.STOP_LIMIT)
_ENDS: Mapping[str, OrderStatus] = {
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "canceling": OrderStatus.PENDING_CANCEL,
    "expired": OrderStatus.EXPIRED,
}
_MOST_PAGES = 1000
_log = structlog.get_logger(__name__)


class ExchangeBroker:
    """An account at a crypto exchange (implements `domain.ports.broker.VenueAccount`).

    Parameters
    ----------
    connection
        The exchange, with the account's keys.
    symbols
        The pairs that are traded, such as BTC/USDT: an exchange is asked about orders by pair.
    """

    def __init__(self, connection: ExchangeConnection, symbols: Sequence[str]) -> None:
        self._connection = connection
        self._name = connection.name
        self._api = connection.api
        self._ask = connection.ask
        self._dialect = DIALECTS[connection.name]
        self._symbols = tuple(symbols)
        self._symbol_of: dict[str, str] = {}

    async def close(self) -> None:
        """Release the connections."""
        await self._connection.close()

    async def account(self) -> str:
        """Return the account's number."""
        await self._connection.clock_offset()  # keys are refused where the time is wrong
        answer = await self._ask("account", getattr(self._api, self._dialect.account))
        return str(self._part(answer, self._dialect.number_at))

    async def clock_offset(self) -> float:
        """Return how far this machine's clock is ahead of the exchange's (seconds)."""
        return await self._connection.clock_offset()

    async def submit(self, order: Order) -> OrderStatus:
        """Send an order; sending the same client order id again only returns its status.

        An exchange takes the same id again once the first order is over, so it is asked first.

        Raises
        ------
        domain.errors.VenueUnavailable
            If there is no usable answer.
        """
        await self._connection.list_pairs(self._symbols)
        if (why := self._not_offered(order)) is not None:
            _log.warning("the venue does not offer it", venue=self._name, why=why)
            return OrderStatus.REJECTED
        if (known := await self._status_at(order.symbol, order.client_order_id)) is not None:
            return known
        terms = {"clientOrderId": wire_id(order.client_order_id)}
        if order.order_type in _PRICED:
            terms["timeInForce"] = order.time_in_force.value
        if order.stop_price is not None:
            terms["triggerPrice"] = str(order.stop_price)
        try:
            await self._ask(
                "createOrder",
                lambda: self._api.create_order(
                    order.symbol,
                    "limit" if order.order_type in _PRICED else "market",
                    order.side.lower(),
                    str(order.quantity),
                    None if order.limit_price is None else str(order.limit_price),
                    terms,
                ),
            )
        except REFUSED as refusal:
            return await self._refused(order, str(refusal))
        self._symbol_of[order.client_order_id] = order.symbol
        return OrderStatus.ACCEPTED

    async def _refused(self, order: Order, answer: str) -> OrderStatus:
        """Return what a refusal means; `ccxt` tells duplicates from others by no type."""
        known = await self._status_at(order.symbol, order.client_order_id)
        if known is None and "duplicate" in answer.lower():
            raise self._missing(order.client_order_id)
        _log.warning(
            "the venue refused",
            venue=self._name,
            client_order_id=order.client_order_id,
            answer=answer[:500],
        )
        return known or OrderStatus.REJECTED

    async def replace(self, order: Order) -> OrderStatus:
        """Leave the order working as it was and return its status: amending is not offered."""
        _log.warning("the venue does not offer it", venue=self._name, why="amending an order")
        known = await self.status(order.client_order_id)
        if known is None:
            raise self._missing(order.client_order_id)
        return known

    async def cancel(self, client_order_id: str) -> OrderStatus:
        """Ask to cancel; returns the status afterwards."""
        found = await self._find(client_order_id)
        if found is None:
            raise self._missing(client_order_id)
        symbol, terms = found[0], {"clientOrderId": wire_id(client_order_id)}
        try:
            await self._ask("cancelOrder", lambda: self._api.cancel_order("", symbol, terms))
        except REFUSED:  # it is over, or on its way to be
            _log.info("nothing to cancel", venue=self._name, client_order_id=client_order_id)
        return await self._surely_at(symbol, client_order_id)

    async def status(self, client_order_id: str) -> OrderStatus | None:
        """Return an order's status, or None if the exchange never saw it.

        An end is told only when every fill before it is. An order of which the exchange kept a
        part as its fee ends as CANCELLED: what is missing never comes.
        """
        found = await self._find(client_order_id)
        return None if found is None else await self._told(*found)

    async def executions(self, client_order_id: str) -> Sequence[ExecutionReport]:
        """Return the fills of an order, oldest first, each once."""
        found = await self._find(client_order_id)
        if found is None:
            return ()
        return reports(self._name, await self._fills(*found), found[1], client_order_id)

    async def open_orders(self) -> Sequence[Order]:
        """Return the orders of the traded pairs that can still fill, oldest first."""
        await self._connection.list_pairs(self._symbols)
        found: list[Order] = []
        for symbol in self._symbols:
            answers = a_list(
                self._name,
                await self._ask(
                    "fetchOpenOrders",
                    lambda symbol=symbol: self._api.fetch_open_orders(symbol),
                ),
            )
            if len(answers) >= self._dialect.most_open:
                raise unusable(self._name, f"{len(answers)} open orders of {symbol} or more")
            found += [open_order(self._name, each, symbol) for each in answers]
        return sorted(found, key=lambda order: (order.created_at, order.client_order_id))

    async def positions(self) -> dict[str, Decimal]:
        """Return traded pair → quantity of its first currency in the account."""
        await self._connection.list_pairs(self._symbols)
        answer = an_object(self._name, await self._ask("fetchBalance", self._api.fetch_balance))
        a_list(self._name, self._part(answer, self._dialect.balances_at))  # or nothing was read
        held = an_object(self._name, answer.get("total"))
        currencies = {symbol: symbol.split("/")[0] for symbol in self._symbols}
        found = {s: number(self._name, held, c) for s, c in currencies.items() if c in held}
        return {symbol: quantity for symbol, quantity in found.items() if quantity}

    async def on_market_data(self, data: MarketData) -> Sequence[ExecutionReport]:  # noqa: ARG002 - a venue outside has its own
        """Return nothing: what filled is asked for by order."""
        return ()

    def _not_offered(self, order: Order) -> str | None:
        """Return why the exchange can't be sent an order as it is; None if it can."""
        if order.order_type not in self._dialect.types:
            return f"{order.order_type} orders"
        if order.symbol not in self._symbols:
            return f"{order.symbol} is none of QUORUM_VENUE__SYMBOLS"
        if order.order_type is not OrderType.MARKET and order.time_in_force not in _TIMES_IN_FORCE:
            return f"{order.time_in_force} where nothing ever closes"
        for price in (order.limit_price, order.stop_price):
            if price is not None and self._rounded("price", order.symbol, price) != price:
                return f"the price {price} is finer than its ticks"
        if self._rounded("amount", order.symbol, order.quantity) != order.quantity:
            return f"the quantity {order.quantity} is finer than its lots"
        return None

    def _rounded(self, what: Literal["price", "amount"], symbol: str, value: Decimal) -> Decimal:
        """Return what `ccxt` would send for a number."""
        try:
            return Decimal(getattr(self._api, f"{what}_to_precision")(symbol, str(value)))
        except ccxt.InvalidOrder:  # it rounds to nothing
            return ZERO

    async def _find(self, client_order_id: str) -> tuple[str, Answer] | None:
        """Return an order's pair and what the exchange says of it; None if it never saw it."""
        await self._connection.list_pairs(self._symbols)
        known = self._symbol_of.get(client_order_id)
        for symbol in self._symbols if known is None else (known,):
            if (order := await self._order_at(symbol, client_order_id)) is not None:
                self._symbol_of[client_order_id] = symbol
                return symbol, order
        return None

    async def _order_at(self, symbol: str, client_order_id: str) -> Answer | None:
        terms = {"clientOrderId": wire_id(client_order_id)}
        try:
            order = await self._ask("fetchOrder", lambda: self._api.fetch_order("", symbol, terms))
        except ccxt.OrderNotFound:
            return None
        except REFUSED as refusal:
            raise unusable(self._name, str(refusal)[:200]) from None
        return an_object(self._name, order)

    async def _status_at(self, symbol: str, client_order_id: str) -> OrderStatus | None:
        order = await self._order_at(symbol, client_order_id)
        return None if order is None else await self._told(symbol, order)

    async def _surely_at(self, symbol: str, client_order_id: str) -> OrderStatus:
        known = await self._status_at(symbol, client_order_id)
        if known is None:
            raise self._missing(client_order_id)
        return known

    async def _told(self, symbol: str, order: Answer) -> OrderStatus:
        """Return the status that an order may be told as: no end before the last of its fills."""
        status, filled = text(self._name, order, "status"), number(self._name, order, "filled")
        working = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.ACCEPTED
        if status in ("open", "rejected"):
            return OrderStatus.REJECTED if status == "rejected" else working
        if status not in _ENDS:
            raise unusable(self._name, f"an order is {status!r}")
        fills = await self._fills(symbol, order)
        if sum((number(self._name, fill, "amount") for fill in fills), ZERO) != filled:
            return working
        booked = (report.quantity for report in reports(self._name, fills, order, ""))
        if status == "closed" and sum(booked, ZERO) != number(self._name, order, "amount"):
            return OrderStatus.CANCELLED
        return _ENDS[status]

    async def _fills(self, symbol: str, order: Answer) -> list[Answer]:
        """Return an order's fills, oldest first, each once, all pages of them."""
        identity = text(self._name, order, "id")
        found: dict[str, Answer] = {}
        terms: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            answer = await self._ask(
                "fetchOrderTrades",
                lambda terms=terms: self._api.fetch_order_trades(
                    identity, symbol, None, self._dialect.page, terms
                ),
            )
            page = a_list(self._name, answer)
            for fill in page:
                if fill.get("order") == identity:
                    found.setdefault(text(self._name, fill, "id"), fill)
            if len(page) < self._dialect.page:
                return sorted(found.values(), key=self._age)
            try:
                terms = self._dialect.following(page)
            except MISREAD:
                raise unusable(self._name, "a fill without a number") from None
        raise unusable(self._name, f"more than {_MOST_PAGES} pages of fills of one order")

    def _age(self, fill: Answer) -> tuple[object, int, str]:
        identity = text(self._name, fill, "id")
        return moment(self._name, fill), len(identity), identity

    def _part(self, answer: object, place: tuple[str | int, ...]) -> object:
        part: Any = answer
        try:
            for step in place:
                part = part[step]
        except (LookupError, TypeError):
            raise unusable(self._name, f"nothing at {place}") from None
        return part

    def _missing(self, client_order_id: str) -> VenueAnswerUnusable:
        return unusable(self._name, f"it has no order {client_order_id}, which was sent")
