"""Compare the record with the venue: open orders, children against parents, positions."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from domain.money import ZERO
from domain.orders import Order, OrderRole, OrderStatus
from domain.reconciliation import Discrepancy, DiscrepancyKind
from trading.book import OrderBook
from trading.order_state import OrderState

_TERMS = ("symbol", "side", "quantity", "order_type", "limit_price", "stop_price", "time_in_force")
#: Statuses that only a venue's answer gives.
_AT_THE_VENUE = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_REPLACE)


def differences(
    book: OrderBook, open_orders: Sequence[Order], positions: Mapping[str, Decimal]
) -> list[Discrepancy]:
    """Return what differs, orders before positions, each in the order of its name."""
    return [
        *_orders(book, open_orders),
        *_children(book, open_orders),
        *_positions(book.ledger.quantities(), positions),
    ]


def _orders(book: OrderBook, open_orders: Iterable[Order]) -> Iterable[Discrepancy]:
    theirs = {order.client_order_id: order for order in open_orders}
    for identity, order in sorted(theirs.items()):
        known = book.orders.get(identity)
        if known is None or known.status in (OrderStatus.DENIED, OrderStatus.INITIALIZED):
            yield _found(DiscrepancyKind.UNKNOWN_ORDER, identity, "never sent", _terms(order))
        elif known.is_over:
            yield _found(DiscrepancyKind.STATUS, identity, known.status, "open")
        elif _terms(order) not in (_terms(known.order), _terms(known.replacement or known.order)):
            yield _found(DiscrepancyKind.TERMS, identity, _terms(known.order), _terms(order))
    for identity, state in sorted(book.orders.items()):
        if state.status in _AT_THE_VENUE and identity not in theirs and not _is_parent(state):
            yield _found(DiscrepancyKind.MISSING_ORDER, identity, state.status, "not open")


def _is_parent(state: OrderState) -> bool:
    return state.order.role is OrderRole.PARENT


def _children(book: OrderBook, open_orders: Iterable[Order]) -> Iterable[Discrepancy]:
    """Σ of what children have filled and work at the venue must fit into their parent."""
    sums: dict[str, Decimal] = {}
    theirs = {order.client_order_id for order in open_orders}
    for state in book.orders.values():
        order = state.order
        if order.role is OrderRole.CHILD:
            working = state.leaves if order.client_order_id in theirs else ZERO
            before = sums.get(order.parent_order_id, ZERO)
            sums[order.parent_order_id] = before + state.filled + working
    for order in open_orders:
        if order.role is OrderRole.CHILD and order.client_order_id not in book.orders:
            before = sums.get(order.parent_order_id, ZERO)
            sums[order.parent_order_id] = before + order.quantity
    for identity, total in sorted(sums.items()):
        parent = book.orders.get(identity)
        whole = parent.order.quantity if parent else ZERO
        if total > whole:
            yield _found(DiscrepancyKind.CHILDREN, identity, str(whole), str(total))


def _positions(ours: Mapping[str, Decimal], theirs: Mapping[str, Decimal]) -> Iterable[Discrepancy]:
    for symbol in sorted({*ours, *theirs}):
        mine, other = ours.get(symbol, ZERO), theirs.get(symbol, ZERO)
        if mine != other:
            yield _found(DiscrepancyKind.POSITION, symbol, str(mine), str(other))


def _terms(order: Order) -> str:
    return " ".join(str(getattr(order, name)) for name in _TERMS)


def _found(kind: DiscrepancyKind, subject: str, recorded: str, venue: str) -> Discrepancy:
    return Discrepancy(kind=kind, subject=subject, recorded=recorded, venue=venue)
