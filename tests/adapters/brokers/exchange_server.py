"""Binance's and OKX's spot APIs as their references document the wire, with faults of a bad day.

The payloads were written after the public references (Binance: REST API, spot; OKX: version 5),
not recorded from an account. Two pairs are listed; balances are what the fills left.
"""

import time
from datetime import datetime
from decimal import Decimal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY, SECRET, PASSPHRASE = "KEYTEST", "c2VjcmV0", "phrase"
BEGAN = 1_772_461_800_123
PAIRS = (("BTC", "USDT"), ("ETH", "USDT"))
_STRAY_MILLISECONDS = 5_000


class PlayedExchange:
    """An account that a test plays: it takes orders, and fills what the test says.

    The next questions get `answers` instead of the true ones; None does what was asked and never
    answers. An id is free again once its order is over, as at Binance.
    """

    def __init__(self) -> None:
        self.orders: list[dict] = []
        self.fills: list[dict] = []
        self.asked: list[tuple[str, str]] = []
        self.sent: list[dict] = []
        self.answers: list[Response | None] = []
        self.hidden_fills = 0
        self.clock = 0.0
        self.app = Starlette(routes=self.routes())
        self.app.add_middleware(_Gate, server=self)

    def now(self) -> int:
        return int((time.time() + self.clock) * 1000)

    def fill(self, wire_id: str, quantity: str, price: str, fee: str = "0", currency="USDT"):
        order = self.named(wire_id)
        order["filled"] += Decimal(quantity)
        order["state"] = "filled" if order["filled"] == order["quantity"] else "partial"
        self.fills.append(
            {
                "number": 28457 + len(self.fills),
                "order": order,
                "quantity": quantity,
                "price": price,
                "fee": fee,
                "currency": currency,
                "time": BEGAN + 1000 * len(self.fills),
            }
        )

    def named(self, wire_id: str) -> dict:
        return next(o for o in reversed(self.orders) if o["name"] == wire_id)

    def told_fills(self, number: str) -> list[dict]:
        """Return an order's fills; the last `hidden_fills` are not told yet."""
        told = self.fills[: len(self.fills) - self.hidden_fills]
        return [fill for fill in told if str(fill["order"]["number"]) == number]

    def balances(self) -> dict[str, Decimal]:
        held: dict[str, Decimal] = {}
        for fill in self.fills:
            base = fill["order"]["base"]
            sign = 1 if fill["order"]["side"] == "buy" else -1
            held[base] = held.get(base, Decimal(0)) + sign * Decimal(fill["quantity"])
            held[fill["currency"]] = held.get(fill["currency"], Decimal(0)) - Decimal(fill["fee"])
        return held

    def open(self, base: str) -> list[dict]:
        working = ("new", "partial")
        return [o for o in self.orders if o["base"] == base and o["state"] in working]

    def take(self, **terms) -> dict | None:
        """Return a new order; None where an open one bears the same name."""
        if any(o["name"] == terms["name"] for o in self.orders if o["state"] in ("new", "partial")):
            return None
        order = {
            "number": 1000 + len(self.orders),
            "filled": Decimal(0),
            "state": "new",
            "time": BEGAN + len(self.orders),
            **terms,
            "quantity": Decimal(terms["quantity"]),
        }
        self.orders.append(order)
        return order


class BinanceServer(PlayedExchange):
    """`/api/v3` of a spot testnet."""

    states = {
        "new": "NEW",
        "partial": "PARTIALLY_FILLED",
        "filled": "FILLED",
        "cancelled": "CANCELED",
        "expired": "EXPIRED",
        "rejected": "REJECTED",
    }

    def routes(self) -> list[Route]:
        at = "/api/v3"
        return [
            Route(f"{at}/time", self._time),
            Route(f"{at}/exchangeInfo", self._listing),
            Route(f"{at}/account", self._account),
            Route(f"{at}/order", self._order, methods=["GET", "POST", "DELETE"]),
            Route(f"{at}/openOrders", self._open),
            Route(f"{at}/myTrades", self._trades),
            Route(f"{at}/klines", self._bars),
        ]

    bars: list[list] = []

    async def _bars(self, request: Request) -> Response:
        first, limit = int(request.query_params["startTime"]), int(request.query_params["limit"])
        return JSONResponse([bar for bar in self.bars if bar[0] >= first][:limit])

    def refusal(self, request: Request, arguments: dict) -> Response | None:
        if "signature" not in arguments:
            return None
        if request.headers.get("x-mbx-apikey") != KEY:
            return self.error(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if abs(int(arguments["timestamp"]) - self.now()) > _STRAY_MILLISECONDS:
            return self.error(-1021, "Timestamp for this request is outside of the recvWindow.")
        return None

    def error(self, code: int, message: str, status: int = 400) -> Response:
        return JSONResponse({"code": code, "msg": message}, status)

    async def _time(self, _: Request) -> Response:
        return JSONResponse({"serverTime": self.now()})

    async def _listing(self, _: Request) -> Response:
        return JSONResponse(
            {
                "timezone": "UTC",
                "serverTime": self.now(),
                "rateLimits": [],
                "exchangeFilters": [],
                "symbols": [
                    {
                        "symbol": f"{base}{quote}",
                        "status": "TRADING",
                        "baseAsset": base,
                        "baseAssetPrecision": 8,
                        "quoteAsset": quote,
                        "quotePrecision": 8,
                        "quoteAssetPrecision": 8,
                        "orderTypes": [
                            "LIMIT",
                            "LIMIT_MAKER",
                            "MARKET",
                            "STOP_LOSS",
                            "STOP_LOSS_LIMIT",
                        ],
                        "isSpotTradingAllowed": True,
                        "isMarginTradingAllowed": False,
                        "permissions": [],
                        "permissionSets": [["SPOT"]],
                        "filters": [
                            {
                                "filterType": "PRICE_FILTER",
                                "minPrice": "0.01000000",
                                "maxPrice": "1000000.00000000",
                                "tickSize": "0.01000000",
                            },
                            {
                                "filterType": "LOT_SIZE",
                                "minQty": "0.00001000",
                                "maxQty": "9000.00000000",
                                "stepSize": "0.00001000",
                            },
                        ],
                    }
                    for base, quote in PAIRS
                ],
            }
        )

    async def _account(self, _: Request) -> Response:
        balances = [
            {"asset": asset, "free": f"{held:.8f}", "locked": "0.00000000"}
            for asset, held in self.balances().items()
        ]
        return JSONResponse({"uid": 354937868, "accountType": "SPOT", "balances": balances})

    async def _order(self, request: Request) -> Response:
        arguments = await _arguments(request)
        name = arguments.get("origClientOrderId") or arguments["newClientOrderId"]
        if request.method == "POST":
            return self._submit(name, arguments)
        known = [o for o in self.orders if o["name"] == name and _pair(o) == arguments["symbol"]]
        if request.method == "DELETE":
            if not known or known[-1]["state"] not in ("new", "partial"):
                return self.error(-2011, "Unknown order sent.")
            known[-1]["state"] = "cancelled"
        elif not known:
            return self.error(-2013, "Order does not exist.")
        return JSONResponse(self._shown(known[-1]))

    def _submit(self, name: str, wire: dict) -> Response:
        self.sent.append(wire)
        if Decimal(wire["quantity"]) > 100:
            return self.error(-2010, "Account has insufficient balance for requested action.")
        order = self.take(
            name=name,
            base=wire["symbol"].removesuffix("USDT"),
            side=wire["side"].lower(),
            kind=wire["type"],
            quantity=wire["quantity"],
            price=wire.get("price", "0.00000000"),
            stop=wire.get("stopPrice", "0.00000000"),
            time_in_force=wire.get("timeInForce", "GTC"),
        )
        if order is None:
            return self.error(-2010, "Duplicate order sent.")
        return JSONResponse({**self._shown(order), "transactTime": order["time"], "fills": []})

    def _shown(self, order: dict) -> dict:
        return {
            "symbol": _pair(order),
            "orderId": order["number"],
            "orderListId": -1,
            "clientOrderId": order["name"],
            "price": order["price"],
            "origQty": f"{order['quantity']:.8f}",
            "executedQty": f"{order['filled']:.8f}",
            "cummulativeQuoteQty": "0.00000000",
            "status": self.states[order["state"]],
            "timeInForce": order["time_in_force"],
            "type": order["kind"],
            "side": order["side"].upper(),
            "stopPrice": order["stop"],
            "icebergQty": "0.00000000",
            "time": order["time"],
            "updateTime": order["time"],
            "isWorking": True,
        }

    async def _open(self, request: Request) -> Response:
        base = request.query_params["symbol"].removesuffix("USDT")
        return JSONResponse([self._shown(order) for order in self.open(base)])

    async def _trades(self, request: Request) -> Response:
        asked = request.query_params
        first = int(asked.get("fromId", 0))
        fills = [f for f in self.told_fills(asked["orderId"]) if f["number"] >= first]
        return JSONResponse(
            [
                {
                    "symbol": _pair(fill["order"]),
                    "id": fill["number"],
                    "orderId": fill["order"]["number"],
                    "orderListId": -1,
                    "price": fill["price"],
                    "qty": fill["quantity"],
                    "quoteQty": "0",
                    "commission": fill["fee"],
                    "commissionAsset": fill["currency"],
                    "time": fill["time"],
                    "isBuyer": fill["order"]["side"] == "buy",
                    "isMaker": False,
                    "isBestMatch": True,
                }
                for fill in fills[: int(asked["limit"])]
            ]
        )

    def late(self) -> Response:
        return JSONResponse(
            {"code": -1003, "msg": "Too many requests."}, 429, {"Retry-After": "0.1"}
        )


class OkxServer(PlayedExchange):
    """`/api/v5` of demo trading."""

    states = {
        "new": "live",
        "partial": "partially_filled",
        "filled": "filled",
        "cancelled": "canceled",
        "expired": "canceled",
    }

    def routes(self) -> list[Route]:
        at = "/api/v5"
        return [
            Route(f"{at}/public/time", self._time),
            Route(f"{at}/public/instruments", self._listing),
            Route(f"{at}/account/config", self._config),
            Route(f"{at}/account/balance", self._balance),
            Route(f"{at}/trade/batch-orders", self._submit, methods=["POST"]),
            Route(f"{at}/trade/order", self._order),
            Route(f"{at}/trade/cancel-order", self._cancel, methods=["POST"]),
            Route(f"{at}/trade/orders-pending", self._open),
            Route(f"{at}/trade/fills-history", self._trades),
        ]

    def refusal(self, request: Request, _: dict) -> Response | None:
        if "ok-access-sign" not in request.headers:
            return None
        if request.headers["x-simulated-trading"] != "1":
            return self.error("50101", "APIKey does not match current environment.", 401)
        if request.headers["ok-access-key"] != KEY:
            return self.error("50111", "Invalid OK-ACCESS-KEY", 401)
        sent = request.headers["ok-access-timestamp"]
        if abs(_milliseconds(sent) - self.now()) > _STRAY_MILLISECONDS:
            return self.error("50102", "Timestamp request expired", 401)
        return None

    def error(self, code: str, message: str, status: int = 200) -> Response:
        return JSONResponse({"code": code, "data": [], "msg": message}, status)

    def _refused(self, code: str, message: str) -> Response:
        data = [{"clOrdId": "", "ordId": "", "sCode": code, "sMsg": message, "tag": ""}]
        return JSONResponse({"code": "1", "data": data, "msg": ""})

    def _done(self, data: list[dict]) -> Response:
        return JSONResponse({"code": "0", "data": data, "msg": ""})

    async def _time(self, _: Request) -> Response:
        return self._done([{"ts": str(self.now())}])

    async def _listing(self, _: Request) -> Response:
        return self._done(
            [
                {
                    "instType": "SPOT",
                    "instId": f"{base}-{quote}",
                    "baseCcy": base,
                    "quoteCcy": quote,
                    "tickSz": "0.01",
                    "lotSz": "0.00001",
                    "minSz": "0.00001",
                    "state": "live",
                    "lever": "",
                    "listTime": "1548133413000",
                    "expTime": "",
                    "uly": "",
                    "settleCcy": "",
                    "ctVal": "",
                    "ctMult": "",
                    "ctType": "",
                }
                for base, quote in PAIRS
            ]
        )

    async def _config(self, _: Request) -> Response:
        return self._done([{"uid": "44705892343619584", "acctLv": "1", "posMode": "net_mode"}])

    async def _balance(self, _: Request) -> Response:
        details = [
            {"ccy": asset, "cashBal": str(held), "availBal": str(held), "eq": str(held)}
            | {"frozenBal": "0", "uTime": str(BEGAN)}
            for asset, held in self.balances().items()
        ]
        return self._done([{"uTime": str(BEGAN), "totalEq": "", "details": details}])

    async def _submit(self, request: Request) -> Response:
        [wire] = await request.json()
        self.sent.append(wire)
        if Decimal(wire["sz"]) > 100:
            return self._refused("51008", "Order failed. Insufficient USDT balance in account.")
        order = self.take(
            name=wire["clOrdId"],
            base=wire["instId"].split("-")[0],
            side=wire["side"],
            kind=wire["ordType"],
            quantity=wire["sz"],
            price=wire.get("px", ""),
        )
        if order is None:
            return self._refused("51016", "Duplicated client order ID.")
        done = {"clOrdId": order["name"], "ordId": str(order["number"]), "tag": ""}
        return self._done([{**done, "ts": str(order["time"]), "sCode": "0", "sMsg": ""}])

    def _named(self, pair: str, name: str) -> list[dict]:
        return [
            o
            for o in self.orders
            if o["name"] == name and o["base"] == pair.split("-", maxsplit=1)[0]
        ]

    async def _order(self, request: Request) -> Response:
        asked = request.query_params
        known = self._named(asked["instId"], asked["clOrdId"])
        if not known:
            return self.error("51603", "Order does not exist")
        return self._done([self._shown(known[-1])])

    async def _cancel(self, request: Request) -> Response:
        wire = await request.json()
        known = self._named(wire["instId"], wire["clOrdId"])
        if not known or known[-1]["state"] not in ("new", "partial"):
            return self._refused("51401", "Cancellation failed as the order is already canceled.")
        known[-1]["state"] = "cancelled"
        done = {"clOrdId": wire["clOrdId"], "ordId": str(known[-1]["number"])}
        return self._done([{**done, "sCode": "0", "sMsg": ""}])

    def _shown(self, order: dict) -> dict:
        return {
            "instType": "SPOT",
            "instId": f"{order['base']}-USDT",
            "ccy": "",
            "ordId": str(order["number"]),
            "clOrdId": order["name"],
            "tag": "",
            "px": order["price"],
            "sz": str(order["quantity"]),
            "ordType": order["kind"],
            "side": order["side"],
            "posSide": "net",
            "tdMode": "cash",
            "accFillSz": str(order["filled"]),
            "fillPx": "",
            "tradeId": "",
            "fillSz": "0",
            "fillTime": "",
            "avgPx": "",
            "state": self.states[order["state"]],
            "feeCcy": "",
            "fee": "",
            "cTime": str(order["time"]),
            "uTime": str(order["time"]),
        }

    async def _open(self, request: Request) -> Response:
        base = request.query_params["instId"].split("-")[0]
        return self._done([self._shown(order) for order in reversed(self.open(base))])

    async def _trades(self, request: Request) -> Response:
        asked = request.query_params
        fills = [
            fill
            for fill in reversed(self.told_fills(asked["ordId"]))  # the newest first
            if fill["number"] < int(asked.get("after", 10**9))
        ]
        return self._done(
            [
                {
                    "instType": "SPOT",
                    "instId": f"{fill['order']['base']}-USDT",
                    "tradeId": str(fill["number"]),
                    "ordId": str(fill["order"]["number"]),
                    "clOrdId": fill["order"]["name"],
                    "billId": str(fill["number"]),
                    "tag": "",
                    "fillPx": fill["price"],
                    "fillSz": fill["quantity"],
                    "side": fill["order"]["side"],
                    "posSide": "net",
                    "execType": "T",
                    "feeCcy": fill["currency"],
                    "fee": str(-Decimal(fill["fee"])),
                    "ts": str(fill["time"]),
                }
                for fill in fills[:100]
            ]
        )

    def late(self) -> Response:
        return self.error("50011", "Requests too frequent", 429)


def _pair(order: dict) -> str:
    return f"{order['base']}USDT"


def _milliseconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


async def _arguments(request: Request) -> dict:
    return {**request.query_params, **(await request.form() if request.method != "GET" else {})}


class _Gate:
    """Checks keys and time, counts the questions, and plays the bad line."""

    def __init__(self, app: object, server: PlayedExchange) -> None:
        self.app, self.server = app, server

    async def __call__(self, scope, receive, send) -> None:
        body = b""
        while (part := await receive())["type"] == "http.request":
            body += part["body"]
            if not part["more_body"]:
                break
        told = False

        async def again():
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        request = Request(scope)
        self.server.asked.append((request.method, request.url.path))
        pairs = request.url.query + "&" + body.decode()
        arguments = dict(p.split("=", 1) for p in pairs.split("&") if "=" in p)
        if (refusal := self.server.refusal(request, arguments)) is not None:
            return await refusal(scope, again, send)
        if not self.server.answers or request.url.path.endswith("/time"):
            return await self.app(scope, again, send)
        answer = self.server.answers.pop(0)
        if answer is not None:
            return await answer(scope, again, send)

        async def unheard(_: object) -> None: ...

        await self.app(scope, again, unheard)
        while (await receive())["type"] != "http.disconnect":
            pass
        return None
