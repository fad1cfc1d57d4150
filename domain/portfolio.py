"""What is held, and the message that says so after every change."""

from decimal import Decimal

from domain.market import Symbol
from domain.messages import Message, Value, message_type, set_field
from domain.money import ZERO, canonical, notional, positive


class Position(Value, frozen=True, kw_only=True):
    """Holding of one symbol: signed quantity, average cost and last mark (quote currency)."""

    symbol: Symbol
    quantity: Decimal
    average_price: Decimal
    mark_price: Decimal
    realized_pnl: Decimal = ZERO

    def __post_init__(self) -> None:
        set_field(self, "quantity", canonical(self.quantity))
        set_field(self, "average_price", canonical(self.average_price))
        set_field(self, "mark_price", positive(self.mark_price, "mark_price"))
        set_field(self, "realized_pnl", canonical(self.realized_pnl))

    @property
    def market_value(self) -> Decimal:
        """Signed value at the mark."""
        return notional(self.mark_price, self.quantity)

    @property
    def unrealized_pnl(self) -> Decimal:
        """Profit at the mark over the average cost."""
        return notional(self.mark_price - self.average_price, self.quantity)


class Portfolio(Value, frozen=True, kw_only=True):
    """Cash and positions at one instant; `reserved` is cash held for orders not yet filled."""

    cash: Decimal
    positions: tuple[Position, ...] = ()
    reserved: Decimal = ZERO
    currency: str = "USD"

    def __post_init__(self) -> None:
        set_field(self, "cash", canonical(self.cash))
        set_field(self, "reserved", canonical(self.reserved))
        set_field(self, "positions", tuple(sorted(self.positions, key=lambda p: p.symbol)))

    @property
    def equity(self) -> Decimal:
        """Cash plus the value of all positions."""
        return canonical(self.cash + sum((p.market_value for p in self.positions), ZERO))

    @property
    def buying_power(self) -> Decimal:
        """Cash that no pending order has reserved."""
        return self.cash - self.reserved

    def position(self, symbol: str) -> Position | None:
        """Return the position in `symbol`, or None."""
        return next((p for p in self.positions if p.symbol == symbol), None)

    def quantity(self, symbol: str) -> Decimal:
        """Return the signed quantity held of `symbol`."""
        held = self.position(symbol)
        return held.quantity if held else ZERO


@message_type
class PortfolioUpdated(Message, frozen=True, kw_only=True):
    """The gateway's portfolio after a bar: its fills booked, its price marked."""

    portfolio: Portfolio
