"""A venue on the other side of a line that fails: it may work while its answers are lost."""

from domain.errors import VenueUnavailable
from domain.orders import OrderStatus
from trading.paper_venue import PaperVenue


class RemoteVenue:
    """A paper venue behind a line.

    Parameters
    ----------
    lose
        Called with the operation before and after the venue does it, it says whether the line
        breaks there: ``(operation, done) -> bool``.
    """

    def __init__(self, settings, lose=lambda _operation, _done: False):
        self.venue = PaperVenue(settings)
        self.lose = lose
        self.asked = []

    async def _over_the_line(self, operation, *arguments):
        self.asked.append((operation, *arguments))
        self._break(operation, done=False)
        answer = await getattr(self.venue, operation)(*arguments)
        self._break(operation, done=True)
        return answer

    def _break(self, operation, *, done):
        if self.lose(operation, done):
            raise VenueUnavailable(f"No answer to {operation}.", next_step="Ask again.")

    async def submit(self, order):
        assert self.asked.count(("submit", order)) == 0, "sent twice"
        return await self._over_the_line("submit", order)

    async def replace(self, order):
        return await self._over_the_line("replace", order)

    async def cancel(self, client_order_id):
        return await self._over_the_line("cancel", client_order_id)

    async def status(self, client_order_id):
        return await self._over_the_line("status", client_order_id)

    async def executions(self, client_order_id):
        return await self._over_the_line("executions", client_order_id)

    async def open_orders(self):
        return await self._over_the_line("open_orders")

    async def positions(self):
        return await self._over_the_line("positions")

    async def on_market_data(self, data):
        """Trade at the venue; who asks hears of it, since this venue pushes nothing."""
        await self.venue.on_market_data(data)
        return []

    def sent(self):
        return [
            order.client_order_id
            for operation, *rest in self.asked
            if operation == "submit"
            for order in rest
        ]


FINAL = (OrderStatus.FILLED, OrderStatus.EXPIRED, OrderStatus.CANCELLED, OrderStatus.REJECTED)
