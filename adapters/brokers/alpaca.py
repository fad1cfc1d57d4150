"""Alpaca's Trading API, version 2: US stocks, paper money first.

The wire is spoken here directly: Alpaca's own library keeps quantities in binary floats, waits for
answers without a limit, and sends an order again after a gateway's time-out.

A replaced order is another order to Alpaca, under another id; here it stays the order that it was,
and its fills are those of the whole chain. Trailing stops are not offered: Alpaca starts them from
its own price and moves the stop, so that their terms could not be compared. Fills bear no fee:
Alpaca books regulatory fees at the end of a day, for all of its orders.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import httpx
import structlog

from adapters.brokers.wire import (
    VenueAnswerUnusable,
    VenueKeysRefused,
    instant,
    number,
    text,
    unanswered,
    unusable,
)
from domain.errors import InvalidValue
from domain.identity import derive_id
from domain.market import MarketData
from domain.money import ZERO
from domain.orders import (
    ExecutionReport,
    Order,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)

VENUE = "alpaca"
PAPER_URL = "https://paper-api.alpaca.markets"
LIVE_URL = "https://api.alpaca.markets"

_TYPES: Mapping[OrderType, str] = {
    OrderType.MARKET: "market",
    OrderType.LIMIT: "limit",
    OrderType.STOP: "stop",
    OrderType.STOP_LIMIT: "stop_limit",
}
_TIMES_IN_FORCE: Mapping[TimeInForce, str] = {
    TimeInForce.DAY: "day",
    TimeInForce.GTC: "gtc",
    TimeInForce.IOC: "ioc",
    TimeInForce.FOK: "fok",
    TimeInForce.AT_CLOSE: "cls",
}
_STATUSES: Mapping[str, OrderStatus] = {
    "new": OrderStatus.ACCEPTED,
    "accepted": OrderStatus.ACCEPTED,
    "pending_new": OrderStatus.ACCEPTED,
    "accepted_for_bidding": OrderStatus.ACCEPTED,
    "held": OrderStatus.ACCEPTED,
    "calculated": OrderStatus.ACCEPTED,
    "stopped": OrderStatus.ACCEPTED,
    "suspended": OrderStatus.ACCEPTED,
    "done_for_day": OrderStatus.ACCEPTED,  # a later session may still fill it
    "partially_filled": OrderStatus.PARTIALLY_FILLED,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
    "pending_cancel": OrderStatus.PENDING_CANCEL,
    "pending_replace": OrderStatus.PENDING_REPLACE,
}
#: Answers that say what is wrong with the order; it was not taken.
_REFUSED = (HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST)
_ALREADY_SENT = "client_order_id must be unique"
_PAGE = 100
_OPEN_ORDERS = 500
_LONGEST_CHAIN = 100
_log = structlog.get_logger(__name__)


class AlpacaBroker:
    """An account at Alpaca (implements `domain.ports.broker.Broker`).

    Parameters
    ----------
    key, secret
        The account's API keys; those of a paper account open a paper account alone.
    url
        Where the API is: `PAPER_URL`, `LIVE_URL`.
    timeout_seconds
        Longest wait for one answer, waiting for the rate limit included.
    """

    def __init__(self, key: str, secret: str, url: str, *, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret},
            timeout=timeout_seconds,
            trust_env=False,
        )

    async def close(self) -> None:
        """Release the connections."""
        await self._client.aclose()

    async def account(self) -> str:
        """Return the account's number."""
        return text(VENUE, _object(await self._ask("GET", "/v2/account", {})), "account_number")

    async def clock_offset(self) -> float:
        """Return how far this machine's clock is ahead of Alpaca's (seconds).

        The answer's way is halved, as in Cristian's algorithm.
        """
        began = time.time()
        answer = _object(await self._ask("GET", "/v2/clock", {}))
        here = (began + time.time()) / 2
        return here - instant(VENUE, answer, "timestamp").timestamp()

    async def submit(self, order: Order) -> OrderStatus:
        """Send an order; sending the same client order id again only returns its status.

        Raises
        ------
        domain.errors.VenueUnavailable
            If there is no usable answer.
        """
        if order.order_type not in _TYPES:
            _log.warning("the venue does not offer it", venue=VENUE, order_type=order.order_type)
            return OrderStatus.REJECTED
        wire = {
            "symbol": order.symbol,
            "qty": str(order.quantity),
            "side": order.side.lower(),
            "type": _TYPES[order.order_type],
            "time_in_force": _TIMES_IN_FORCE[order.time_in_force],
            "client_order_id": order.client_order_id,
            **_prices(order),
        }
        answer = await self._send("POST", "/v2/orders", wire)
        if answer.status_code in _REFUSED:
            if _ALREADY_SENT in answer.text:
                known = await self.status(order.client_order_id)
                if known is None:
                    raise unusable(VENUE, "an order that it has is an order that it has not")
                return known
            _refused(order.client_order_id, answer)
            return OrderStatus.REJECTED
        return _status(_object(_content(answer, "POST /v2/orders")))

    async def replace(self, order: Order) -> OrderStatus:
        """Ask to give an open order new quantity and prices; returns the status afterwards."""
        chain = await self._chain(order.client_order_id)
        if not chain:
            raise _missing(order.client_order_id)
        wire = {"qty": str(order.quantity), **_prices(order)}
        wire["client_order_id"] = f"{order.client_order_id}.{len(chain)}"
        identity = text(VENUE, chain[-1], "id")
        answer = await self._send("PATCH", f"/v2/orders/{identity}", wire)
        if answer.status_code in _REFUSED:
            _refused(order.client_order_id, answer)
        else:
            _content(answer, "PATCH /v2/orders")
        return _status((await self._chain(order.client_order_id))[-1])

    async def cancel(self, client_order_id: str) -> OrderStatus:
        """Ask to cancel; returns the status afterwards."""
        chain = await self._chain(client_order_id)
        if not chain:
            raise _missing(client_order_id)
        answer = await self._send("DELETE", f"/v2/orders/{text(VENUE, chain[-1], 'id')}", {})
        if answer.status_code not in _REFUSED:  # it is over, or on its way to be
            _content(answer, "DELETE /v2/orders")
        return _status((await self._chain(client_order_id))[-1])

    async def status(self, client_order_id: str) -> OrderStatus | None:
        """Return an order's status, or None if Alpaca never saw it."""
        chain = await self._chain(client_order_id)
        return _status(chain[-1]) if chain else None

    async def executions(self, client_order_id: str) -> Sequence[ExecutionReport]:
        """Return the fills of an order, oldest first, each once."""
        chain = await self._chain(client_order_id)
        if not chain:
            return ()
        identities = {text(VENUE, each, "id") for each in chain}
        since = instant(VENUE, chain[0], "submitted_at")
        fills: dict[str, ExecutionReport] = {}
        for fill in await self._fills(since):
            if fill.get("order_id") in identities:
                report = _report(fill, client_order_id)
                fills.setdefault(report.execution_id, report)
        return sorted(fills.values(), key=lambda fill: (fill.executed_at, fill.execution_id))

    async def open_orders(self) -> Sequence[Order]:
        """Return orders that can still fill, oldest first."""
        query = {"status": "open", "limit": str(_OPEN_ORDERS), "direction": "asc"}
        answers = _list(await self._ask("GET", "/v2/orders", query))
        if len(answers) == _OPEN_ORDERS:
            raise unusable(VENUE, f"{_OPEN_ORDERS} open orders or more")
        return [_order(each, await self._first_name(each)) for each in answers]

    async def positions(self) -> dict[str, Decimal]:
        """Return symbol → signed quantity as Alpaca sees it."""
        return {
            text(VENUE, each, "symbol"): number(VENUE, each, "qty")
            for each in _list(await self._ask("GET", "/v2/positions", {}))
        }

    async def on_market_data(self, data: MarketData) -> Sequence[ExecutionReport]:  # noqa: ARG002 - a venue outside has its own
        """Return nothing: what filled is asked for by order."""
        return ()

    async def _fills(self, since: datetime) -> list[Mapping[str, Any]]:
        """Return the account's fills since an instant, oldest first, all pages of them."""
        found: list[Mapping[str, Any]] = []
        query = {"after": since.isoformat(), "direction": "asc", "page_size": str(_PAGE)}
        while True:
            page = _list(await self._ask("GET", "/v2/account/activities/FILL", query))
            found += page
            if len(page) < _PAGE:
                return found
            query["page_token"] = text(VENUE, page[-1], "id")

    async def _chain(self, client_order_id: str) -> list[Mapping[str, Any]]:
        """Return an order and what replaced it, in that order; empty if it was never seen."""
        query = {"client_order_id": client_order_id}
        answer = await self._send("GET", "/v2/orders:by_client_order_id", query)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return []
        chain = [_object(_content(answer, "GET /v2/orders:by_client_order_id"))]
        while (successor := chain[-1].get("replaced_by")) is not None:
            if len(chain) == _LONGEST_CHAIN:
                raise unusable(VENUE, f"more than {_LONGEST_CHAIN} replacements of one order")
            chain.append(_object(await self._ask("GET", f"/v2/orders/{successor}", {})))
        return chain

    async def _first_name(self, answer: Mapping[str, Any]) -> str:
        """Return the client order id under which an order began."""
        for _ in range(_LONGEST_CHAIN):
            if (before := answer.get("replaces")) is None:
                return text(VENUE, answer, "client_order_id")
            answer = _object(await self._ask("GET", f"/v2/orders/{before}", {}))
        raise unusable(VENUE, f"more than {_LONGEST_CHAIN} replacements of one order")

    async def _ask(self, method: str, path: str, arguments: Mapping[str, str]) -> object:
        return _content(await self._send(method, path, arguments), f"{method} {path}")

    async def _send(self, method: str, path: str, arguments: Mapping[str, str]) -> httpx.Response:
        """Return the answer to one question.

        A refusal for the rate limit did nothing, so the question is asked again when the limit
        says, for as long as a question may take. Whatever else goes wrong is not tried again here.
        """
        named = {"params": arguments} if method in ("GET", "DELETE") else {"json": arguments}
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    answer = await self._client.request(method, path, **named)  # type: ignore[arg-type]
                    if answer.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                        break
                    await asyncio.sleep(_until_reset(answer))
        except TimeoutError:
            raise unanswered(VENUE, f"{method} {path}", f"{self._timeout} s passed") from None
        except httpx.RequestError as problem:
            raise unanswered(VENUE, f"{method} {path}", type(problem).__name__) from None
        if answer.status_code == HTTPStatus.UNAUTHORIZED or _is_about_keys(answer):
            raise VenueKeysRefused(
                "Alpaca does not take the keys that QUORUM_VENUE__KEY and __SECRET name.",
                kept="No order was sent.",
                next_step="Paper keys open the paper account alone; make new ones at Alpaca.",
            )
        return answer


def _is_about_keys(answer: httpx.Response) -> bool:
    return answer.status_code == HTTPStatus.FORBIDDEN and "forbidden" in answer.text


def _until_reset(answer: httpx.Response) -> float:
    """Return for how long the rate limit lasts, at least a little (seconds)."""
    try:
        reset = float(answer.headers.get("X-RateLimit-Reset", "nan"))
    except ValueError:
        reset = float("nan")
    wait = reset - time.time()
    return wait if 0.05 <= wait < 120 else 0.5


def _content(answer: httpx.Response, operation: str) -> object:
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise unanswered(VENUE, operation, f"status {answer.status_code}")
    if not answer.is_success:
        raise unusable(VENUE, f"status {answer.status_code} to {operation}: {answer.text[:200]}")
    if not answer.content:
        return {}
    try:
        return answer.json()
    except ValueError:
        raise unusable(VENUE, f"no JSON to {operation}") from None


def _object(answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise unusable(VENUE, "no object where one should be")
    return answer  # pyright: ignore[reportUnknownVariableType]


def _list(answer: object) -> list[Mapping[str, Any]]:
    if not isinstance(answer, list):
        raise unusable(VENUE, "no list where one should be")
    return [_object(each) for each in answer]  # pyright: ignore[reportUnknownVariableType]


def _status(answer: Mapping[str, Any]) -> OrderStatus:
    name = text(VENUE, answer, "status")
    try:
        return _STATUSES[name]
    except KeyError:
        raise unusable(VENUE, f"an order is {name!r}") from None


def _refused(client_order_id: str, answer: httpx.Response) -> None:
    _log.warning(
        "the venue refused",
        venue=VENUE,
        client_order_id=client_order_id,
        status=answer.status_code,
        answer=answer.text[:500],
    )


def _prices(order: Order) -> dict[str, str]:
    prices = {"limit_price": order.limit_price, "stop_price": order.stop_price}
    return {name: str(price) for name, price in prices.items() if price is not None}


def _order(answer: Mapping[str, Any], client_order_id: str) -> Order:
    """Return an order as Alpaca has it; whose decision it was, it can't know."""
    types = {name: kind for kind, name in _TYPES.items()}
    times = {name: kind for kind, name in _TIMES_IN_FORCE.items()}
    prices = {
        name: number(VENUE, answer, name)
        for name in ("limit_price", "stop_price")
        if answer.get(name) is not None
    }
    try:
        return Order(
            client_order_id=client_order_id,
            decision_id="",
            symbol=text(VENUE, answer, "symbol"),
            side=Side(text(VENUE, answer, "side").upper()),
            quantity=number(VENUE, answer, "qty"),
            order_type=types[text(VENUE, answer, "type")],
            time_in_force=times[text(VENUE, answer, "time_in_force")],
            arrival_price=next(iter(prices.values()), Decimal(1)),
            created_at=instant(VENUE, answer, "submitted_at").astimezone(UTC),
            limit_price=prices.get("limit_price"),
            stop_price=prices.get("stop_price"),
        )
    except (KeyError, ValueError, InvalidValue) as problem:
        raise unusable(VENUE, f"the open order {client_order_id}: {problem}") from None


def _report(fill: Mapping[str, Any], client_order_id: str) -> ExecutionReport:
    execution_id = text(VENUE, fill, "id")
    moment = instant(VENUE, fill, "transaction_time").astimezone(UTC)
    price = number(VENUE, fill, "price")
    try:
        return ExecutionReport(
            message_id=derive_id("execution", VENUE, execution_id),
            correlation_id=client_order_id,
            occurred_at=moment,
            execution_id=execution_id,
            client_order_id=client_order_id,
            decision_id="",
            symbol=text(VENUE, fill, "symbol"),
            side=Side.BUY if text(VENUE, fill, "side") == "buy" else Side.SELL,
            quantity=number(VENUE, fill, "qty"),
            price=price,
            fee=ZERO,
            executed_at=moment,
            leaves_quantity=number(VENUE, fill, "leaves_qty"),
        )
    except InvalidValue as problem:
        raise unusable(VENUE, f"the fill {execution_id}: {problem.what}") from None


def _missing(client_order_id: str) -> VenueAnswerUnusable:
    return unusable(VENUE, f"it has no order {client_order_id}, which was sent")
