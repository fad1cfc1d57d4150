"""Every venue behind one face: what a test of all of them needs."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from adapters.brokers.alpaca import AlpacaBroker
from adapters.brokers.exchange import ExchangeBroker
from adapters.brokers.exchange_answers import wire_id
from adapters.brokers.exchange_connection import ExchangeConnection
from adapters.http_server import bind, http_server
from domain.identity import client_order_id
from domain.market import MarketData
from domain.orders import Order, OrderType, Side, TimeInForce
from domain.ports.broker import Broker
from domain.settings import TradingSettings
from tests.adapters.brokers import alpaca_server, exchange_server
from trading.paper_venue import PaperVenue

OPENED = datetime(2026, 3, 2, 15, tzinfo=UTC)
SERVERS = {"binance": exchange_server.BinanceServer, "okx": exchange_server.OkxServer}


class Venue(NamedTuple):
    """A venue, what is traded there, and how a test has an order filled whole at a price."""

    broker: Broker
    symbol: str
    trade: Callable[[Order, str], Awaitable[None]]

    def order(self, number: int, **changes) -> Order:
        return order(self.symbol, number, **changes)


def order(pair: str, number: int, **changes) -> Order:
    fields = {
        "client_order_id": client_order_id("d", number),
        "decision_id": "d",
        "symbol": pair,
        "side": Side.BUY,
        "quantity": Decimal(10),
        "order_type": OrderType.LIMIT,
        "limit_price": Decimal(100),
        "time_in_force": TimeInForce.GTC,
        "arrival_price": Decimal(100),
        "created_at": OPENED,
    }
    return Order(**(fields | changes))


@asynccontextmanager
async def paper():
    venue, hours = PaperVenue(TradingSettings()), iter(range(1, 100))

    async def trade(order: Order, price: str) -> None:
        moment = OPENED + timedelta(hours=next(hours))
        prices = dict.fromkeys(("price", "open", "high", "low"), Decimal(price))
        await venue.on_market_data(
            MarketData(
                message_id=str(moment),
                correlation_id="c",
                occurred_at=moment,
                symbol=order.symbol,
                observed_at=moment,
                volume=Decimal(10**9),
                **prices,
            )
        )

    yield Venue(venue, "IBM", trade)


@asynccontextmanager
async def alpaca():
    server = alpaca_server.AlpacaServer()
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        url, keys = f"http://127.0.0.1:{port}", (alpaca_server.KEY, alpaca_server.SECRET)
        broker = AlpacaBroker(*keys, url, timeout_seconds=5)

        async def trade(order: Order, price: str) -> None:
            server.fill(order.client_order_id, str(order.quantity), price)

        try:
            yield Venue(broker, "IBM", trade)
        finally:
            await broker.close()


@asynccontextmanager
async def exchange(name, server=None, *, key=exchange_server.KEY, seconds=5.0):
    """Yield an exchange's server and an account there, without waiting between questions."""
    server = server or SERVERS[name]()
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        connection = ExchangeConnection(
            name,
            key,
            exchange_server.SECRET,
            passphrase=exchange_server.PASSPHRASE,
            url=f"http://127.0.0.1:{port}",
            timeout_seconds=seconds,
        )
        connection.api.enableRateLimit = False
        broker = ExchangeBroker(
            connection, [f"{base}/{quote}" for base, quote in exchange_server.PAIRS]
        )
        try:
            yield server, broker
        finally:
            await broker.close()


@asynccontextmanager
async def exchange_venue(name):
    async with exchange(name) as (server, broker):

        async def trade(order: Order, price: str) -> None:
            server.fill(wire_id(order.client_order_id), str(order.quantity), price)

        yield Venue(broker, "BTC/USDT", trade)


VENUES = {
    "paper": paper,
    "alpaca": alpaca,
    "binance": lambda: exchange_venue("binance"),
    "okx": lambda: exchange_venue("okx"),
}
