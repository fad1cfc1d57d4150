"""What the controls cost an order, and how fast the kill switch is.

The portfolio holds 50 symbols in 10 sectors, 200 orders are open, every control is asked.
"""

import asyncio
import logging
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import structlog

from adapters.kill_switch import FileKillSwitch
from benchmarks.measure import Row, percentile, run
from domain.identity import client_order_id
from domain.market import MarketData
from domain.metrics import Metric
from domain.orders import Order, OrderStatus, Origin, Side, TradingState
from domain.settings import TradingSettings
from tests.trading.conftest import EventClock, at, bar, decision
from trading.controls import CONTROLS, first_denial
from trading.gateway import Gateway
from trading.kill_switch import INTERVAL_SECONDS, cancel_halted, watch
from trading.order_context import Surroundings, context_of
from trading.paper_venue import PaperVenue

_SYMBOLS = [f"S{number}" for number in range(50)]
_OPEN, _ORDERS, _PRESSES = 200, 20_000, 50


class _NoMetrics:
    def count(self, metric: Metric, amount: float = 1, **labels: str) -> None: ...
    def gauge(self, metric: Metric, value: float, **labels: str) -> None: ...
    def observe(self, metric: Metric, value: float, **labels: str) -> None: ...


def _order(number: int) -> Order:
    decided = f"decision {number}"
    return Order(
        client_order_id=client_order_id(decided),
        decision_id=decided,
        symbol=_SYMBOLS[number % len(_SYMBOLS)],
        side=Side.BUY,
        quantity=Decimal(1 + number % 7),
        arrival_price=Decimal(100),
        created_at=at(1),
        strategy="market_analyst",
        origin=Origin(worker="1", software_version="1.0", flags=("retail",)),
    )


class _Desk:
    """A gateway in the middle of its work."""

    def __init__(self, home: Path) -> None:
        self.settings = TradingSettings(
            starting_cash=Decimal(10**9),
            maximum_messages_per_second=10**9,
            maximum_executions=10**9,
            duplicate_window_seconds=0,
            sectors={symbol: f"sector {i % 10}" for i, symbol in enumerate(_SYMBOLS)},
        )
        self.switch = FileKillSwitch(home)
        self.venue = PaperVenue(self.settings)
        self.around = Surroundings(versions=lambda: ("1.0",), flags=("retail",))
        self.gateway = Gateway(
            self.venue, EventClock(), _NoMetrics(), self.settings, self.around, switch=self.switch
        )
        self.cause: MarketData = bar(1, symbol="S0")

    async def open(self) -> None:
        for day in (0, 1):
            for symbol in _SYMBOLS:
                await self.gateway.on_market_data(bar(day, symbol=symbol))
                if not day:
                    await self.gateway.on_decision(decision(bar(0, symbol=symbol)))
            await self.gateway.dispatch()
        for number in range(_OPEN):
            await self.gateway.on_order(_order(number), self.cause)
        await self.gateway.dispatch()
        assert len(await self.venue.open_orders()) == _OPEN

    def controls(self) -> list[float]:
        """CPU seconds that each order takes: gather what the controls know, ask all of them."""
        book, now, seconds = self.gateway.book, at(1), []
        for number in range(_OPEN, _OPEN + _ORDERS):
            order = _order(number)
            began = time.thread_time()
            context = context_of(
                order, book, self.settings, now, around=self.around, states=book.states
            )
            denial = first_denial(order, context)
            seconds.append(time.thread_time() - began)
            assert denial is None, denial
        return seconds

    async def path(self) -> float:
        """Orders per CPU second through controls and record, the book kept up."""
        orders = [_order(number) for number in range(10**6, 10**6 + 2_000)]
        began = time.thread_time()
        for order in orders:
            await self.gateway.on_order(order, self.cause)
        return len(orders) / (time.thread_time() - began)

    async def halt(self) -> tuple[list[float], list[float]]:
        """Seconds from pressing the switch to a refusal, and to the last of the cancels."""
        refused, cancelled = [], []
        for press in range(_PRESSES):
            venue = PaperVenue(self.settings)
            for number in range(_OPEN):
                await venue.submit(_order(number))
            watching = asyncio.create_task(watch(self.switch, venue, _NoMetrics(), "paper"))
            await asyncio.sleep(INTERVAL_SECONDS * press / _PRESSES)
            began = time.perf_counter()
            self.switch.press(TradingState.HALTED, "benchmark", "measures")
            events = await self.gateway.on_order(_order(2 * 10**6 + press), self.cause)
            assert events[0].status is OrderStatus.DENIED
            refused.append(time.perf_counter() - began)
            while await venue.open_orders():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            cancelled.append(time.perf_counter() - began)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            self.switch.press(TradingState.ACTIVE, "benchmark", "goes on")
        assert not await cancel_halted(self.switch, self.venue, "paper")
        return refused, cancelled


def measure() -> list[Row]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as home:
        return asyncio.run(_measure(_Desk(Path(home))))


async def _measure(desk: _Desk) -> list[Row]:
    await desk.open()
    seconds = desk.controls()
    rate = await desk.path()
    refused, cancelled = await desk.halt()
    name = f"all {len(CONTROLS)} controls, one order"
    return [
        _row(f"{name}: p50", "µs CPU", percentile(seconds, 0.50) * 1e6, 50),
        _row(f"{name}: p99", "µs CPU", percentile(seconds, 0.99) * 1e6, 200),
        _row(
            "through all controls", "orders/CPU s", len(seconds) / sum(seconds), 10_000, "at least"
        ),
        _row("controls, event and book", "orders/CPU s", rate, 10_000, "at least"),
        _row("kill switch: until an order is refused, worst", "ms", max(refused) * 1e3, 100),
        _row(f"kill switch: {_OPEN} cancels sent, worst", "ms", max(cancelled) * 1e3, 100),
    ]


def _row(figure: str, unit: str, ours: float, limit: float, beside: str = "at most") -> Row:
    return Row(figure=figure, unit=unit, ours=ours, beside=beside, theirs=limit)


if __name__ == "__main__":
    run(measure)
