"""Minute bars of Alpaca's Market Data API, version 2: the past by REST, the present by websocket.

Prices are read as decimals, never as binary floats. Alpaca stamps a bar with its start; here it
bears its close. A minute without a trade has no bar.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from adapters.market_data.bar import bar, unreachable, unreadable
from domain.market import MarketData

SOURCE = "alpaca"
DATA_URL = "https://data.alpaca.markets"
STREAM_URL = "wss://stream.data.alpaca.markets"
MINUTE = timedelta(minutes=1)

_FIELDS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
_MOST_PAGES = 1000
_LONGEST_MESSAGE = 1 << 20


class AlpacaBarHistory:
    """Bars of the past (implements `domain.ports.market_feed.BarHistory`).

    Parameters
    ----------
    key, secret
        API keys; those of a paper account will do.
    exchange_feed
        Whose trades make the bars: ``iex`` (free) or ``sip`` (all exchanges).
    timeout_seconds
        Longest wait for one answer, waiting for the rate limit included.
    """

    def __init__(
        self,
        key: str,
        secret: str,
        *,
        url: str = DATA_URL,
        exchange_feed: str = "iex",
        timeout_seconds: float,
    ) -> None:
        self._feed, self._timeout = exchange_feed, timeout_seconds
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret},
            timeout=timeout_seconds,
            trust_env=False,
        )

    async def close(self) -> None:
        """Release the connections."""
        await self._client.aclose()

    async def bars(self, symbol: str, after: datetime, until: datetime) -> Sequence[MarketData]:
        """Return the bars with after < close ≤ until, oldest first.

        Raises
        ------
        FeedUnavailable
            If there is no usable answer.
        """
        query = {
            "symbols": symbol,
            "timeframe": "1Min",
            "start": (after - MINUTE).astimezone(UTC).isoformat(),  # of starts, not of closes
            "end": (until - MINUTE).astimezone(UTC).isoformat(),
            "limit": "10000",
            "adjustment": "raw",
            "feed": self._feed,
            "sort": "asc",
        }
        found: dict[datetime, MarketData] = {}
        for _ in range(_MOST_PAGES):
            page = await self._page(query)
            told = page.get("bars") or {}
            if not isinstance(told, dict) or not isinstance(told.get(symbol, []), list):
                raise unreadable(SOURCE, "bars of another shape")
            for each in told.get(symbol, []):
                one = _bar(symbol, each)
                if after < one.observed_at <= until:
                    found[one.observed_at] = one
            if not (token := page.get("next_page_token")):
                return [found[moment] for moment in sorted(found)]
            query["page_token"] = str(token)
        raise unreadable(SOURCE, f"more than {_MOST_PAGES} pages of bars")

    async def _page(self, query: Mapping[str, str]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    answer = await self._client.get("/v2/stocks/bars", params=query)
                    if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                        break
                    await asyncio.sleep(0.5)
        except TimeoutError:
            raise unreachable(SOURCE, f"{self._timeout} s passed") from None
        except httpx.RequestError as problem:
            raise unreachable(SOURCE, type(problem).__name__) from None
        if not answer.is_success:
            raise unreachable(SOURCE, f"status {answer.status_code}: {answer.text[:200]}")
        return _object(answer.text)


class AlpacaBarStream:
    """Bars as they close (implements `domain.ports.market_feed.BarStream`).

    Parameters
    ----------
    symbols
        Whose bars are subscribed to.
    timeout_seconds
        Longest wait for the connection, and for each answer until bars flow.
    """

    def __init__(
        self,
        key: str,
        secret: str,
        symbols: Sequence[str],
        *,
        url: str = STREAM_URL,
        exchange_feed: str = "iex",
        timeout_seconds: float,
    ) -> None:
        self._keys, self._symbols = {"key": key, "secret": secret}, list(symbols)
        self._url, self._timeout = f"{url}/v2/{exchange_feed}", timeout_seconds

    async def listen(self) -> AsyncIterator[MarketData]:
        """Yield bars for as long as one connection lasts; other messages are passed over.

        Raises
        ------
        FeedUnavailable
            If Alpaca can't be reached, refuses, or the connection ends.
        """
        try:
            async with connect(
                self._url,
                open_timeout=self._timeout,
                ping_timeout=self._timeout,
                max_size=_LONGEST_MESSAGE,
                proxy=None,
            ) as connection:
                await self._subscribe(connection)
                async for told in connection:
                    for each in _list(told):
                        if each.get("T") == "b":
                            yield _bar(str(each.get("S")), each)
                        elif each.get("T") == "error":
                            raise unreachable(SOURCE, f"{each.get('code')} {each.get('msg')}")
        except TimeoutError:
            raise unreachable(SOURCE, f"{self._timeout} s passed") from None
        except (OSError, WebSocketException, InvalidHandshake, InvalidURI) as problem:
            raise unreachable(SOURCE, f"{type(problem).__name__}: {problem}") from None
        raise unreachable(SOURCE, "the connection ended")

    async def _subscribe(self, connection: ClientConnection) -> None:
        await self._expect(connection, "success", "connected")
        await connection.send(json.dumps({"action": "auth", **self._keys}))
        await self._expect(connection, "success", "authenticated")
        await connection.send(json.dumps({"action": "subscribe", "bars": self._symbols}))
        await self._expect(connection, "subscription", None)

    async def _expect(self, connection: ClientConnection, kind: str, said: str | None) -> None:
        async with asyncio.timeout(self._timeout):
            told = _list(await connection.recv())
        if not told or told[0].get("T") != kind or told[0].get("msg") != said:
            first = told[0] if told else {}
            raise unreachable(SOURCE, f"{first.get('code')} {first.get('msg')} for {said or kind}")


def _bar(symbol: str, told: object) -> MarketData:
    if not isinstance(told, dict):
        raise unreadable(SOURCE, "a bar of another shape")
    try:
        began = datetime.fromisoformat(str(told.get("t")))
    except ValueError:
        raise unreadable(SOURCE, f"the time {told.get('t')!r}") from None
    if began.tzinfo is None:
        raise unreadable(SOURCE, f"the time {told.get('t')!r} without a zone")
    prices = {name: told.get(theirs) for name, theirs in _FIELDS.items()}
    return bar(symbol, began.astimezone(UTC) + MINUTE, prices)


def _read(text: str | bytes) -> object:
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise unreadable(SOURCE, "no JSON") from None


def _object(text: str) -> dict[str, Any]:
    answer = _read(text)
    if not isinstance(answer, dict):
        raise unreadable(SOURCE, "no object where one should be")
    return answer  # pyright: ignore[reportUnknownVariableType]


def _list(text: str | bytes) -> list[dict[str, Any]]:
    answer = _read(text)
    if not isinstance(answer, list) or not all(isinstance(each, dict) for each in answer):
        raise unreadable(SOURCE, "no list of objects where one should be")
    return answer  # pyright: ignore[reportUnknownVariableType]
