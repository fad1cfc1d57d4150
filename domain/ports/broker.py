"""A venue that takes orders."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from domain.market import MarketData
from domain.orders import ExecutionReport, Order, OrderStatus


class Broker(Protocol):
    """Accepts orders once per client order id and reports fills.

    Where it does not answer in time, every method raises `domain.errors.VenueUnavailable`.
    """

    async def submit(self, order: Order) -> OrderStatus:
        """Send an order; sending the same client order id again only returns its status."""
        ...

    async def replace(self, order: Order) -> OrderStatus:
        """Ask to give an open order new quantity and prices; returns the status afterwards."""
        ...

    async def cancel(self, client_order_id: str) -> OrderStatus:
        """Ask to cancel; returns the status afterwards."""
        ...

    async def status(self, client_order_id: str) -> OrderStatus | None:
        """Return an order's status, or None if the venue never saw it."""
        ...

    async def executions(self, client_order_id: str) -> Sequence[ExecutionReport]:
        """Return the fills of an order, oldest first."""
        ...

    async def open_orders(self) -> Sequence[Order]:
        """Return orders that can still fill."""
        ...

    async def positions(self) -> dict[str, Decimal]:
        """Return symbol → signed quantity as the venue sees it."""
        ...

    async def on_market_data(self, data: MarketData) -> Sequence[ExecutionReport]:
        """Tell a simulated venue of a new bar; returns the fills it causes, in order."""
        ...


class VenueAccount(Broker, Protocol):
    """An account at a venue outside."""

    async def account(self) -> str:
        """Return the account's number."""
        ...

    async def clock_offset(self) -> float:
        """Return how far this machine's clock is ahead of the venue's (seconds)."""
        ...

    async def close(self) -> None:
        """Release the connections."""
        ...
