"""The life of one order: which status may follow which, and how much of it has filled."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from domain.errors import QuorumError
from domain.money import EXACT, ZERO
from domain.orders import Order, OrderStatus

_S = OrderStatus

#: Legal transitions. A fill may overtake the venue's acceptance, so SUBMITTED may fill.
TRANSITIONS: Mapping[OrderStatus, frozenset[OrderStatus]] = MappingProxyType(
    {
        _S.INITIALIZED: frozenset({_S.DENIED, _S.SUBMITTED}),
        _S.SUBMITTED: frozenset(
            {
                _S.ACCEPTED,
                _S.REJECTED,
                _S.PARTIALLY_FILLED,
                _S.FILLED,
                _S.CANCELLED,
                _S.EXPIRED,
            }
        ),
        _S.ACCEPTED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.EXPIRED}),
        _S.PARTIALLY_FILLED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.EXPIRED}),
        _S.DENIED: frozenset(),
        _S.FILLED: frozenset(),
        _S.CANCELLED: frozenset(),
        _S.REJECTED: frozenset(),
        _S.EXPIRED: frozenset(),
    }
)

#: Statuses from which nothing follows.
TERMINAL = frozenset(status for status, following in TRANSITIONS.items() if not following)


class IllegalTransition(QuorumError):
    """An order was asked to take a step that its status does not allow."""


class Overfill(QuorumError):
    """The venue reports more filled than was ordered."""


def advance(status: OrderStatus, following: OrderStatus) -> OrderStatus:
    """Return `following` if it may come after `status`.

    Raises
    ------
    IllegalTransition
        If it may not.
    """
    if following not in TRANSITIONS[status]:
        raise IllegalTransition(
            f"An order that is {status} can't become {following}.",
            kept="The order stays as it was.",
            next_step="Compare the order's events with the venue's: `quorum explain <order>`.",
        )
    return following


@dataclass(slots=True)
class OrderState:
    """One order with its status and fills.

    Parameters
    ----------
    order
        The intent as it was sent.
    status
        Where it is in its life.
    filled
        Quantity filled so far (shares).
    fills
        Number of fills so far; execution ids count on from it.
    """

    order: Order
    status: OrderStatus = OrderStatus.INITIALIZED
    filled: Decimal = ZERO
    fills: int = 0

    @property
    def leaves(self) -> Decimal:
        """Quantity that can still fill (shares); 0 once the order is over."""
        return ZERO if self.is_over else EXACT.subtract(self.order.quantity, self.filled)

    @property
    def is_over(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.status in TERMINAL

    def become(self, status: OrderStatus) -> None:
        """Take the step to `status`.

        Raises
        ------
        IllegalTransition
            If the step is not allowed, or claims a fill that the quantities deny.
        """
        following = advance(self.status, status)
        if (following is OrderStatus.FILLED) != (self.filled == self.order.quantity):
            raise IllegalTransition(
                f"An order with {self.filled} of {self.order.quantity} filled can't become "
                f"{status}.",
                kept="The order stays as it was.",
                next_step="Book the venue's fills before its status.",
            )
        self.status = following

    def fill(self, quantity: Decimal) -> None:
        """Book a fill of `quantity` shares and move on to PARTIALLY_FILLED or FILLED.

        Raises
        ------
        Overfill
            If more than the leaves quantity is reported.
        IllegalTransition
            If the order can't fill in its status.
        """
        filled = EXACT.add(self.filled, quantity)
        if filled > self.order.quantity:
            raise Overfill(
                f"Order {self.order.client_order_id} is for {self.order.quantity}, but {filled} "
                "were reported as filled.",
                kept="The fill was not booked.",
                next_step="Halt trading and compare with the venue's own record.",
            )
        whole = filled == self.order.quantity
        self.status = advance(
            self.status, OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED
        )
        self.filled = filled
        self.fills += 1
