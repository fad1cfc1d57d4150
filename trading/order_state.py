"""The life of one order: which status may follow which, and how much of it has filled."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from msgspec.structs import replace

from domain.errors import QuorumError
from domain.market import MarketData
from domain.money import EXACT, ZERO
from domain.orders import Order, OrderStatus
from trading.stops import Stop

_S = OrderStatus
_ENDED_BY_VENUE = frozenset({_S.CANCELLED, _S.EXPIRED})
_FILLING = frozenset({_S.PARTIALLY_FILLED, _S.FILLED})

#: Legal transitions. A fill may overtake the venue's acceptance, so SUBMITTED may fill; a cancel
#: or replacement that the venue refuses leaves the order working as it was. A broker may
#: accept what its exchange then rejects.
TRANSITIONS: Mapping[OrderStatus, frozenset[OrderStatus]] = MappingProxyType(
    {
        _S.INITIALIZED: frozenset({_S.DENIED, _S.SUBMITTED}),
        _S.SUBMITTED: _FILLING
        | _ENDED_BY_VENUE
        | {_S.UNKNOWN, _S.ACCEPTED, _S.REJECTED, _S.PENDING_CANCEL},
        _S.UNKNOWN: _FILLING | _ENDED_BY_VENUE | {_S.ACCEPTED, _S.REJECTED, _S.PENDING_CANCEL},
        _S.ACCEPTED: _FILLING
        | _ENDED_BY_VENUE
        | {_S.REJECTED, _S.PENDING_CANCEL, _S.PENDING_REPLACE},
        _S.PARTIALLY_FILLED: _FILLING | _ENDED_BY_VENUE | {_S.PENDING_CANCEL, _S.PENDING_REPLACE},
        _S.PENDING_CANCEL: _FILLING
        | _ENDED_BY_VENUE
        | {_S.PENDING_CANCEL, _S.ACCEPTED, _S.REJECTED},
        _S.PENDING_REPLACE: _FILLING
        | _ENDED_BY_VENUE
        | {_S.PENDING_REPLACE, _S.ACCEPTED, _S.PENDING_CANCEL},
        _S.DENIED: frozenset(),
        _S.FILLED: frozenset(),
        _S.CANCELLED: frozenset(),
        _S.REJECTED: frozenset(),
        _S.EXPIRED: frozenset(),
    }
)

#: Statuses from which nothing follows.
TERMINAL = frozenset(status for status, following in TRANSITIONS.items() if not following)
#: Statuses in which a request to the venue waits for its answer.
PENDING = frozenset({_S.PENDING_CANCEL, _S.PENDING_REPLACE})
_MAY_CHANGE = ("quantity", "limit_price", "stop_price", "trail")


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
        The intent as it was sent, or as the venue replaced it since.
    status
        Where it is in its life.
    filled
        Quantity filled so far (shares).
    fills
        Number of fills so far; execution ids count on from it.
    answers
        How often the venue left it working after it was asked to cancel or replace it.
    replacement
        What the venue was asked to make of it; None where nothing was asked.
    stop
        Where its stop stands after the bars seen so far; None where it has none.
    """

    order: Order
    status: OrderStatus = OrderStatus.INITIALIZED
    filled: Decimal = ZERO
    fills: int = 0
    answers: int = 0
    replacement: Order | None = None
    stop: Stop | None = None

    def __post_init__(self) -> None:
        if self.stop is None:
            self.stop = Stop.of(self.order)

    @property
    def leaves(self) -> Decimal:
        """Quantity that can still fill (shares), under the larger terms; 0 once it is over."""
        return ZERO if self.is_over else EXACT.subtract(self._most, self.filled)

    @property
    def is_over(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.status in TERMINAL

    @property
    def working(self) -> OrderStatus:
        """The status of an order that rests at the venue, by what has filled."""
        return _S.PARTIALLY_FILLED if self.filled else _S.ACCEPTED

    @property
    def _most(self) -> Decimal:
        quantity = self.order.quantity
        return max(quantity, self.replacement.quantity) if self.replacement else quantity

    def become(self, status: OrderStatus, terms: Order | None = None) -> None:
        """Take the step to `status`, under `terms` where the venue has answered a replacement.

        Raises
        ------
        IllegalTransition
            If the step is not allowed, claims a fill that the quantities deny, or names terms
            that nobody asked for.
        """
        following = advance(self.status, status)
        order = self._agreed(following, terms)
        if following is not _S.DENIED and not _fits(following, self.filled, order.quantity):
            raise IllegalTransition(
                f"An order with {self.filled} of {order.quantity} filled can't become {status}.",
                kept="The order stays as it was.",
                next_step="Book the venue's fills before its status.",
            )
        if following not in PENDING:
            if order.stop_price != self.order.stop_price or order.trail != self.order.trail:
                self.stop = Stop.of(order)
            self.order, self.replacement = order, None
            self.answers += self.status in PENDING
        self.status = following

    def ask_replacement(self, terms: Order) -> None:
        """Wait for the venue to take on `terms`; until then the larger quantity counts.

        Raises
        ------
        IllegalTransition
            If the order is not working, more than quantity and prices would change, or no more
            than what has filled would be left.
        """
        following = advance(self.status, _S.PENDING_REPLACE)
        same = {name: getattr(self.order, name) for name in _MAY_CHANGE}
        if (
            self.status is _S.PENDING_REPLACE
            or replace(terms, **same) != self.order
            or terms.quantity <= self.filled
        ):
            raise IllegalTransition(
                f"Order {self.order.client_order_id} can't be replaced by these terms.",
                kept="The order stays as it was.",
                next_step="Change quantity and prices alone, to more than has filled.",
            )
        self.replacement, self.status = terms, following

    def fill(self, quantity: Decimal) -> None:
        """Book a fill of `quantity` shares; what is pending stays so until all is filled.

        Raises
        ------
        Overfill
            If more than the leaves quantity is reported.
        IllegalTransition
            If the order can't fill in its status.
        """
        filled = EXACT.add(self.filled, quantity)
        if filled > self._most:
            raise Overfill(
                f"Order {self.order.client_order_id} is for {self._most}, but {filled} "
                "were reported as filled.",
                kept="The fill was not booked.",
                next_step="Halt trading and compare with the venue's own record.",
            )
        partly = self.status if self.status in PENDING else _S.PARTIALLY_FILLED
        self.status = advance(self.status, _S.FILLED if filled == self._most else partly)
        self.filled = filled
        self.fills += 1
        if self.is_over and self.replacement is not None:
            # Filled under the larger terms: those are what the venue worked by.
            larger = max(self.order, self.replacement, key=lambda order: order.quantity)
            self.order, self.replacement = larger, None

    def observe(self, bar: MarketData) -> None:
        """Let the stop see a bar that came after the order."""
        if self.stop is not None and self.order.created_at < bar.observed_at:
            self.stop = self.stop.after(bar)

    def _agreed(self, status: OrderStatus, terms: Order | None) -> Order:
        """Return the terms that hold from now on."""
        asked = self.replacement
        if terms is None and asked and status is _S.FILLED and self.filled == asked.quantity:
            return asked  # nothing is left under the terms that it took on
        if terms is None or terms == self.order:
            return self.order
        if terms == asked:
            return terms
        raise IllegalTransition(
            f"Order {self.order.client_order_id} was never asked to take these terms.",
            kept="The order stays as it was.",
            next_step="Compare the order's events with the venue's: `quorum explain <order>`.",
        )


def _fits(status: OrderStatus, filled: Decimal, quantity: Decimal) -> bool:
    """Whether a status goes with what has filled."""
    if status is _S.FILLED:
        return filled == quantity
    if status is _S.PARTIALLY_FILLED:
        return 0 < filled < quantity
    if status in (_S.ACCEPTED, _S.REJECTED, _S.SUBMITTED, _S.UNKNOWN):
        return not filled
    return filled < quantity or status in PENDING
