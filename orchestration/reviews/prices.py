"""The market's last prices, read off the bus as far as a question needs."""

import asyncio

from domain.errors import MessageRefused
from domain.market import MarketData
from domain.messages import decode
from domain.ports.bus import MessageBus
from domain.ports.clock import Clock
from domain.streams import Stream, partition_of

_PAGE = 1000


class LastPrices:
    """Follows the bars; every question reads on from where the last one stopped.

    Parameters
    ----------
    bus, partitions
        Where the bars are.
    clock
        Observes the bars' times.
    """

    def __init__(self, bus: MessageBus, partitions: int, clock: Clock) -> None:
        self._bus = bus
        self._partitions = partitions
        self._clock = clock
        self._after: dict[int, str] = {}
        self._last: dict[str, MarketData] = {}
        self._reading = asyncio.Lock()

    async def of(self, symbol: str) -> MarketData | None:
        """Return the symbol's last bar on the bus."""
        partition = partition_of(symbol, self._partitions)
        async with self._reading:
            await self._read_on(partition)
        return self._last.get(symbol)

    async def _read_on(self, partition: int) -> None:
        after = self._after.get(partition, "")
        while page := await self._bus.read(Stream.MARKET, partition, after=after, limit=_PAGE):
            for delivery in page:
                try:
                    message = decode(delivery.data)
                except MessageRefused:  # others look after what is malformed
                    continue
                self._clock.observe(message.occurred_at)
                if isinstance(message, MarketData):
                    self._last[message.symbol] = message
            after = self._after[partition] = page[-1].position
