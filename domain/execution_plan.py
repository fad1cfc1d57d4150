"""How an order is to be worked: its child orders, when and where each is due."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import msgspec

from domain.errors import InvalidValue
from domain.market import Symbol
from domain.messages import Value, set_field
from domain.money import ZERO, canonical, not_negative, positive
from domain.orders import Side


class Algorithm(StrEnum):
    """By what a plan's shares are spread over time."""

    TWAP = "TWAP"
    VWAP = "VWAP"
    POV = "POV"
    IMPLEMENTATION_SHORTFALL = "IMPLEMENTATION_SHORTFALL"
    LEARNED = "LEARNED"


class ChildOrder(Value, frozen=True, kw_only=True):
    """A part of the parent order.

    Parameters
    ----------
    session
        Which trading session, 0 being the next one.
    seconds
        When it is due, in seconds after that session's open.
    quantity
        Its shares.
    venue
        Where it goes; empty until it is routed.
    """

    session: Annotated[int, msgspec.Meta(ge=0)] = 0
    seconds: Annotated[int, msgspec.Meta(ge=0, lt=86_400)]
    quantity: Decimal
    venue: str = ""

    def __post_init__(self) -> None:
        set_field(self, "quantity", positive(self.quantity, "quantity"))

    @property
    def due(self) -> tuple[int, int]:
        """Session and second, which order children in time."""
        return self.session, self.seconds


class ExecutionPlan(Value, frozen=True, kw_only=True):
    """A parent order cut into children, oldest first, that sum to it exactly.

    Parameters
    ----------
    arrival_price
        Price that slippage is measured against (quote currency).
    expected_cost_bps, cost_deviation_bps
        Mean and standard deviation of the cost against the arrival price, in basis points of the
        order's value.
    """

    proposal_id: str
    symbol: Symbol
    side: Side
    quantity: Decimal
    algorithm: Algorithm
    children: tuple[ChildOrder, ...]
    arrival_price: Decimal
    expected_cost_bps: Decimal
    cost_deviation_bps: Decimal

    def __post_init__(self) -> None:
        set_field(self, "quantity", positive(self.quantity, "quantity"))
        set_field(self, "arrival_price", positive(self.arrival_price, "arrival_price"))
        set_field(self, "expected_cost_bps", canonical(self.expected_cost_bps))
        deviation = not_negative(self.cost_deviation_bps, "cost_deviation_bps")
        set_field(self, "cost_deviation_bps", deviation)
        planned = sum((child.quantity for child in self.children), ZERO)
        if planned != self.quantity:
            raise InvalidValue(
                f"The children sum to {planned} of {self.quantity}.",
                next_step="Plan the whole order.",
            )
        dues = [child.due for child in self.children]
        if dues != sorted(dues):
            raise InvalidValue(
                "The children are not in the order of their time.", next_step="Sort them by time."
            )

    def in_slices(self, seconds: int) -> tuple[ChildOrder, ...]:
        """Return the children with what is due within `seconds` of each other as one.

        Slices are counted from each session's open, and are due at their beginning. Children for
        different venues stay apart.
        """
        together: dict[tuple[int, int, str], Decimal] = {}
        for child in self.children:
            place = child.session, child.seconds - child.seconds % seconds, child.venue
            together[place] = together.get(place, ZERO) + child.quantity
        return tuple(
            ChildOrder(session=session, seconds=due, quantity=quantity, venue=venue)
            for (session, due, venue), quantity in together.items()
        )

    def due_by(self, session: int, seconds: int) -> Decimal:
        """Return the quantity that is due by a second of a session, inclusive."""
        return sum(
            (child.quantity for child in self.children if child.due <= (session, seconds)), ZERO
        )
