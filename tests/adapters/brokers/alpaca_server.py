"""Alpaca's Trading API as its reference documents the wire, with the faults of a bad day.

The payloads were written after the public reference of version 2, not recorded from an account.
"""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY, SECRET = "PKTEST", "secret"
BEGAN = datetime(2026, 3, 2, 14, 30, 0, 123456, UTC)


class AlpacaServer:
    """An account that a test plays: it takes orders, and fills what the test says.

    The next questions get `answers` instead of the true ones; None does what was asked and never
    answers.
    """

    def __init__(self) -> None:
        self.orders: dict[str, dict] = {}
        self.fills: list[dict] = []
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[dict] = []
        self.answers: list[Response | None] = []
        self.clock = timedelta()
        self.account = "PA123"
        self.app = Starlette(
            routes=[
                Route("/v2/account", self._account),
                Route("/v2/clock", self._clock),
                Route("/v2/orders", self._submit, methods=["POST"]),
                Route("/v2/orders", self._open),
                Route("/v2/orders:by_client_order_id", self._by_name),
                Route("/v2/orders/{id}", self._one, methods=["GET", "PATCH", "DELETE"]),
                Route("/v2/positions", self._positions),
                Route("/v2/account/activities/FILL", self._fills),
            ]
        )
        self.app.add_middleware(_Gate, server=self)

    def fill(self, client_order_id: str, quantity: str, price: str) -> dict:
        order = self.named(client_order_id)
        done = Decimal(order["filled_qty"]) + Decimal(quantity)
        order["filled_qty"] = str(done)
        leaves = Decimal(order["qty"]) - done
        order["status"] = "partially_filled" if leaves else "filled"
        moment = BEGAN + timedelta(seconds=len(self.fills))
        stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%f789Z")
        fill = {
            "id": f"{moment:%Y%m%d%H%M%S}000::{uuid.UUID(int=len(self.fills))}",
            "activity_type": "FILL",
            "transaction_time": stamp,
            "type": "partial_fill" if leaves else "fill",
            "price": price,
            "qty": quantity,
            "side": order["side"],
            "symbol": order["symbol"],
            "leaves_qty": str(leaves),
            "order_id": order["id"],
            "cum_qty": str(done),
            "order_status": order["status"],
        }
        self.fills.append(fill)
        return fill

    def named(self, client_order_id: str) -> dict:
        [order] = [o for o in self.orders.values() if o["client_order_id"] == client_order_id]
        return order

    def _new(self, wire: dict, **more: object) -> dict:
        order = {
            "id": str(uuid.UUID(int=1000 + len(self.orders))),
            "submitted_at": BEGAN.isoformat(),
            "filled_qty": "0",
            "status": "accepted",
            "replaced_by": None,
            "replaces": None,
            "limit_price": None,
            "stop_price": None,
            **wire,
            **more,
        }
        self.orders[order["id"]] = order
        return order

    async def _account(self, _: Request) -> Response:
        return JSONResponse({"account_number": self.account, "status": "ACTIVE"})

    async def _clock(self, _: Request) -> Response:
        return JSONResponse({"timestamp": (datetime.now(UTC) + self.clock).isoformat()})

    async def _submit(self, request: Request) -> Response:
        wire = await request.json()
        self.bodies.append(wire)
        if any(o["client_order_id"] == wire["client_order_id"] for o in self.orders.values()):
            problem = {"code": 40010001, "message": "client_order_id must be unique"}
            return JSONResponse(problem, 422)
        if Decimal(wire["qty"]) > 10_000:
            return JSONResponse({"code": 40310000, "message": "insufficient buying power"}, 403)
        return JSONResponse(self._new(wire))

    async def _open(self, request: Request) -> Response:
        assert request.query_params["status"] == "open"
        over = ("filled", "canceled", "expired", "replaced", "rejected")
        return JSONResponse([o for o in self.orders.values() if o["status"] not in over])

    async def _by_name(self, request: Request) -> Response:
        name = request.query_params["client_order_id"]
        for order in self.orders.values():
            if order["client_order_id"] == name:
                return JSONResponse(order)
        return JSONResponse({"code": 40410000, "message": "order not found"}, 404)

    async def _one(self, request: Request) -> Response:
        order = self.orders[request.path_params["id"]]
        if request.method == "GET":
            return JSONResponse(order)
        if order["status"] in ("filled", "canceled"):
            return JSONResponse({"code": 42210000, "message": "order is not cancelable"}, 422)
        if request.method == "DELETE":
            order["status"] = "canceled"
            return Response(status_code=204)
        wire = await request.json()
        new = self._new({**order, "id": None, **wire}, replaces=order["id"])
        del self.orders[None]  # type: ignore[arg-type] # the id is the server's to give
        new["id"] = str(uuid.UUID(int=2000 + len(self.orders)))
        self.orders[new["id"]] = new
        order["status"], order["replaced_by"] = "replaced", new["id"]
        return JSONResponse(new)

    async def _positions(self, _: Request) -> Response:
        held: dict[str, Decimal] = {}
        for fill in self.fills:
            sign = 1 if fill["side"] == "buy" else -1
            held[fill["symbol"]] = held.get(fill["symbol"], Decimal()) + sign * Decimal(fill["qty"])
        return JSONResponse([{"symbol": s, "qty": str(q)} for s, q in held.items() if q])

    async def _fills(self, request: Request) -> Response:
        size = int(request.query_params["page_size"])
        after = request.query_params.get("page_token")
        names = [fill["id"] for fill in self.fills]
        first = names.index(after) + 1 if after else 0
        return JSONResponse(self.fills[first : first + size])


class _Gate:
    """Checks the keys, counts the questions, and plays the bad line."""

    def __init__(self, app: object, server: AlpacaServer) -> None:
        self.app, self.server = app, server

    async def __call__(self, scope, receive, send) -> None:
        request = Request(scope, receive)
        self.server.asked.append((request.method, request.url.path))
        if request.headers.get("apca-api-secret-key") != SECRET:
            answer = JSONResponse({"message": "forbidden."}, 403)
            return await answer(scope, receive, send)
        if not self.server.answers:
            return await self.app(scope, receive, send)
        answer = self.server.answers.pop(0)
        if answer is not None:
            return await answer(scope, receive, send)

        async def unheard(_: object) -> None: ...

        await self.app(scope, receive, unheard)
        while (await receive())["type"] != "http.disconnect":
            pass
        return None
