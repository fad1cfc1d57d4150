"""The order path on an account outside, over a real connection."""

from contextlib import asynccontextmanager
from decimal import Decimal

from adapters.brokers.alpaca import AlpacaBroker
from adapters.http_server import bind, http_server
from domain.messages import decode, encode
from domain.orders import ExecutionReport, OrderStatus, TradingState
from domain.reconciliation import DiscrepancyKind, Reconciled
from tests.adapters.brokers.alpaca_server import KEY, SECRET, AlpacaServer
from trading.gateway import Gateway


@asynccontextmanager
async def path(make, **limits):
    server = AlpacaServer()
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        broker = AlpacaBroker(KEY, SECRET, f"http://127.0.0.1:{port}", timeout_seconds=2)

        def start(events=()):
            gateway = Gateway(broker, make.clock(), make.metrics(), make.settings(**limits))
            gateway.recover(decode(encode(event)) for event in events)
            return gateway

        try:
            yield server, start
        finally:
            await broker.close()


async def bought(make, gateway):
    log = [*await gateway.on_market_data(make.bar(0))]
    log += await gateway.on_decision(make.decision(make.bar(0)))
    return [*log, *await gateway.dispatch()]


async def test_a_decision_is_bought_there_and_its_fills_are_booked_with_the_next_bar(make):
    async with path(make) as (server, start):
        gateway = start()
        await bought(make, gateway)
        [order] = server.orders.values()
        server.fill(order["client_order_id"], order["qty"], "100.25")
        events = await gateway.on_market_data(make.bar(1))
        [fill] = [event for event in events if isinstance(event, ExecutionReport)]
        assert fill.price == Decimal("100.25")
        assert fill.slippage_bps == Decimal(25)
        assert gateway.book.ledger.quantity("IBM") == Decimal(order["qty"])
        assert not await gateway.reconcile()


async def test_an_order_whose_answer_is_lost_before_a_restart_is_there_once_and_booked(make):
    async with path(make) as (server, start):
        gateway = start()
        log = [*await gateway.on_market_data(make.bar(0))]
        log += await gateway.on_decision(make.decision(make.bar(0)))
        server.answers = [None]  # done there, never heard here
        await gateway.dispatch()  # and the process is killed before it records that
        again = start(log)
        [order] = server.orders.values()
        server.fill(order["client_order_id"], order["qty"], "100")
        log += await again.reconcile()
        log += await again.dispatch()
        assert len(server.orders) == 1
        assert again.book.orders[order["client_order_id"]].status is OrderStatus.FILLED


async def test_a_position_that_nobody_here_bought_stops_trading(make):
    async with path(make) as (server, start):
        gateway = start()
        await bought(make, gateway)
        [order] = server.orders.values()
        server.fill(order["client_order_id"], order["qty"], "100")
        server.fills.append({**server.fills[0], "order_id": "another's", "id": "x", "qty": "5"})
        events = await gateway.reconcile()
        [report] = [event for event in events if isinstance(event, Reconciled)]
        assert [found.kind for found in report.discrepancies] == [DiscrepancyKind.POSITION]
        assert gateway.book.trading_state is TradingState.HALTED
