"""Alpaca's market data as its reference documents the wire: REST pages and a websocket."""

import asyncio
import json
from datetime import datetime, timedelta

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

KEY, SECRET = "PKTEST", "secret"


def told(began: datetime, close: str, symbol: str | None = None) -> str:
    """Return a bar as Alpaca writes it: numbers without quotes, stamped with its start."""
    kind = f'"T":"b","S":"{symbol}",' if symbol else ""
    stamp = began.isoformat().replace("+00:00", "Z")
    prices = f'"o":{close},"h":{close},"l":{close},"c":{close}'
    return f'{{{kind}"t":"{stamp}",{prices},"v":1200,"n":12,"vw":{close}}}'


class BarServer:
    """What a test says: stored bars by REST, and messages to whoever listens."""

    def __init__(self) -> None:
        self.stored: list[tuple[datetime, str]] = []
        self.answers: list[Response] = []
        self.queries: list[dict] = []
        self.page = 3
        self.connections = 0
        self.to_send: asyncio.Queue[str | None] = asyncio.Queue()
        self.app = Starlette(
            routes=[
                Route("/v2/stocks/bars", self._bars),
                WebSocketRoute("/v2/iex", self._stream),
            ]
        )

    async def _bars(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.queries.append(asked)
        if self.answers:
            return self.answers.pop(0)
        if request.headers.get("apca-api-key-id") != KEY:
            return JSONResponse({"message": "forbidden."}, 403)
        first, last = (datetime.fromisoformat(asked[name]) for name in ("start", "end"))
        found = [told(began, close) for began, close in self.stored if first <= began <= last]
        begin = int(asked.get("page_token", 0))
        page = ",".join(found[begin : begin + self.page])
        following = begin + self.page
        token = f'"{following}"' if following < len(found) else "null"
        body = f'{{"bars":{{"{asked["symbols"]}":[{page}]}},"next_page_token":{token}}}'
        return Response(body, media_type="application/json")

    async def _stream(self, socket: WebSocket) -> None:
        await socket.accept()
        self.connections += 1
        await socket.send_text('[{"T":"success","msg":"connected"}]')
        asked = json.loads(await socket.receive_text())
        if asked != {"action": "auth", "key": KEY, "secret": SECRET}:
            await socket.send_text('[{"T":"error","code":402,"msg":"auth failed"}]')
            await socket.close()
            return
        await socket.send_text('[{"T":"success","msg":"authenticated"}]')
        wanted = json.loads(await socket.receive_text())["bars"]
        await socket.send_text(json.dumps([{"T": "subscription", "bars": wanted}]))
        while (message := await self.to_send.get()) is not None:
            await socket.send_text(message)
        try:
            await socket.close(1011)
        except (RuntimeError, WebSocketDisconnect):
            return


def minutes(first: datetime, *numbers: int) -> list[datetime]:
    """Return instants so many minutes after the first."""
    return [first + timedelta(minutes=number) for number in numbers]
