"""Proposals and prices at a steady rate, said again where nothing came of them."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

from adapters.bus import open_bus
from adapters.keys import sealing
from domain.errors import EnvironmentProblem
from domain.identity import derive_id
from domain.market import MarketData
from domain.messages import Message
from domain.portfolio import Portfolio
from domain.ports.bus import MessageBus
from domain.producers import Producer
from domain.settings import Settings
from domain.streams import Stream, partition_of
from domain.voting import Action, TradingProposal

SYMBOLS = ("AAPL", "IBM", "KO", "MSFT")
PRICE = Decimal(100)


class Load:
    """Publishes from a thread of its own, as upstream processes would; each message until it is in.

    Parameters
    ----------
    settings
        Where the bus is.
    name
        Makes this load's identities its own.
    rate
        Proposals a second.
    """

    def __init__(self, settings: Settings, name: str, *, rate: float) -> None:
        self.sent: dict[str, TradingProposal] = {}
        self._settings = settings
        self._name = name
        self._pause = 1 / rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, when what is being said is said."""
        self._stop.set()
        self._thread.join()

    def repeat(self, proposals: set[str]) -> None:
        """Say proposals again: a bus that lost everything lost them too."""

        async def say(bus: MessageBus) -> None:
            for key in sorted(proposals):
                await self._say(bus, Stream.PROPOSALS, self.sent[key])

        asyncio.run(self._with_bus(say))

    async def _run(self) -> None:
        await self._with_bus(self._publish)

    async def _publish(self, bus: MessageBus) -> None:
        number, bars = 0, dict[str, MarketData]()
        while not self._stop.is_set():
            if number % 20 == 0:
                bars = {symbol: _bar(symbol) for symbol in SYMBOLS}
                for bar in bars.values():
                    await self._say(bus, Stream.MARKET, bar)
            proposal = _proposal(self._name, number, bars)
            self.sent[proposal.proposal_id] = proposal
            await self._say(bus, Stream.PROPOSALS, proposal)
            number += 1
            await asyncio.sleep(self._pause)

    async def _say(
        self, bus: MessageBus, stream: Stream, message: MarketData | TradingProposal
    ) -> None:
        partition = partition_of(message.symbol, self._settings.partitions)
        while True:
            with suppress(EnvironmentProblem):
                await bus.publish(stream, partition, message)
                return

    async def _with_bus(self, work: Callable[[MessageBus], Awaitable[None]]) -> None:
        bus = open_bus(self._settings, encode=sealed_by_speaker(self._settings))
        try:
            await work(bus)
        finally:
            await bus.close()


def sealed_by_speaker(settings: Settings) -> Callable[[Message], bytes]:
    """Return what seals a bar as the feed does, and all else as the Market Analyst."""
    feed, analyst = (sealing(settings, p) for p in (Producer.FEED, Producer.MARKET_ANALYST))
    return lambda message: (feed if isinstance(message, MarketData) else analyst)(message)


def _proposal(name: str, number: int, bars: Mapping[str, MarketData]) -> TradingProposal:
    key = derive_id("proposal", name, number)
    symbol = SYMBOLS[number % len(SYMBOLS)]
    return TradingProposal(
        message_id=key,
        correlation_id=bars[symbol].message_id,
        causation_id=bars[symbol].message_id,
        occurred_at=datetime.now(UTC),
        symbol=symbol,
        action=Action.BUY if number % 3 else Action.SELL,
        quantity=Decimal(1 + number % 2),
        reference_price=PRICE,
        price_target=PRICE + 5,
        horizon_days=5,
        rationale="load",
        confidence_ppm=600_000,
        portfolio=Portfolio(cash=Decimal(100_000)),
        model_version="load@1:00000000",
    )


def _bar(symbol: str) -> MarketData:
    now = datetime.now(UTC)
    key = derive_id("bar", symbol, now.isoformat())
    price = PRICE + Decimal(int(key[:8], 16) % 201 - 100) / 100  # within one per cent
    return MarketData(
        message_id=key,
        correlation_id=key,
        occurred_at=now,
        symbol=symbol,
        observed_at=now,
        price=price,
        volume=Decimal(1_000_000),
        open=PRICE,
        high=max(price, PRICE) + Decimal("0.3"),
        low=min(price, PRICE) - Decimal("0.3"),
    )
